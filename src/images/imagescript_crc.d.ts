// Declarations of the checksum module of ImageScript, which has none for it.

/** Checksum of a PNG chunk: of its type and data. */
export function crc32(buffer: Uint8Array): number;
