// Golden data of Microsoft's models, as original checkpoints: of text, of classes, without condition.

import { assertEquals } from "@std/assert";
import type { Backend, Tensor } from "../../src/backends/backend.ts";
import { type StoredArray, typedArray } from "../../src/checkpoints/arrays.ts";
import { openFile } from "../../src/checkpoints/folders.ts";
import type { OriginalOptions } from "../../src/checkpoints/folders.ts";
import { parseSafetensors } from "../../src/checkpoints/safetensors.ts";
import { openArrays } from "../../src/checkpoints/weights.ts";
import type { GenerateInput } from "../../src/conditioning/condition.ts";
import { memoryFolder } from "../../src/files/memory_folder.ts";
import type { GenerateOptions } from "../../src/pipeline/generate_options.ts";
import type { PipelineParts } from "../../src/pipeline/components.ts";
import { VQDiffusionPipeline } from "../../src/pipeline/vq_diffusion_pipeline.ts";
import { TorchGenerator } from "../../src/random/torch_generator.ts";
import { encodeTorchFile } from "../checkpoints/torch/torch_writer.ts";

const FOLDER = new URL("../fixtures/class_models/", import.meta.url);

/** A model of the golden data. */
export type ClassModelName = "ithq" | "imagenet" | "ffhq" | "gumbel";

/** The checkpoints. Config, autoencoder and codes lie beside them. */
export const CLASS_MODELS: Readonly<Record<ClassModelName, URL>> = {
  ithq: new URL("ithq/ithq_tiny_learnable.pth", FOLDER),
  imagenet: new URL("imagenet/imagenet_tiny_cf.pth", FOLDER),
  ffhq: new URL("ffhq/ffhq_tiny.pth", FOLDER),
  gumbel: new URL("gumbel/taming_f8_tiny.pth", FOLDER),
};

/** Tokens of the autoencoder that lies alone. */
export const GUMBEL_CODES: URL = new URL("gumbel/taming_vqvae_16.pt", FOLDER);

/** A run of the reference: its arguments. */
export interface ClassRun {
  readonly label?: number;
  readonly prompt?: "one" | "two";
  readonly batch_size: number;
  readonly truncation_rate: number;
  readonly guidance_scale?: number;
  readonly infer_speed?: number;
  readonly learnable_cf?: boolean;
  readonly seed: number;
  readonly calls: number;
}

/** What there is of a model beside its checkpoint. */
export interface ClassModelData {
  /** The runs by name. */
  readonly runs: Readonly<Record<string, ClassRun>>;
  /** Shape of an array. */
  shape(name: string): readonly number[];
  /** Floating point numbers. */
  floats(name: string): Float32Array;
  /** Integers. */
  ints(name: string): Int32Array;
  /** The pictures `image` (images, 3, height, width) in −1 … 1, as an autoencoder takes them. */
  pictures(backend: Backend): Tensor;
}

/** Reads it. */
export function classModelData(name: ClassModelName): ClassModelData {
  const { runs = {} } = JSON.parse(Deno.readTextFileSync(new URL(`${name}/case.json`, FOLDER)));
  const arrays = parseSafetensors(Deno.readFileSync(new URL(`${name}/io.safetensors`, FOLDER)));
  const get = (key: string) => arrays.get(key)!;
  return {
    runs,
    shape: (key) => get(key).shape,
    floats: (key) => typedArray(get(key)) as Float32Array,
    ints: (key) => typedArray(get(key)) as Int32Array,
    pictures: (backend) => {
      const { bytes, shape } = get("image");
      return backend.tensor(Float32Array.from(bytes, (byte) => byte / 255 * 2 - 1), shape);
    },
  };
}

/** A tokenizer for the text model, whose prompts are given as embeddings: its vocabulary is not here. */
export const CLASS_TOKENIZER: NonNullable<OriginalOptions["tokenizer"]> = memoryFolder({
  "vocab.json": JSON.stringify(
    Object.fromEntries([
      ["!", 0],
      ...Array.from({ length: 61 }, (_, i) => [`w${i + 1}</w>`, i + 1]),
      ["<|startoftext|>", 62],
      ["<|endoftext|>", 63],
    ]),
  ),
  "merges.txt": "#version: 0.2\n",
});

/** Loads a model; the caller disposes of the backend. */
export function loadClassModel(
  name: Exclude<ClassModelName, "gumbel">,
  backend: Backend,
): Promise<VQDiffusionPipeline> {
  return VQDiffusionPipeline.fromPretrained(CLASS_MODELS[name], {
    backend,
    original: { tokenizer: CLASS_TOKENIZER },
  });
}

/** The model of classes without the row of class 1000, as the first models of the paper are. */
export async function checkpointOf1000Classes(): Promise<Uint8Array> {
  await using source = await openArrays(await openFile(CLASS_MODELS.imagenet));
  const parts: Record<"model" | "ema", Record<string, StoredArray>> = { model: {}, ema: {} };
  for (const path of source.names()) {
    const [part, ...rest] = path.split(".") as ["model" | "ema", ...string[]];
    const array = await source.loadStored(path);
    const [rows, ...columns] = array.shape;
    const isTable = path.endsWith(".ln2.emb.weight");
    parts[part][rest.join(".")] = isTable
      ? {
        ...array,
        shape: [rows! - 1, ...columns],
        bytes: array.bytes.slice(0, array.bytes.length / rows! * (rows! - 1)),
      }
      : array;
  }
  return await encodeTorchFile(parts);
}

/** Draws a run and compares all timesteps, all tokens and the images. */
export async function checkClassRun<C extends PipelineParts>(
  pipe: VQDiffusionPipeline<C>,
  data: ClassModelData,
  name: string,
  input: GenerateInput,
  options: GenerateOptions<"array"> = {},
): Promise<void> {
  const run = data.runs[name]!;
  const prefix = name === "run" ? "run" : `run_${name}`;
  const expected = data.ints(`${prefix}_tokens`);
  const size = expected.length / run.calls;
  let calls = 0;
  const { images } = await pipe.generate(input, {
    ...options,
    guidanceScale: run.guidance_scale ?? 1,
    truncationRate: run.truncation_rate,
    // One stream for all images, as in the reference.
    generator: new TorchGenerator(run.seed),
    outputType: "array",
    callback: (step, _timestep, tokens) => {
      const after = [...expected.subarray(step * size, (step + 1) * size)];
      assertEquals([...tokens], after, `${name}: tokens after call ${step}`);
      calls++;
    },
  });
  assertEquals(calls, run.calls);
  const [count, channels, height, width] = data.shape(`${prefix}_image`) as [
    ...[number, number, number, number],
  ];
  assertEquals(images.length, count);
  const pixels = data.floats(`${prefix}_image`);
  images.forEach((image, i) =>
    image.forEach((value, at) => {
      const [channel, place] = [at % channels, Math.floor(at / channels)];
      const wanted = pixels[(i * channels + channel) * height * width + place]!;
      // About ten times the reference's own error in float32, of 255.
      const isNear = Math.abs(value * 255 - wanted) < 5e-3;
      if (!isNear) {
        throw new Error(`${name}: image ${i} has ${value * 255} at ${at}, not ${wanted}`);
      }
    })
  );
}
