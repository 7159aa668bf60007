/**
 * Flags of WebGPU, by the values that its specification fixes: the globals of the same names are
 * missing from type libraries.
 *
 * @module
 */

/** `GPUBufferUsage`. */
export const BUFFER_USAGE = {
  mapRead: 0x0001,
  copySource: 0x0004,
  copyDestination: 0x0008,
  uniform: 0x0040,
  storage: 0x0080,
} as const;

/** `GPUMapMode.READ`. */
export const MAP_READ = 0x0001;

/** `GPUShaderStage.COMPUTE`. */
export const COMPUTE_STAGE = 0x0004;
