// Training anew: random weights, the image autoencoder, and the whole.

import { assert, assertEquals, assertNotEquals, assertRejects } from "@std/assert";
import { createBackend } from "../../src/backends/select.ts";
import { VQDiffusionPipeline } from "../../src/pipeline/vq_diffusion_pipeline.ts";
import type { Backend } from "../../src/backends/backend.ts";
import { VQModel } from "../../src/models/vq_model.ts";
import { newModel, newModelSettings } from "../../src/training/new_model.ts";
import { train, type TrainEvent, type TrainOptions } from "../../src/training/train.ts";
import { TrainableParameters } from "../../src/training/trainable_parameters.ts";
import { VQTrainer } from "../../src/training/vq_trainer.ts";
import { inTemporaryFolder } from "../temporary_folder.ts";
import { pictures, stripes } from "./pictures.ts";

const LOAD = { device: "wasm", threads: 1 } as const;
const SIZES = { imageSize: 16, codes: 12, layers: 1, vocabSize: 600 } as const;
const CAPTIONS = ["red stripes", "more red stripes"];

/** A new model, loaded. */
async function loadNew(backend: Backend, seed: number): Promise<VQDiffusionPipeline> {
  const folder = await newModel(backend, CAPTIONS, newModelSettings(SIZES), seed);
  return await VQDiffusionPipeline.fromPretrained(folder, { backend });
}

Deno.test("newModel() makes a pipeline that draws, the same for a seed", async () => {
  await using backend = await createBackend(LOAD);
  const draw = async (seed: number) => {
    await using pipe = await loadNew(backend, seed);
    const { images } = await pipe.generate("red", { seed: 1, outputType: "array" });
    return images[0]!;
  };
  const first = await draw(1);
  assertEquals(first.length, 16 * 16 * 3);
  assert(first.every((value) => value >= 0 && value <= 1));
  assertEquals(await draw(1), first);
  assertNotEquals(await draw(2), first);
  await using pipe = await loadNew(backend, 1);
  const { tokenizer, textEncoder, transformer } = pipe.components;
  assertEquals(textEncoder.config.vocabSize, tokenizer.vocabSize);
  // What the captions have in common is a token.
  assertEquals(tokenizer.encode("red stripes").length, 4);
  assertEquals(transformer.config.numVectorEmbeds, 13);
});

/** Trains the autoencoder of a new model, from a state if there is one. */
async function trainedVQ(
  steps: number,
  { from, criticWeight = 0, threads = 1 }: {
    from?: Awaited<ReturnType<VQTrainer["state"]>>;
    criticWeight?: number;
    threads?: number;
  } = {},
) {
  await using backend = await createBackend({ ...LOAD, threads });
  const folder = await newModel(backend, CAPTIONS, newModelSettings(SIZES), 3);
  const parameters = new TrainableParameters();
  await using model = await VQModel.fromPretrained(folder, {
    backend,
    subfolder: "vqvae",
    parameters,
  });
  const images = [0, 1, 2].map((i) => stripes(i, 16));
  const options = { steps: 30, batch: 2, criticWeight };
  using trainer = await VQTrainer.create(model, parameters, images, options);
  if (from) trainer.restore(from);
  const done = [];
  while (trainer.steps < steps) done.push(await trainer.step());
  return { state: await trainer.state(), done, errors: done.map((step) => step.reconstruction) };
}

Deno.test("VQTrainer lowers the error of reconstructions, and goes on from a state", async () => {
  const { state: whole, errors } = await trainedVQ(30);
  const mean = (from: number) => errors.slice(from, from + 5).reduce((sum, x) => sum + x / 5, 0);
  assert(mean(25) < 0.8 * mean(0), `${errors}`);
  const { state: half } = await trainedVQ(22);
  assertNotEquals(half, whole);
  assertEquals((await trainedVQ(30, { from: half })).state, whole);
});

Deno.test("VQTrainer with a critic goes on from any state, the same on any number of threads", async () => {
  const criticWeight = 0.1;
  const { state: whole, done } = await trainedVQ(30, { criticWeight });
  const plain = await trainedVQ(30);
  // Learns from step 16 on, and counts from step 18 on.
  assertEquals(done.findIndex(({ critic }) => critic !== undefined), 15);
  const firstOther = done.findIndex((step, i) =>
    step.reconstruction !== plain.done[i]!.reconstruction
  );
  assertEquals(firstOther, 18);
  for (const steps of [16, 22]) {
    const { state } = await trainedVQ(steps, { criticWeight });
    const { state: same } = await trainedVQ(30, { criticWeight, from: state, threads: 3 });
    assertEquals(same, whole, `after ${steps}`);
  }
});

/** The critic counts in the last step. */
const VQVAE = { steps: 4, batch: 2, criticWeight: 0.1 };

function optionsOf(out: string, options: Partial<TrainOptions> = {}): TrainOptions {
  return {
    out,
    anew: { ...SIZES, vqvae: VQVAE },
    load: LOAD,
    trainer: { steps: 3, batch: 2, warmUp: 1, optimizer: "adamw" },
    saveSeconds: 1e6,
    sampleEvery: 9,
    ...options,
  };
}

Deno.test("train() begins anew, and goes on wherever it was stopped, with the same model", () =>
  inTemporaryFolder(async (path) => {
    const kinds: string[] = [];
    const onEvent = (event: TrainEvent) =>
      void (event.type !== "encode" && "step" in event &&
        kinds.push(`${event.type} ${event.step}`));
    await train(pictures(3), optionsOf(`${path}/whole`, { onEvent }));
    assertEquals(kinds, [
      ...["vqvae 1", "vqvae 2", "vqvae 3", "vqvae 4"],
      ...["step 1", "step 2", "step 3", "save 3", "samples 3"],
    ]);
    for (const stop of ["vqvae 2", "vqvae 4", "step 2"]) {
      const out = `${path}/${stop.replace(" ", "-")}`;
      const controller = new AbortController();
      const stopThere = (event: TrainEvent) => {
        if ("step" in event && `${event.type} ${event.step}` === stop) {
          controller.abort(new Error("enough"));
        }
      };
      const options = optionsOf(out, { onEvent: stopThere, signal: controller.signal });
      await assertRejects(() => train(pictures(3), options), Error, "enough");
      // As a program leaves it that is killed while the whole model takes its place.
      if (stop === "vqvae 4") await Deno.writeTextFile(`${out}/training/start/.incomplete`, "");
      await train(pictures(3), optionsOf(out));
      for (const name of ["transformer", "vqvae"]) {
        const file = `${name}/diffusion_pytorch_model.safetensors`;
        const [found, expected] = [out, `${path}/whole`].map((folder) =>
          Deno.readFileSync(`${folder}/${file}`)
        );
        assertEquals(found, expected, `${name} stopped after ${stop}`);
      }
    }
    await using pipe = await VQDiffusionPipeline.fromPretrained(`${path}/whole`, LOAD);
    assertEquals((await pipe.generate("stripes 1", { seed: 1 })).images[0]!.width, 16);
    assertEquals((await pipe.knownNames())?.names, ["stripes 0", "stripes 1", "stripes 2"]);
    const other = optionsOf(`${path}/whole`, {
      anew: { ...SIZES, codes: 13, vqvae: VQVAE },
    });
    await assertRejects(
      () => train(pictures(3), other),
      RangeError,
      "codes is 13, expected 12 as when it began",
    );
  }));

Deno.test("train() refuses sizes of new models that do not fit, before it begins", () =>
  inTemporaryFolder(async (path) => {
    const refuse = async (options: Partial<TrainOptions>, message: string) => {
      const all = optionsOf(`${path}/model`, options);
      const error = await assertRejects(() => train(pictures(1), all), Error);
      assert(error.message.includes(message), error.message);
    };
    await refuse({ anew: { imageSize: 60 } }, "imageSize is 60, expected a multiple of 8");
    await refuse({ anew: { codes: 1 } }, "codes is 1");
    await refuse({ anew: { layers: 0 } }, "layers is 0");
    await refuse({ anew: { vqvae: { steps: 0 } } }, "steps is 0");
    await refuse({ anew: { vqvae: { criticWeight: -1 } } }, "criticWeight is -1");
    await refuse({ from: "model" }, "from is");
    assertEquals([...Deno.readDirSync(path)], []);
  }));
