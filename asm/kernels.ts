// What the Wasm module exports.

export { packPanels, widen } from "./convert";
export { packPanelsI8, packPanelsQ8, quantizedRowBytes } from "./linear_q8";
export { groupNormBlocks } from "./norms";
export { run, runChunks, scratchBytes } from "./program";
export { packWinograd } from "./winograd";

/** First address behind the static data. */
export const HEAP_BASE: usize = __heap_base;
