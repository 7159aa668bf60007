// The training loss and its gradients, against those of Microsoft's original.

import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import type { Backend } from "../../src/backends/backend.ts";
import { createDryBackend } from "../../src/backends/select.ts";
import { DiffusionLoss, type DiffusionLossOptions } from "../../src/training/diffusion_loss.ts";
import { BACKENDS } from "../backends/backends.ts";
import { assertClose } from "../backends/operations/trial.ts";
import { makeWebGpu, WITHOUT_WEBGPU } from "../backends/webgpu_adapter.ts";
import {
  assertGoldenGradients,
  GoldenArrays,
  goldenBatch,
  goldenScheduler,
  goldenTransformer,
} from "./golden_training.ts";

const VARIANTS: Readonly<Record<string, Partial<DiffusionLossOptions>>> = {
  main: { auxiliaryLossWeight: 5e-4 },
  aux0: { auxiliaryLossWeight: 0 },
  not_adaptive: { auxiliaryLossWeight: 5e-3, adaptiveAuxiliaryLoss: false },
};

const MAKERS: readonly { name: string; ignore: boolean; make: () => Promise<Backend> }[] = [
  ...BACKENDS.map((backend) => ({ ...backend, ignore: false })),
  { name: "WebGPU", ignore: WITHOUT_WEBGPU, make: makeWebGpu },
];

for (const { name, ignore, make } of MAKERS) {
  for (const [variant, options] of Object.entries(VARIANTS)) {
    Deno.test({
      name: `${name}: DiffusionLoss gives loss and gradients of the original: ${variant}`,
      ignore,
      fn: async () => {
        await using backend = await make();
        const { transformer, parameters } = await goldenTransformer(backend);
        await using _transformer = transformer;
        const sizes = { batch: 4, length: 5 };
        const schedules = await goldenScheduler();
        using loss = new DiffusionLoss(transformer, parameters, schedules, {
          ...sizes,
          ...options,
        });
        const golden = new GoldenArrays(`text/batch_${variant}`);
        const result = await loss.compute(goldenBatch(golden));
        // The original's own float32 error of KL and NLL is 1.6e-5, of the loss 1.3e-6 (relative).
        assertClose(result.kl, golden.floats("kl"), { absolute: 2e-4 }, "kl");
        assertClose(result.nll, golden.floats("nll"), { absolute: 2e-4 }, "nll");
        assertClose(result.bounds, golden.floats("kl_loss"), { absolute: 2e-4 }, "kl_loss");
        const scale = { absolute: 0, relative: 1e-5 };
        assertClose([result.loss], golden.floats("loss"), scale, "loss");
        await assertGoldenGradients(loss.gradients, new GoldenArrays(`text/grad_${variant}`));
      },
    });
  }
}

Deno.test("DiffusionLoss weights pixels by whether they are masked", async () => {
  await using backend = await BACKENDS[1]!.make();
  const { transformer, parameters } = await goldenTransformer(backend);
  await using _transformer = transformer;
  const schedules = await goldenScheduler();
  const options = { batch: 4, length: 5, maskWeight: [1, 0.25] } as const;
  using loss = new DiffusionLoss(transformer, parameters, schedules, options);
  const golden = new GoldenArrays("text/batch_main");
  const { loss: value, kl, nll } = await loss.compute(goldenBatch(golden));
  // Of the original's run `mask_weight`, whose batch is that of `main`.
  assertClose([value], [109.0755386352539], { absolute: 0, relative: 1e-5 }, "loss");
  assertClose(nll, golden.floats("nll"), { absolute: 2e-4 }, "nll is not weighted");
  assert(kl.some((term, image) => term < golden.floats("kl")[image]! - 0.01), "kl is");
});

Deno.test("DiffusionLoss gives all memory back", async () => {
  await using backend = await BACKENDS[1]!.make();
  const { transformer, parameters } = await goldenTransformer(backend);
  const { bytes } = backend.memoryUse();
  const schedules = await goldenScheduler();
  {
    using _loss = new DiffusionLoss(transformer, parameters, schedules, { batch: 1, length: 2 });
    assert(backend.memoryUse().bytes > bytes);
  }
  assertEquals(backend.memoryUse().bytes, bytes);
  await transformer.dispose();
  assertEquals(backend.memoryUse().bytes, 0);
});

for (const device of ["wasm", "webgpu"] as const) {
  Deno.test(`${device}: DiffusionLoss takes less memory where it computes again`, async () => {
    await using backend = await createDryBackend({ device, threads: 1 });
    const { transformer, parameters } = await goldenTransformer(backend);
    await using _transformer = transformer;
    const schedules = await goldenScheduler();
    const bytesOf = (batch: number, recompute: boolean) => {
      const before = backend.memoryUse().bytes;
      const options = { batch, length: 5, recompute };
      using _loss = new DiffusionLoss(transformer, parameters, schedules, options);
      return backend.memoryUse().bytes - before;
    };
    const perImage = (recompute: boolean) => bytesOf(264, recompute) - bytesOf(8, recompute);
    // Of its two blocks one at a time; what comes before and after them is kept.
    assert(perImage(true) < 0.8 * perImage(false), `${perImage(true)} of ${perImage(false)}`);
  });
}

Deno.test("DiffusionLoss refuses options and batches that do not fit, before it computes", async () => {
  await using backend = await BACKENDS[1]!.make();
  const { transformer, parameters } = await goldenTransformer(backend);
  await using _transformer = transformer;
  const schedules = await goldenScheduler();
  const make = (options: DiffusionLossOptions) =>
    new DiffusionLoss(transformer, parameters, schedules, options);
  assertThrows(() => make({ batch: 0, length: 5 }), RangeError, "batch is 0");
  const negative = { batch: 4, length: 5, auxiliaryLossWeight: -1 };
  assertThrows(() => make(negative), RangeError, "auxiliaryLossWeight is -1");
  const text = { batch: 4, length: 5, recompute: "yes" as unknown as boolean };
  assertThrows(() => make(text), TypeError, 'recompute is "yes"');
  using loss = make({ batch: 4, length: 5 });
  const batch = goldenBatch(new GoldenArrays("text/batch_main"));
  for (
    const [wrong, message] of [
      [{ x0: batch.x0.subarray(1) }, "the length of x0 is 63, expected 64"],
      [{ x0: batch.x0.with(2, 16) }, "x0[2] is 16, expected a number from 0 to 15"],
      [{ xt: batch.xt.with(0, 17) }, "xt[0] is 17"],
      [{ timesteps: batch.timesteps.with(3, 100) }, "timesteps[3] is 100"],
      [{ probabilities: batch.probabilities.with(1, 0) }, "probabilities[1] is 0"],
      [{ encoderHiddenStates: batch.encoderHiddenStates!.with(7, NaN) }, "encoderHiddenStates[7]"],
    ] as const
  ) {
    await assertRejects(() => loss.compute({ ...batch, ...wrong }), RangeError, message);
  }
});
