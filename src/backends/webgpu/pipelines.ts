/**
 * Compiling kernels, many at a time.
 *
 * @module
 */

import { COMPUTE_STAGE } from "./flags.ts";
import { type Kernel, shaderSource } from "./kernels/kernel.ts";

/** What compiling needs of a device. */
export interface CompilingDevice {
  /** The device. */
  readonly gpu: GPUDevice;
  /** Throws if nothing can be asked of the device any more. */
  assertUsable(): void;
  /** Waits for a promise, and no longer once the device is lost. */
  until<T>(promise: Promise<T>): Promise<T>;
  /** Does something; the errors of the GPU arrive by the second result. */
  watch<T>(operation: string, body: () => T): [T, Promise<Error | undefined>];
}

/** A kernel on its way to a pipeline. Bind groups can be made at once, from its layout. */
export interface CompiledKernel {
  /** What it was made of. */
  readonly kernel: Kernel;
  /** Layout of bind group 0. */
  readonly layout: GPUBindGroupLayout;
  /** Settled once `pipeline` is there. @throws {Error} With the compiler's words. */
  readonly ready: Promise<void>;
  /** Undefined before `ready`. */
  pipeline: GPUComputePipeline | undefined;
}

/** Starts to compile a kernel. */
export function compileKernel(device: CompilingDevice, kernel: Kernel): CompiledKernel {
  const { gpu } = device;
  const types: GPUBufferBindingType[] = [
    ...Object.keys(kernel.inputs).map(() => "read-only-storage" as const),
    ...Object.keys(kernel.outputs).map(() => "storage" as const),
    "uniform",
  ];
  const layout = gpu.createBindGroupLayout({
    label: kernel.name,
    entries: types.map((type, binding) => ({
      binding,
      visibility: COMPUTE_STAGE,
      buffer: { type },
    })),
  });
  const compiled: CompiledKernel = {
    kernel,
    layout,
    pipeline: undefined,
    ready: compile(device, kernel, layout).then((pipeline) => {
      compiled.pipeline = pipeline;
    }),
  };
  // Who runs the kernel hears of the failure; nobody may.
  compiled.ready.catch(() => {});
  return compiled;
}

async function compile(
  device: CompilingDevice,
  kernel: Kernel,
  layout: GPUBindGroupLayout,
): Promise<GPUComputePipeline> {
  const { gpu } = device;
  const [module, failure] = device.watch(
    `compilation of ${kernel.name}`,
    () => gpu.createShaderModule({ label: kernel.name, code: shaderSource(kernel) }),
  );
  const pipeline = gpu.createComputePipelineAsync({
    label: kernel.name,
    layout: gpu.createPipelineLayout({ bindGroupLayouts: [layout] }),
    compute: { module, entryPoint: "main" },
  });
  // The error of the module says more than that of the pipeline.
  pipeline.catch(() => {});
  const error = await device.until(failure);
  if (error !== undefined) throw error;
  try {
    return await device.until(pipeline);
  } catch (cause) {
    device.assertUsable();
    throw new Error(`Cannot compile ${kernel.name}: ${(cause as Error).message}`, { cause });
  }
}
