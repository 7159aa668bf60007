// Declarations of what is used of the deflate module of ImageScript, which has none for it.

/**
 * Expands zlib data.
 *
 * @param limit The most bytes of the result; what is beyond is left out, or an error.
 */
export function decompress(data: Uint8Array, limit: number): Uint8Array<ArrayBuffer>;
