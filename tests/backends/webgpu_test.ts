// The WebGPU backend: the suite of operations, and what only a GPU has to show. Runs on whatever
// adapter there is, software ones too; without one the tests are reported as ignored.

import { probeWebGpu } from "../../src/backends/webgpu/probe.ts";
import { createWebGpuBackend } from "../../src/backends/webgpu/backend.ts";
import { testOperations } from "./operations.ts";

const { adapter } = await probeWebGpu({ allowSoftware: true });

if (adapter) {
  testOperations("WebGPU", () => createWebGpuBackend({ reason: "asked for", allowSoftware: true }));
} else {
  Deno.test.ignore("WebGPU: Frame's operations", () => {});
}
