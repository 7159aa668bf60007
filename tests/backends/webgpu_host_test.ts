// The parts of the WebGPU backend that need no GPU.

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import type { Backend } from "../../src/backends/backend.ts";
import { createOracle } from "./oracle_backend.ts";
import { chooseTile, MATMUL_TILES } from "../../src/backends/webgpu/kernels/linear.ts";
import { isSoftwareAdapter, probeWebGpu } from "../../src/backends/webgpu/probe.ts";
import { truncationBound } from "../../src/backends/webgpu/kernels/truncation.ts";
import { selfCheck } from "../../src/backends/webgpu/self_check.ts";
import { Random } from "./operations/trial.ts";

function info(description: string, isFallbackAdapter = false): GPUAdapterInfo {
  return {
    vendor: "",
    architecture: "",
    device: "",
    description,
    isFallbackAdapter,
    subgroupMinSize: 4,
    subgroupMaxSize: 128,
  } as GPUAdapterInfo;
}

Deno.test("isSoftwareAdapter() knows drivers that compute on the CPU", () => {
  const software = [
    "llvmpipe (LLVM 15.0.6, 256 bits)",
    "SwiftShader Device (Subzero)",
    "Microsoft Basic Render Driver",
  ];
  software.forEach((name) => assert(isSoftwareAdapter(info(name)), name));
  const hardware = ["NVIDIA H100 80GB HBM3", "Apple M3", "AMD Radeon RX 7900", ""];
  hardware.forEach((name) => assert(!isSoftwareAdapter(info(name)), name));
  assert(isSoftwareAdapter(info("unheard-of", true)));
});

Deno.test("probeWebGpu() says why there is no adapter", async () => {
  const own = Object.getOwnPropertyDescriptor(globalThis.navigator, "gpu");
  const setGpu = (value: unknown) =>
    Object.defineProperty(globalThis.navigator, "gpu", { value, configurable: true });
  try {
    for (
      const [gpu, reason] of [
        [undefined, "no WebGPU in this runtime"],
        [{ requestAdapter: () => Promise.resolve(null) }, "no WebGPU adapter"],
        [{ requestAdapter: () => Promise.reject(new Error("driver crashed")) }, "driver crashed"],
        [
          { requestAdapter: () => Promise.resolve({ info: info("llvmpipe") }) },
          "the only WebGPU adapter, llvmpipe, computes on the CPU",
        ],
      ] as const
    ) {
      setGpu(gpu);
      const probe = await probeWebGpu();
      assertEquals(probe.adapter, undefined);
      assertStringIncludes(probe.reason, reason);
    }
    const adapter = { info: info("NVIDIA H100") };
    setGpu({ requestAdapter: () => Promise.resolve(adapter) });
    const found = await probeWebGpu();
    assert(Object.is(found.adapter, adapter));
    assertEquals(found.reason, "NVIDIA H100");
  } finally {
    if (own) Object.defineProperty(globalThis.navigator, "gpu", own);
    else Reflect.deleteProperty(globalThis.navigator, "gpu");
  }
});

Deno.test("chooseTile() takes large tiles for large results only", () => {
  assertEquals(chooseTile(2048, 5632), MATMUL_TILES[0]!);
  // What selfCheck() takes to try the largest.
  assertEquals(chooseTile(1536, 1024), MATMUL_TILES[0]!);
  assertEquals(chooseTile(128, 192), MATMUL_TILES.at(-1)!);
});

Deno.test("truncationBound() is where a sum rounded to float32 reaches the rate", () => {
  const random = new Random(1);
  const rates = [1, 0.5, 0.86, 2 ** -10, ...Array.from({ length: 50 }, () => random.uniform())];
  for (const rate of rates) {
    const [high, middle, low] = truncationBound(rate);
    assert(middle < 2 ** 14 && low < 2 ** 14);
    const units = high * 2 ** 28 + middle * 2 ** 14 + low;
    const isBelow = (units: number) => Math.fround(units * 2 ** -42) < Math.fround(rate);
    assert(isBelow(units - 1) && !isBelow(units), `rate ${rate}`);
  }
  assertEquals(truncationBound(0), [0, 0, 0]);
  assertEquals(truncationBound(Number.MAX_VALUE), truncationBound(2048));
});

Deno.test("selfCheck() finds nothing wrong with the oracle", async () => {
  await using backend = await createOracle();
  assertEquals(await selfCheck(backend), undefined);
});

Deno.test("selfCheck() names the operation that is wrong", async () => {
  await using backend = await createOracle();
  const broken: Backend = Object.create(backend, {
    device: { value: { ...backend.device, name: "broken" } },
    frame: {
      value: () => {
        const frame = backend.frame();
        return Object.assign(frame, { layerNorm: frame.normalizeRows });
      },
    },
    tensor: { value: backend.tensor.bind(backend) },
    linearWeight: { value: backend.linearWeight.bind(backend) },
    convWeight: { value: backend.convWeight.bind(backend) },
  });
  const verdict = await selfCheck(broken);
  assertStringIncludes(verdict ?? "", "layerNorm is wrong on this device: element 0 is");
});
