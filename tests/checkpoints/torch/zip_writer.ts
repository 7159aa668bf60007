/**
 * A writer of zip archives for tests.
 *
 * @module
 */

import { atOnce } from "../../../src/base/pauses.ts";
import { crc32 } from "../../../src/checkpoints/torch/crc32.ts";

/** How to write an archive. */
export interface ZipOptions {
  /** Whether to compress. Default false. */
  readonly deflate?: boolean;
  /** Whether to give all sizes and offsets as 64-bit numbers. Default false. */
  readonly zip64?: boolean;
}

/** A zip archive of these files; stored data begins at multiples of 64, as in torch files. */
export async function encodeZip(
  files: Iterable<readonly [name: string, content: Uint8Array<ArrayBuffer> | string]>,
  { deflate = false, zip64 = false }: ZipOptions = {},
): Promise<Uint8Array<ArrayBuffer>> {
  const local = new ByteWriter();
  const directory = new ByteWriter();
  let entries = 0;
  for (const [name, content] of files) {
    const bytes = typeof content === "string" ? new TextEncoder().encode(content) : content;
    const data = deflate ? await compress(bytes) : bytes;
    const path = new TextEncoder().encode(name);
    const offset = local.length;
    const common = new ByteWriter()
      .u16(20, 0x800, deflate ? 8 : 0, 0, 0)
      .u32(
        atOnce(crc32(bytes)),
        zip64 ? 0xffffffff : data.length,
        zip64 ? 0xffffffff : bytes.length,
      )
      .bytes();
    const padding = (64 - (offset + 30 + path.length + 4) % 64) % 64 + 4;
    local.u32(0x04034b50).put(common).u16(path.length, padding).put(path);
    local.u16(0x4246, padding - 4).put(new Uint8Array(padding - 4)).put(data);
    const extra = new ByteWriter();
    if (zip64) extra.u16(1, 24).u64(bytes.length, data.length, offset);
    directory.u32(0x02014b50).u16(20).put(common).u16(path.length, extra.length, 0, 0, 0);
    directory.u32(0, zip64 ? 0xffffffff : offset).put(path).put(extra.bytes());
    entries++;
  }
  const start = local.length;
  local.put(directory.bytes());
  if (zip64) {
    const end = local.length;
    local.u32(0x06064b50).u64(44).u16(45, 45).u32(0, 0);
    local.u64(entries, entries, directory.length, start);
    local.u32(0x07064b50, 0).u64(end).u32(1);
  }
  const long = zip64 ? 0xffffffff : undefined;
  local.u32(0x06054b50).u16(0, 0, entries, entries).u32(directory.length, long ?? start).u16(0);
  return local.bytes();
}

/** Collects little-endian numbers and bytes. */
export class ByteWriter {
  readonly #chunks: Uint8Array<ArrayBuffer>[] = [];
  /** Number of bytes so far. */
  length = 0;

  /** Appends bytes. */
  put(bytes: Uint8Array<ArrayBuffer>): this {
    this.#chunks.push(bytes);
    this.length += bytes.length;
    return this;
  }

  /** Appends single bytes. */
  u8(...values: number[]): this {
    return this.put(new Uint8Array(values));
  }

  /** Appends 16-bit numbers. */
  u16(...values: number[]): this {
    return this.put(new Uint8Array(new Uint16Array(values).buffer));
  }

  /** Appends 32-bit numbers. */
  u32(...values: number[]): this {
    return this.put(new Uint8Array(new Uint32Array(values).buffer));
  }

  /** Appends 64-bit numbers. */
  u64(...values: number[]): this {
    return this.put(new Uint8Array(new BigUint64Array(values.map(BigInt)).buffer));
  }

  /** All bytes so far. */
  bytes(): Uint8Array<ArrayBuffer> {
    const all = new Uint8Array(this.length);
    let offset = 0;
    for (const chunk of this.#chunks) {
      all.set(chunk, offset);
      offset += chunk.length;
    }
    return all;
  }
}

async function compress(bytes: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer>> {
  const stream = new Blob([bytes]).stream().pipeThrough(new CompressionStream("deflate-raw"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}
