// The WebGPU backend: the suite of operations, the variants of its kernels, and what it asks of the
// GPU. Runs on whatever adapter there is, software ones too; without one all is reported as ignored.

import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import type { Tensor } from "../../src/backends/backend.ts";
import { createWebGpuBackend, type WebGpuBackend } from "../../src/backends/webgpu/backend.ts";
import { MATMUL_TILES } from "../../src/backends/webgpu/kernels/linear.ts";
import { probeWebGpu } from "../../src/backends/webgpu/probe.ts";
import { selfCheck } from "../../src/backends/webgpu/self_check.ts";
import { testOperations } from "./operations.ts";
import { compare, sumTolerance, Trial } from "./operations/trial.ts";
import { makeWebGpu, testAdapter, testDevice, WITHOUT_WEBGPU } from "./webgpu_adapter.ts";

const ignore = WITHOUT_WEBGPU;

if (ignore) Deno.test.ignore("WebGPU: Frame's operations", () => {});
else testOperations("WebGPU", makeWebGpu);

/** A small network of every kind of operation that takes scratch memory. */
function network(t: Trial): Tensor {
  const { frame } = t;
  const image = frame.conv2d(t.floats(1, 4, 4, 8), t.conv(8, 8, 3));
  const parameters = { weight: t.floats(8), bias: t.floats(8) };
  const normed = frame.groupNorm(image, { ...parameters, groups: 2, eps: 1e-6, silu: true });
  const rows = frame.linear(frame.reshape(normed, [16, 8]), t.linear([12], 8));
  const logProbs = frame.logSoftmax(frame.reshape(rows, [1, 16, 12]));
  frame.sampleStep(logProbs, {
    latents: t.ids(new Int32Array(16).fill(12), 1, 16),
    noise: t.floatsIn(0, 1, 1, 13, 16),
    schedule: t.floatsIn(-3, 0, 3, 6),
    row: t.ids([1], 1),
    truncationRate: 0.9,
  });
  return logProbs;
}

Deno.test({
  name: "WebGPU: Frame.run() submits once and reads nothing back",
  ignore,
  fn: async () => {
    await using backend = await makeWebGpu();
    using trial = new Trial(backend);
    const result = network(trial);
    await trial.frame.run();
    const before = backend.stats;
    for (let i = 0; i < 5; i++) await trial.frame.run();
    assertEquals(backend.stats, { ...before, submissions: before.submissions + 5 });
    await result.data();
    assertEquals(backend.stats.readbacks, before.readbacks + 1);
  },
});

Deno.test({
  name: "WebGPU: Frame.dispose() leaves no buffer behind in hundreds of frames",
  ignore,
  fn: async () => {
    await using backend = await makeWebGpu();
    let first: WebGpuBackend["stats"] | undefined;
    for (let i = 0; i < 200; i++) {
      {
        using trial = new Trial(backend);
        network(trial);
        await trial.frame.run();
      }
      first ??= backend.stats;
      const { buffers, bytes, pipelines } = backend.stats;
      assertEquals({ buffers, bytes, pipelines }, {
        buffers: 0,
        bytes: 0,
        pipelines: first.pipelines,
      });
    }
  },
});

Deno.test({
  name: "WebGPU: Frame.linear() joins weights split for the binding limit",
  ignore,
  fn: async () => {
    await using backend = await makeWebGpu({ maxBindingBytes: 4096 });
    for (const held of ["fp32", "fp16", "q8"] as const) {
      // 130 rows of 62 columns, in parts of 16, 32 and 64 rows.
      await compare(
        backend,
        held,
        (t) => {
          const weight = t.linear([97, 33], 62, { stored: held === "q8" ? "i8" : "f32", held });
          return t.frame.linear(t.floats(7, 62), weight, { activation: "silu" });
        },
        // The oracle quantises activations of q8 too.
        { absolute: held === "q8" ? 0.15 : 2 * sumTolerance(62) },
      );
    }
    await compare(
      backend,
      "conv2d",
      (t) => t.frame.conv2d(t.floats(1, 5, 3, 20), t.conv(19, 20, 3)),
      { absolute: sumTolerance(180) },
    );
  },
});

Deno.test({
  name: "WebGPU: Frame.embedding() looks up tables split for the binding limit",
  ignore,
  fn: async () => {
    await using backend = await makeWebGpu({ maxBindingBytes: 4096 });
    for (const columns of [3, 24, 64]) {
      await compare(
        backend,
        `${columns} columns`,
        (t) => {
          const ids = t.ids(t.random.ints(12, 500), 2, 6);
          return t.frame.embedding(ids, t.floats(500, columns), t.floats(6, columns));
        },
        { absolute: 0 },
      );
    }
  },
});

Deno.test({
  name: "WebGPU: Frame refuses what no binding can hold, by name and size",
  ignore,
  fn: async () => {
    await using backend = await makeWebGpu({ maxBindingBytes: 4096 });
    using trial = new Trial(backend);
    const error = assertThrows(() => trial.frame.geglu(trial.floats(64, 32)), RangeError);
    assertStringIncludes(error.message, "geglu on 8.0 KiB at once");
    assertStringIncludes(error.message, "4.0 KiB");
    const { maxBufferSize } = (await testAdapter())!.limits;
    const shape = [Math.ceil((maxBufferSize + 1) / 4)];
    const tooLarge = assertThrows(() => trial.frame.empty(shape, "f32"), RangeError);
    assertStringIncludes(tooLarge.message, "for empty: this GPU allows");
  },
});

for (const tile of MATMUL_TILES) {
  Deno.test({
    name: `WebGPU: Frame.linear() and conv2d() agree with tiles of ${tile.rows}×${tile.columns}`,
    ignore,
    fn: async () => {
      await using backend = await makeWebGpu({ tuning: { matmulTile: tile } });
      for (const [rows, inner, outs] of [[1, 5, 3], [130, 68, 66], [65, 33, 129]] as const) {
        await compare(
          backend,
          `${rows} × ${inner} → ${outs}`,
          (t) => t.frame.linear(t.floats(rows, inner), t.linear([outs], inner)),
          { absolute: sumTolerance(inner) },
        );
      }
      await compare(
        backend,
        "conv2d",
        (t) => t.frame.conv2d(t.floats(2, 7, 9, 12), t.conv(70, 12, 3), { upsample: true }),
        { absolute: sumTolerance(108) },
      );
    },
  });
}

for (const [queries, keys] of [[32, 32], [64, 16], [32, 64]] as const) {
  Deno.test({
    name: `WebGPU: Frame.attention() agrees with tiles of ${queries}×${keys}`,
    ignore,
    fn: async () => {
      await using backend = await makeWebGpu({ tuning: { attentionTile: { queries, keys } } });
      for (const [rows, heads, headDim] of [[70, 2, 22], [33, 1, 88], [20, 1, 200]] as const) {
        for (const causal of [false, true]) {
          await compare(
            backend,
            `${rows} rows, ${heads} heads of ${headDim}, causal ${causal}`,
            (t) => {
              const [q, k, v] = [0, 1, 2].map(() => ({
                tensor: t.floats(2 * rows, heads * headDim),
                offset: 0,
              }));
              const scale = headDim ** -0.5;
              return t.frame.attention(q!, k!, v!, { batch: 2, heads, headDim, scale, causal });
            },
            { absolute: 8 * sumTolerance(rows) },
          );
        }
      }
    },
  });
}

Deno.test({
  name: "WebGPU: Frame.attention() and linear() fit in the memory that every GPU has",
  ignore,
  fn: async () => {
    const device = await testDevice();
    assertEquals(device.limits.maxComputeWorkgroupStorageSize, 16384);
    {
      await using backend = await makeWebGpu({ device });
      for (const headDim of [22, 88, 144, 512]) {
        await compare(
          backend,
          `head of ${headDim}`,
          (t) => {
            const rows = { tensor: t.floats(20, headDim), offset: 0 };
            const options = { batch: 1, heads: 1, headDim, scale: headDim ** -0.5 };
            return t.frame.attention(rows, rows, rows, options);
          },
          { absolute: 8 * sumTolerance(20) },
        );
      }
      for (const tile of MATMUL_TILES) {
        const bytes = (tile.rows + tile.columns) * (tile.depth / 4 + 1) * 16;
        assert(bytes <= 16384, `tile of ${tile.rows}×${tile.columns}: ${bytes} bytes`);
      }
    }
    device.destroy();
  },
});

Deno.test({
  name: "WebGPU: selfCheck() finds nothing wrong and gives all memory back",
  ignore,
  fn: async () => {
    await using backend = await makeWebGpu();
    assertEquals(await selfCheck(backend), undefined);
    assertEquals(backend.memoryUse(), { bytes: 0, allocations: 0 });
    const { submissions } = backend.stats;
    await selfCheck(backend);
    assertEquals(backend.stats.submissions, submissions, "the verdict is kept");
  },
});

Deno.test({
  name: "WebGPU: createWebGpuBackend() refuses software unless it is allowed",
  ignore: !(await testAdapter())?.info.isFallbackAdapter,
  fn: async () => {
    const found = await probeWebGpu();
    assertEquals(found.adapter, undefined);
    assertStringIncludes(found.reason, "computes on the CPU");
    const error = await createWebGpuBackend({ reason: "asked for" }).catch((error) => error);
    assert(error instanceof Error);
    assertStringIncludes(error.message, "computes on the CPU");
  },
});
