/**
 * Reading of files that come in blocks of one size.
 *
 * @module
 */

/**
 * Reads a range by way of the blocks that it lies in, one after the other.
 *
 * @param blockBytes Length of every block but the last.
 * @param block Gives a block by its index; the range has to lie inside the file.
 */
export async function readBlocks(
  offset: number,
  length: number,
  blockBytes: number,
  block: (index: number) => Promise<Uint8Array<ArrayBuffer>>,
): Promise<Uint8Array<ArrayBuffer>> {
  const bytes = new Uint8Array(length);
  for (let done = 0; done < length;) {
    const index = Math.floor((offset + done) / blockBytes);
    const begin = offset + done - index * blockBytes;
    const part = (await block(index)).subarray(begin, begin + length - done);
    bytes.set(part, done);
    done += part.length;
  }
  return bytes;
}
