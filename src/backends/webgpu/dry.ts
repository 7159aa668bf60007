/**
 * A WebGPU backend that takes memory on paper only: the real one, on a GPU that does nothing.
 *
 * @module
 */

import { WebGpuBackend } from "./backend.ts";
import { Device } from "./device.ts";

/** What every GPU allows at least; and memory bindings of any size, as parts add up to the same. */
const LIMITS: Partial<GPUSupportedLimits> = {
  maxBufferSize: Infinity,
  maxStorageBufferBindingSize: Infinity,
  maxComputeWorkgroupStorageSize: 16384,
  maxComputeWorkgroupsPerDimension: 65535,
  minUniformBufferOffsetAlignment: 256,
};

/** Makes a backend that only counts memory. */
export function createDryWebGpuBackend(): WebGpuBackend {
  const device = new Device(dryGpu(), { owned: true, hollow: true });
  const name = "WebGPU, on paper";
  return new WebGpuBackend(device, { type: "webgpu", name, reason: "asked for", threads: 1 });
}

/** The part of a device that the backend uses, none of which does anything. */
function dryGpu(): GPUDevice {
  const nothing = () => {};
  const done = () => Promise.resolve();
  const pass = {
    setPipeline: nothing,
    setBindGroup: nothing,
    dispatchWorkgroups: nothing,
    end: nothing,
  };
  const encoder = {
    beginComputePass: () => pass,
    copyBufferToBuffer: nothing,
    finish: () => ({}),
  };
  const gpu = {
    limits: LIMITS,
    lost: new Promise(nothing),
    queue: { writeBuffer: nothing, submit: nothing, onSubmittedWorkDone: done },
    createBuffer: ({ size }: GPUBufferDescriptor) => ({
      size,
      destroy: nothing,
      mapAsync: done,
      getMappedRange: (_offset: number, bytes: number) => new ArrayBuffer(bytes),
    }),
    createBindGroupLayout: () => ({}),
    createBindGroup: () => ({}),
    createShaderModule: () => ({}),
    createPipelineLayout: () => ({}),
    createComputePipelineAsync: () => Promise.resolve({}),
    createCommandEncoder: () => encoder,
    pushErrorScope: nothing,
    popErrorScope: () => Promise.resolve(null),
    destroy: nothing,
  };
  return gpu as unknown as GPUDevice;
}
