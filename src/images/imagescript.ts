/**
 * What is used of ImageScript, with types. To be imported dynamically, so that only programs that
 * read or write PNG files load it.
 *
 * @module
 */

// @ts-types="./imagescript_crc.d.ts"
export { crc32 } from "npm:imagescript@1.3.1/png/src/crc.mjs";
// @ts-types="./imagescript_png.d.ts"
export { decode, encode } from "npm:imagescript@1.3.1/png/src/png.mjs";
