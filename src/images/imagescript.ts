/**
 * What is used of ImageScript, with types: writing PNG files, checksums and deflate, which are plain
 * JavaScript and need no permission.
 *
 * @module
 */

// @ts-types="./imagescript_crc.d.ts"
export { crc32 } from "npm:imagescript@1.3.1/png/src/crc.mjs";
// @ts-types="./imagescript_png.d.ts"
export { encode } from "npm:imagescript@1.3.1/png/src/png.mjs";
// @ts-types="./imagescript_zlib.d.ts"
export { decompress } from "npm:imagescript@1.3.1/png/src/zlib.mjs";
