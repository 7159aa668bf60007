// The adapter that WebGPU is tested on, and backends on it.

import {
  createWebGpuBackend,
  type WebGpuBackend,
  type WebGpuOptions,
} from "../../src/backends/webgpu/backend.ts";
import { probeWebGpu } from "../../src/backends/webgpu/probe.ts";

/** An adapter, software ones too; undefined if there is none. */
export async function testAdapter(): Promise<GPUAdapter | undefined> {
  const { adapter } = await probeWebGpu({ allowSoftware: true });
  // Mesa's OpenGL on the CPU takes minutes to compile what its Vulkan compiles at once. It says of
  // itself just what that says; only Vulkan has this feature.
  const isOpenGl = adapter?.info.isFallbackAdapter && !adapter.features.has("float32-filterable");
  return isOpenGl ? undefined : adapter;
}

/** Whether tests of WebGPU have to be ignored, for want of an adapter. */
export const WITHOUT_WEBGPU: boolean = await testAdapter() === undefined;

/** A device of its own for a test, with the limits that every GPU has. */
export async function testDevice(): Promise<GPUDevice> {
  return await (await testAdapter())!.requestDevice();
}

/** A backend, on software too. */
export function makeWebGpu(options: Partial<WebGpuOptions> = {}): Promise<WebGpuBackend> {
  return createWebGpuBackend({ reason: "asked for", allowSoftware: true, ...options });
}
