/**
 * How byte-level vocabularies write bytes.
 *
 * @module
 */

/** Ranges of bytes that stand for themselves: what is printable in Latin-1. */
const PRINTABLE = [[0x21, 0x7e], [0xa1, 0xac], [0xae, 0xff]] as const;

/**
 * The character that stands for each byte in a byte-level vocabulary, so that every token is
 * printable (GPT-2's `bytes_to_unicode`): printable ones for themselves, the others for U+0100 on.
 */
export function byteCharacters(): string[] {
  let next = 0x100;
  return Array.from({ length: 256 }, (_, byte) => {
    const printable = PRINTABLE.some(([first, last]) => byte >= first && byte <= last);
    return String.fromCharCode(printable ? byte : next++);
  });
}
