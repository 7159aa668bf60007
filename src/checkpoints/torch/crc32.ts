import type { Steps } from "../../base/pauses.ts";

/** Remainders of all bytes modulo the CRC-32 polynomial. */
const TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let remainder = byte;
  for (let bit = 0; bit < 8; bit++) {
    remainder = remainder & 1 ? (remainder >>> 1) ^ 0xedb88320 : remainder >>> 1;
  }
  return remainder;
});

/** Bytes between two places where the computation may be interrupted: some milliseconds. */
const STEP = 2 ** 20;

/** CRC-32 of zip and PNG files. */
export function* crc32(bytes: Uint8Array): Steps<number> {
  let crc = 0xffffffff;
  for (let i = 0; i < bytes.length; i++) {
    if (i % STEP === STEP - 1) yield;
    crc = (crc >>> 8) ^ (TABLE[(crc ^ (bytes[i] ?? 0)) & 255] ?? 0);
  }
  return ~crc >>> 0;
}
