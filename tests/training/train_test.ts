// Trainings from beginning to end, with their files.

import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { memoryFolder } from "../../src/files/memory_folder.ts";
import { RasterImage } from "../../src/images/raster_image.ts";
import { VQDiffusionPipeline } from "../../src/pipeline/vq_diffusion_pipeline.ts";
import { train, type TrainEvent, type TrainOptions } from "../../src/training/train.ts";
import { startOf } from "../../src/training/train_settings.ts";
import { tinyFiles } from "../pipeline/golden_runs.ts";
import { inTemporaryFolder } from "../temporary_folder.ts";
import { pictures, tinyFolder, writePictures } from "./pictures.ts";

const LOAD = { device: "wasm", threads: 1 } as const;
const TRAINER = { steps: 5, batch: 2, warmUp: 1 } as const;

/** Options of a short training, which saves its state after every step. */
function optionsOf(out: string, options: Partial<TrainOptions> = {}): TrainOptions {
  return {
    out,
    from: tinyFolder(),
    load: LOAD,
    trainer: TRAINER,
    saveSeconds: 0,
    sampleEvery: 2,
    prompts: ["stripes 1", "stripes 2"],
    ...options,
  };
}

/** All files below a folder by path. */
async function filesBelow(folder: string): Promise<Map<string, Uint8Array>> {
  const files = new Map<string, Uint8Array>();
  for await (const { name, isDirectory } of Deno.readDir(folder)) {
    if (!isDirectory) files.set(name, await Deno.readFile(`${folder}/${name}`));
    else {for (const [path, bytes] of await filesBelow(`${folder}/${name}`)) {
        files.set(`${name}/${path}`, bytes);
      }}
  }
  return new Map([...files].sort(([a], [b]) => a < b ? -1 : 1));
}

/** Stops a training after a step, by its signal. */
async function trainUntil(step: number, out: string, options: Partial<TrainOptions> = {}) {
  const controller = new AbortController();
  const onEvent = (event: TrainEvent) => {
    if (event.type === "step" && event.step === step) controller.abort(new Error("enough"));
  };
  await assertRejects(
    () => train(pictures(3), optionsOf(out, { ...options, onEvent, signal: controller.signal })),
    Error,
    "enough",
  );
}

Deno.test("train() writes a model that can be drawn with, its loss and samples", () =>
  inTemporaryFolder(async (path) => {
    await writePictures(`${path}/pictures`, ["a-red-apple.png", "a-pear.png", "a-plum.png"]);
    const events: TrainEvent[] = [];
    const files = tinyFiles();
    files["names.json"] = new TextEncoder().encode(
      JSON.stringify({ names: { Fruit: ["apple"] }, styles: ["flat"] }),
    );
    const from = memoryFolder(files, "tiny");
    const onEvent = (event: TrainEvent) => void events.push(event);
    await train(
      `${path}/pictures`,
      optionsOf(`${path}/model`, { from, onEvent, prompts: undefined }),
    );
    const kinds = events.map((event) => {
      return event.type === "encode"
        ? `encode ${event.done}`
        : `${event.type} ${"step" in event && event.step}`;
    });
    assertEquals(kinds, [
      ...["encode 1", "encode 2", "encode 3"],
      ...["step 1", "save 1", "step 2", "save 2", "samples 2"],
      ...["step 3", "save 3", "step 4", "save 4", "samples 4"],
      ...["step 5", "save 5", "samples 5"],
    ]);
    const written = await filesBelow(`${path}/model/training`);
    assertEquals([...written.keys()], [
      "loss.csv",
      "samples-000002.png",
      "samples-000004.png",
      "samples-000005.png",
      "state.safetensors",
    ]);
    const rows = new TextDecoder().decode(written.get("loss.csv")).trim().split("\n");
    assertEquals(rows[0], "step,loss,grad_norm,learning_rate");
    const steps = events.filter((event) => event.type === "step");
    assertEquals(
      rows.slice(1),
      steps.map(({ step, loss, gradNorm, learningRate }) =>
        [step, loss, gradNorm, learningRate].join(",")
      ),
    );
    await using pipe = await VQDiffusionPipeline.fromPretrained(`${path}/model`, LOAD);
    const { images } = await pipe.generate("a plum", { seed: 1 });
    const sheet = await RasterImage.decode(
      written.get("samples-000005.png") as Uint8Array<ArrayBuffer>,
    );
    assert(sheet.width > images[0]!.width, "several pictures");
    const names = await pipe.knownNames();
    assertEquals(names?.categories, {
      Fruit: ["apple"],
      Trained: ["a pear", "a plum", "a red apple"],
    });
    assertEquals(names?.styles, ["flat"]);
  }));

Deno.test("train() goes on after it was stopped, with the same files in the end", () =>
  inTemporaryFolder(async (path) => {
    await train(pictures(3), optionsOf(`${path}/whole`));
    // Saved by time, nothing but the end of the training saves here.
    await trainUntil(3, `${path}/parts`, { saveSeconds: 1e6 });
    // As a program that is killed while it writes leaves it.
    const leftOver = `${path}/parts/training/state.safetensors.0123abcd.tmp`;
    await Deno.writeTextFile(leftOver, "half");
    const events: TrainEvent[] = [];
    const onEvent = (event: TrainEvent) => void events.push(event);
    // How gradients are computed makes no difference.
    const trainer = { ...TRAINER, recompute: true };
    await train(pictures(3), optionsOf(`${path}/parts`, { trainer, onEvent }));
    assertEquals(events.find(({ type }) => type === "resume"), {
      type: "resume",
      step: 3,
      steps: 5,
    });
    assertEquals(events.filter(({ type }) => type === "step").length, 2);
    assertEquals(await filesBelow(`${path}/parts`), await filesBelow(`${path}/whole`));
  }));

Deno.test("train() trains on one picture", () =>
  inTemporaryFolder(async (path) => {
    await train(pictures(1), optionsOf(`${path}/model`, { prompts: undefined }));
    const { images } = await (async () => {
      await using pipe = await VQDiffusionPipeline.fromPretrained(`${path}/model`, LOAD);
      return await pipe.generate("stripes 0", { seed: 1, numInferenceSteps: 2 });
    })();
    assertEquals(images.length, 1);
  }));

Deno.test("train() refuses to go on with other pictures or settings, but not with other rates", () =>
  inTemporaryFolder(async (path) => {
    const out = `${path}/model`;
    await trainUntil(1, out);
    const before = await filesBelow(out);
    const again = (count: number, trainer: TrainOptions["trainer"] = TRAINER) =>
      train(pictures(count), optionsOf(out, { trainer }));
    await assertRejects(() => again(2), RangeError, "examples is ");
    await assertRejects(
      () => again(3, { ...TRAINER, batch: 3 }),
      RangeError,
      "batch is 3, expected 2",
    );
    await assertRejects(
      () => again(3, { ...TRAINER, optimizer: "adamw" }),
      RangeError,
      "optimizer is adamw, expected muon as when it began",
    );
    assertEquals(await filesBelow(out), before);
    await again(3, { ...TRAINER, steps: 2, learningRate: 1e-4 });
    const text = new TextDecoder().decode((await filesBelow(out)).get("training/loss.csv"));
    assertEquals(text.trim().split("\n").length, 3);
  }));

Deno.test("train() leaves the last good state where the loss is not finite any more", () =>
  inTemporaryFolder(async (path) => {
    const out = `${path}/model`;
    await trainUntil(2, out);
    const before = await filesBelow(out);
    const wild = optionsOf(out, {
      trainer: { ...TRAINER, learningRate: 1e30 },
      saveSeconds: 1e6,
      sampleEvery: 9,
    });
    await assertRejects(
      () => train(pictures(3), wild),
      RangeError,
      "a lower learning rate may help",
    );
    assertEquals(await filesBelow(out), before);
    await train(pictures(3), optionsOf(out));
    // Saved after each step: what the first wild one did shows in the next.
    const saved = optionsOf(`${path}/saved`, {
      trainer: { ...TRAINER, learningRate: 1e30, warmUp: 1 },
      sampleEvery: 9,
    });
    const message = "was saved in .*, so begin again in a new folder";
    const error = await assertRejects(() => train(pictures(3), saved), RangeError);
    assertMatch(error.message, new RegExp(`a lower learning rate may help; .*${message}`));
  }));

Deno.test("train() goes on where the training and the code have been moved", () =>
  inTemporaryFolder(async (path) => {
    const anew = {
      imageSize: 16,
      codes: 12,
      layers: 1,
      vocabSize: 600,
      vqvae: { steps: 1, batch: 1 },
    };
    const options = (out: string): TrainOptions => ({
      ...optionsOf(out, { sampleEvery: 9 }),
      from: undefined,
      anew,
    });
    await train(pictures(3), {
      ...options(`${path}/a`),
      trainer: { ...TRAINER, steps: 1, warmUp: 0 },
    });
    await Deno.rename(`${path}/a`, `${path}/b`);
    const events: TrainEvent[] = [];
    const onEvent = (event: TrainEvent) => void events.push(event);
    const trainer = { ...TRAINER, steps: 2 };
    await train(pictures(3), { ...options(`${path}/b`), trainer, onEvent });
    assertEquals(events.filter(({ type }) => type === "resume").length, 1);
    // That of the embedded model is its content, not its path.
    const description = "/some/where";
    const start = await startOf({}, description);
    assertMatch(start, /^the embedded model [0-9a-f]{64}$/);
    assertEquals(await startOf({ from: "model" }, description), description);
  }));

Deno.test("train() trains though its folder has the name of a checkpoint, and no samples can be drawn", () =>
  inTemporaryFolder(async (path) => {
    const events: TrainEvent[] = [];
    const onEvent = (event: TrainEvent) => void events.push(event);
    const more = { onEvent, trainer: { ...TRAINER, steps: 1, warmUp: 0 } };
    await train(pictures(3), optionsOf(`${path}/cats.pt`, more));
    assertEquals(events.filter(({ type }) => type === "samples").length, 1);
    // More pictures at once than can be drawn.
    const prompts = new Array<string>(2 ** 24).fill("stripes 1");
    await train(pictures(3), optionsOf(`${path}/model`, { ...more, prompts }));
    const notes = events.flatMap((event) => event.type === "note" ? [event.message] : []);
    assertMatch(notes.at(-1) ?? "", /^no samples are drawn: /);
    assert((await filesBelow(`${path}/model`)).has("model_index.json"));
  }));

Deno.test("train() refuses a folder with another model, and states that are damaged", () =>
  inTemporaryFolder(async (path) => {
    const [model, broken] = [`${path}/model`, `${path}/broken`];
    await Deno.mkdir(model);
    await Deno.writeTextFile(`${model}/model_index.json`, "{}");
    await assertRejects(
      () => train(pictures(3), optionsOf(model)),
      RangeError,
      "which holds a model and no state of a training, expected a new folder",
    );
    await trainUntil(1, broken);
    const state = `${broken}/training/state.safetensors`;
    const bytes = await Deno.readFile(state);
    await Deno.writeFile(state, bytes.subarray(0, bytes.length / 2));
    await assertRejects(
      () => train(pictures(3), optionsOf(broken)),
      SyntaxError,
      "state.safetensors",
    );
    await Deno.writeTextFile(`${path}/file`, "");
    await assertRejects(() => train(pictures(3), optionsOf(`${path}/file`)), Error, "file");
    await assertRejects(
      () => train([], optionsOf(`${path}/new`)),
      RangeError,
      "there are no pictures",
    );
    const misspelt = { ...optionsOf(`${path}/new`), samplesEvery: 2 };
    await assertRejects(
      () => train(pictures(3), misspelt),
      TypeError,
      "did you mean sampleEvery?",
    );
    for (const prompts of [[], "a cat", [1]] as unknown as readonly string[][]) {
      const call = () => train(pictures(3), optionsOf(`${path}/new`, { prompts }));
      await assertRejects(call, TypeError, "expected an array of one string or more");
    }
    const negative = optionsOf(`${path}/new`, { saveSeconds: -1 });
    await assertRejects(() => train(pictures(3), negative), RangeError, "saveSeconds is -1");
    assertEquals([...Deno.readDirSync(path)].map(({ name }) => name).sort(), [
      "broken",
      "file",
      "model",
    ]);
  }));
