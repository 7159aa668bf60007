/**
 * The choice of a device at run time.
 *
 * @module
 */

import { checkChoice } from "../base/check.ts";
import type { Backend, DeviceType } from "./backend.ts";
import type { KernelModule, SimdVariant } from "./wasm/kernels.ts";
import type { WasmBackendOptions } from "./wasm/wasm_backend.ts";

export type { KernelModule, SimdVariant } from "./wasm/kernels.ts";
export { compileKernels } from "./wasm/kernels.ts";

/** Options of {@linkcode createBackend}. */
export interface CreateBackendOptions {
  /**
   * `"wasm"` computes on the CPU, `"webgpu"` on the GPU (a software adapter too, as it was asked
   * for). `"auto"`, the default, takes a GPU if a hardware adapter is there and its kernels pass a
   * check, else the CPU.
   */
  readonly device?: DeviceType | "auto" | undefined;
  /**
   * Threads of the CPU backend; 1 computes on the calling thread. Default: the number of processors, at
   * most 16.
   */
  readonly threads?: number | undefined;
  /** Instruction set of the CPU backend. Default: the best this engine accepts. */
  readonly simd?: SimdVariant | undefined;
  /**
   * Compiled kernels of the CPU backend, where compiling from bytes is forbidden. With those of plain SIMD
   * beside relaxed SIMD, pictures have the same bytes as elsewhere.
   */
  readonly module?: KernelModule | readonly KernelModule[] | undefined;
  /** Why the CPU backend is asked for, for `device.reason`. Default: `"asked for"`. */
  readonly reason?: string | undefined;
}

/**
 * Makes the backend that models run on. `backend.device` tells which it is and why.
 *
 * @throws {RangeError} If an option is out of range.
 * @throws {Error} If `"webgpu"` was asked for and there is no adapter, or its kernels compute wrongly.
 *
 * @example
 * ```ts
 * import { createBackend } from "@vq-diffusion/vq-diffusion";
 *
 * await using backend = await createBackend({ device: "wasm", threads: 2 });
 * console.log(backend.device.name);
 * ```
 */
export async function createBackend(options: CreateBackendOptions = {}): Promise<Backend> {
  const { device = "auto" } = options;
  checkChoice({ task: "create a backend", name: "device" }, device, ["auto", "wasm", "webgpu"]);
  if (device === "wasm") return await onCpu({ reason: "asked for", ...options });
  const gpu = await tryWebGpu(device === "webgpu");
  if (typeof gpu !== "string") return gpu;
  if (device === "webgpu") throw new Error(`Cannot use WebGPU: ${gpu}`);
  return await onCpu({ ...options, reason: gpu });
}

/** A backend on the CPU; loaded when one is asked for, as a GPU's is. */
async function onCpu(options: WasmBackendOptions): Promise<Backend> {
  const { createWasmBackend } = await import("./wasm/wasm_backend.ts");
  return await createWasmBackend(options);
}

/** Options of {@linkcode createDryBackend}. */
export interface DryBackendOptions {
  /** The kind of device whose memory is counted. Default: `"wasm"`. */
  readonly device?: DeviceType | undefined;
  /** Threads of a CPU. Default: as many as `createBackend` takes. */
  readonly threads?: number | undefined;
  /** Bytes that can be taken of a CPU's memory at most. Default: any number. */
  readonly memoryLimit?: number | undefined;
  /** A backend of this kind that is there, which spares making another one's kernels. */
  readonly like?: Backend | undefined;
}

/**
 * Makes a backend that needs no device: it computes nothing and counts the memory that a real one would
 * take, by the same code. Arrays may come to it without their elements; what is read from it is zero.
 */
export async function createDryBackend(options: DryBackendOptions = {}): Promise<Backend> {
  if (options.device === "webgpu") {
    const { createDryWebGpuBackend } = await import("./webgpu/dry.ts");
    return createDryWebGpuBackend();
  }
  const { createDryWasmBackend } = await import("./wasm/dry.ts");
  return await createDryWasmBackend(options);
}

/** A backend on a GPU that passes the check, or why there is none. */
async function tryWebGpu(askedFor: boolean): Promise<Backend | string> {
  if (!globalThis.navigator?.gpu) return "no WebGPU in this runtime";
  let backend: Backend | undefined;
  try {
    const { createWebGpuBackend, probeWebGpu, selfCheck } = await import("./webgpu/mod.ts");
    const { adapter, reason } = await probeWebGpu({ allowSoftware: askedFor });
    if (!adapter) return reason;
    backend = await createWebGpuBackend({
      adapter,
      allowSoftware: askedFor,
      reason: askedFor ? "asked for" : "a hardware WebGPU adapter",
    });
    const fault = await selfCheck(backend);
    if (fault === undefined) return backend;
    throw new Error(fault);
  } catch (error) {
    await backend?.dispose();
    return error instanceof Error ? error.message : String(error);
  }
}
