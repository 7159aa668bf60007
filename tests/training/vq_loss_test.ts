// The loss of the VQ model and its gradients, against those of diffusers' VQModel.

import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { backward } from "../../src/autograd/backward.ts";
import { TapeFrame } from "../../src/autograd/tape_frame.ts";
import type { Backend } from "../../src/backends/backend.ts";
import { channelsFirst, channelsLast } from "../../src/models/image_layout.ts";
import { VQLoss, type VQLossOptions } from "../../src/training/vq_loss.ts";
import { recordVQTerms } from "../../src/training/vq_terms.ts";
import { BACKENDS } from "../backends/backends.ts";
import { assertClose, settle } from "../backends/operations/trial.ts";
import { makeWebGpu, WITHOUT_WEBGPU } from "../backends/webgpu_adapter.ts";
import { assertGoldenGradients, GoldenArrays, goldenVQModel } from "./golden_training.ts";

const SIZES = { batch: 2, height: 16, width: 16 };

const VARIANTS = {
  l1: { reconstruction: "l1", codebookWeight: 1, commitmentWeight: 0.25 },
  l2: { reconstruction: "l2", codebookWeight: 1, commitmentWeight: 0.25 },
  l2_legacy: { reconstruction: "l2", codebookWeight: 0.25, commitmentWeight: 1 },
} as const;

interface Maker {
  readonly name: string;
  readonly slow: boolean;
  readonly ignore: boolean;
  readonly make: () => Promise<Backend>;
}

const MAKERS: readonly Maker[] = [
  ...BACKENDS.map((backend) => ({ ...backend, ignore: false })),
  { name: "WebGPU", slow: false, ignore: WITHOUT_WEBGPU, make: makeWebGpu },
];

/** The reference's own error of the loss is 2e-7, of gradients 9e-7. */
const LOSS = { absolute: 0, relative: 1e-5 };

for (const { name, slow, ignore, make } of MAKERS) {
  for (const [variant, options] of Object.entries(VARIANTS)) {
    // The oracle takes half a minute for each.
    if (slow && variant !== "l2") continue;
    Deno.test({
      name: `${name}: VQLoss gives loss and gradients of diffusers' VQModel: ${variant}`,
      ignore,
      fn: async () => {
        await using backend = await make();
        const { model, parameters } = await goldenVQModel(backend);
        await using _model = model;
        using loss = new VQLoss(model, parameters, { ...SIZES, ...options });
        const io = new GoldenArrays("vq/io");
        const result = await loss.compute(io.floats("image_0"));
        const [reconstruction, quantization, total] = io.floats(`losses_${variant}`);
        const { codebookWeight, commitmentWeight } = options;
        assertClose([result.reconstruction], [reconstruction!], LOSS, "reconstruction");
        const weighted = (codebookWeight + commitmentWeight) * result.quantization;
        assertClose([weighted], [quantization!], LOSS, "codebook and commitment");
        assertClose([result.loss], [total!], LOSS, "loss");
        assertEquals(result.indices, io.ids("indices"));
        await assertGoldenGradients(loss.gradients, new GoldenArrays(`vq/grad_${variant}`));
        const names = parameters.tensors.flatMap(({ arrays }) => arrays.map(([name]) => name));
        assertEquals(new Set(names), new Set(new GoldenArrays("vq/grad_l2").names()));
      },
    });

    if (slow) continue;
    Deno.test({
      name: `${name}: recordVQTerms() leads gradients straight through to latents: ${variant}`,
      ignore,
      fn: async () => {
        await using backend = await make();
        const { model, parameters } = await goldenVQModel(backend);
        await using _model = model;
        const io = new GoldenArrays("vq/io");
        using frame = backend.frame();
        const tape = new TapeFrame(frame);
        parameters.record(tape);
        using images = backend.tensor(io.floats("image_0"), [2, 3, 16, 16]);
        const { latents, starts } = recordVQTerms(
          tape,
          model,
          channelsLast(tape, images),
          options,
        );
        const [gradient] = backward(tape, starts, [latents]);
        const [values, slopes] = [latents, gradient!].map((x) => channelsFirst(frame, x));
        await frame.run();
        assertClose(await values!.data(), io.floats("latents"), { absolute: 1e-5 }, "latents");
        const golden = io.floats(`latents_grad_${variant}`);
        const largest = golden.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
        assertClose(await slopes!.data(), golden, { absolute: 1e-6 * largest + 1e-5 }, "gradient");
      },
    });
  }
}

const { make } = BACKENDS[1]!;

Deno.test("VQLoss leaves the codebook out of the gradients if its weight is 0", async () => {
  await using backend = await make();
  const { model, parameters } = await goldenVQModel(backend);
  await using _model = model;
  const options = { ...SIZES, codebookWeight: 0, commitmentWeight: 1 };
  using loss = new VQLoss(model, parameters, options);
  const golden = new GoldenArrays("vq/ema_ones");
  const { reconstruction, quantization, latents } = await loss.compute(
    new GoldenArrays("vq/io").floats("image_0"),
  );
  assertClose([reconstruction, quantization], golden.floats("losses"), LOSS, "losses");
  assertEquals(latents.length, 2 * 64 * 4);
  const names = loss.gradients.flatMap(({ parameter }) => parameter.arrays.map(([name]) => name));
  assertEquals(names.includes("quantize.embedding.weight"), false);
  assertEquals(names.length, new GoldenArrays("vq/grad_l2").names().length - 1);
  await assertGoldenGradients(loss.gradients, golden, "grad.");
});

Deno.test("VQLoss computes the same again, and the same on any number of threads", async () => {
  const { createWasmBackend } = await import("../../src/backends/wasm/wasm_backend.ts");
  const images = new GoldenArrays("vq/io").floats("image_1");
  const runs = [];
  for (const threads of [1, 3]) {
    await using backend = await createWasmBackend({ threads });
    const { model, parameters } = await goldenVQModel(backend);
    await using _model = model;
    using loss = new VQLoss(model, parameters, SIZES);
    for (let run = 0; run < 2; run++) {
      const result = await loss.compute(images);
      const gradients = await Promise.all(loss.gradients.map(({ gradient }) => gradient.data()));
      runs.push({ result, gradients });
    }
  }
  for (const run of runs.slice(1)) assertEquals(run, runs[0]);
});

Deno.test("VQLoss refuses options and images that do not fit, and gives all memory back", async () => {
  await using backend = await make();
  const { model, parameters } = await goldenVQModel(backend);
  await using _model = model;
  const { bytes } = backend.memoryUse();
  const cases: [Partial<VQLossOptions>, string][] = [
    [{ batch: 0 }, "batch is 0"],
    [{ height: 15 }, "height is 15, expected a multiple of 2"],
    [{ width: 1 }, "width is 1"],
    [{ reconstruction: "l3" as "l2" }, 'reconstruction is "l3"'],
    [{ codebookWeight: -1 }, "codebookWeight is -1"],
    [{ commitmentWeight: NaN }, "commitmentWeight is NaN"],
  ];
  for (const [options, message] of cases) {
    const make = () => new VQLoss(model, parameters, { ...SIZES, ...options });
    assertThrows(make, RangeError, message);
  }
  {
    using loss = new VQLoss(model, parameters, SIZES);
    const images = new Float32Array(2 * 3 * 256);
    await assertRejects(() => loss.compute(images.subarray(1)), RangeError, "the length of images");
    const broken = images.with(7, NaN);
    await assertRejects(() => loss.compute(broken), RangeError, "images[7] is NaN");
  }
  await settle(backend);
  assertEquals(backend.memoryUse().bytes, bytes);
});
