/**
 * The WebGPU backend, as one module that is loaded when there is a GPU.
 *
 * @module
 */

export { createWebGpuBackend } from "./backend.ts";
export { probeWebGpu } from "./probe.ts";
export { selfCheck } from "./self_check.ts";
