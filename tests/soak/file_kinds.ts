/**
 * Every kind of file that is read, and how it is damaged and read.
 *
 * @module
 */

import type { Backend } from "../../src/backends/backend.ts";
import { openArrays } from "../../src/checkpoints/weights.ts";
import { openFolder } from "../../src/checkpoints/folders.ts";
import { parseOriginalConfig } from "../../src/checkpoints/original/original_config.ts";
import { reportFolder } from "../../src/cli/model_report.ts";
import {
  type PictureSettings,
  readSettings,
  withSettings,
} from "../../src/pipeline/picture_settings.ts";
import { readKnownNames } from "../../src/conditioning/known_names.ts";
import { memoryFile, memoryFolder } from "../../src/files/memory_folder.ts";
import { RasterImage } from "../../src/images/raster_image.ts";
import {
  parseGenerationConfig,
  readGenerationConfig,
} from "../../src/pipeline/generation_config.ts";
import { VQDiffusionPipeline } from "../../src/pipeline/vq_diffusion_pipeline.ts";
import { CLIPTokenizer } from "../../src/tokenizers/clip_tokenizer.ts";
import { NAME } from "../checkpoints/clean_errors.ts";
import { damaged, damagedText, type Dice } from "../checkpoints/mutations.ts";
import { originalModel, TOKENIZER } from "../checkpoints/original_files.ts";
import { encodeLegacyTorchFile, encodeTorchFile } from "../checkpoints/torch/torch_writer.ts";
import { type Files, filesOf, tinyFiles } from "../pipeline/golden_runs.ts";

/** Reads something damaged by dice. */
export type Reader = (dice: Dice) => Promise<unknown>;

/** How a kind of files is tried. */
export interface FileKind {
  /** How often it is tried, of all kinds together 100 000 times. */
  readonly share: number;
  /** Reads one that is damaged. */
  readonly read: Reader;
  /** What its errors have to name, if not the file: pictures are read out of memory. */
  readonly names?: string;
}

/** Greatest length of an error, which may be about a whole model. */
export const LONGEST_ERROR = 6000;

const FIXTURES = new URL("../fixtures/", import.meta.url);

/** Bytes at both ends of big files that most damages hit. */
const FOCUS = 3000;

const encode = (text: string) => new TextEncoder().encode(text);
const decode = (bytes: Uint8Array) => new TextDecoder().decode(bytes);

const YAML = `model:
  target: a.DALLE
  params:
    condition_codec_config: {params: {pad_value: &zero 0}}
    diffusion_config:
      params:
        transformer_config: {params: &p {n_layer: 2, n_embd: 32, n_head: 8}}
        content_emb_config: {params: {other: *p, more: [*zero, *zero]}}
`;

/** One of the files damaged: texts by their tokens as a rule. */
function withDamage(files: Files, dice: Dice): Files {
  const path = dice.pick(Object.keys(files));
  const bytes = files[path]!;
  const isText = !/\.(safetensors|bin|pth)$/.test(path);
  const hostile = isText && dice.below(3) > 0
    ? encode(damagedText(decode(bytes), dice))
    : damaged(bytes, dice, FOCUS);
  return { ...files, [path]: hostile };
}

function eitherDamage(text: string, dice: Dice): Uint8Array<ArrayBuffer> {
  return dice.below(2) ? encode(damagedText(text, dice)) : damaged(encode(text), dice);
}

async function loadArrays(bytes: Uint8Array<ArrayBuffer>): Promise<void> {
  await using source = await openArrays(memoryFile(NAME, bytes));
  for (const name of source.names()) {
    await source.loadStored(name);
    if (source.unreadable?.(name) === undefined) await source.load(name);
  }
}

function modelKinds(backend: Backend): Record<string, FileKind> {
  const tiny: Files = {
    ...tinyFiles(),
    "names.json": encode(`{"names": {"animals": ["cat", "teddy bear"]}, "hidden": ["dog"]}`),
    "generation_config.json": encode(`{"num_inference_steps": 10, "guidance_scale": 2.5}`),
  };
  const today = filesOf(new URL("python_files/saved_by_today/model/", FIXTURES));
  const load = async (files: Files) => {
    const folder = memoryFolder(files, NAME);
    await using pipe = await VQDiffusionPipeline.fromPretrained(folder, { backend });
    pipe.components.tokenizer.encode("a teddy bear");
  };
  return {
    "models": { share: 12_000, read: (dice) => load(withDamage(tiny, dice)) },
    "models of today's transformers": {
      share: 3000,
      read: (dice) => load(withDamage(today, dice)),
    },
    "reports of inspect": {
      share: 10_000,
      read: async (dice) => {
        const report = await reportFolder(memoryFolder(withDamage(tiny, dice), NAME), backend);
        if (JSON.stringify(report).length > 20_000) throw new Error("The report is long");
      },
    },
  };
}

async function arrayKinds(): Promise<Record<string, FileKind>> {
  const weights = tinyFiles()["transformer/diffusion_pytorch_model.safetensors"]!;
  const values = {
    a: { dtype: "F32", shape: [3], bytes: new Uint8Array(12) },
    b: [1, "x"],
  } as const;
  const torch = [
    await encodeTorchFile(values),
    await encodeTorchFile(values, { deflate: true }),
    encodeLegacyTorchFile({ a: values.a, step: 3 }),
  ];
  const shards = filesOf(new URL("python_files/transformer_sharded_fp16/", FIXTURES));
  return {
    "safetensors": { share: 20_000, read: (dice) => loadArrays(damaged(weights, dice, FOCUS)) },
    "torch files": { share: 20_000, read: (dice) => loadArrays(damaged(dice.pick(torch), dice)) },
    "sharded weights": {
      share: 3000,
      read: async (dice) => {
        const { openWeights } = await import("../../src/checkpoints/weights.ts");
        const { DIFFUSERS_WEIGHTS } = await import("../../src/files/weight_names.ts");
        const folder = memoryFolder(withDamage(shards, dice), NAME);
        await using source = await openWeights(folder, DIFFUSERS_WEIGHTS, { variant: "fp16" });
        for (const name of source.names()) await source.load(name);
      },
    },
  };
}

function textKinds(): Record<string, FileKind> {
  const tokenizer = filesOf(TOKENIZER);
  const names =
    `{"names": {"animals": ["cat", "teddy bear"], "food": ["red apple"]}, "styles": ["flat"]}`;
  const config = `{"num_inference_steps": 10, "guidance_scale": 2.5, "truncation_rate": 0.9}`;
  return {
    "YAML": {
      share: 12_000,
      read: (dice) => Promise.try(() => parseOriginalConfig(damagedText(YAML, dice), NAME)),
    },
    "tokenizers": {
      share: 3000,
      read: async (dice) => {
        const folder = memoryFolder(withDamage(tokenizer, dice), NAME);
        (await CLIPTokenizer.fromPretrained(folder)).encode("a teddy bear");
      },
    },
    "names.json": {
      share: 4000,
      read: async (dice) => {
        const folder = memoryFolder({ "names.json": eitherDamage(names, dice) }, NAME);
        const known = await readKnownNames(folder);
        known?.nearest("a tedy bear on a red apple", 5);
      },
    },
    "generation_config.json": {
      share: 4000,
      read: async (dice) => {
        const files = { "generation_config.json": eitherDamage(config, dice) };
        const config_ = await readGenerationConfig(memoryFolder(files, NAME));
        if (config_) parseGenerationConfig(config_, 100);
      },
    },
  };
}

async function pictureKinds(): Promise<Record<string, FileKind>> {
  const pictures: Uint8Array<ArrayBuffer>[] = [];
  for (const { name } of Deno.readDirSync(new URL("images/", FIXTURES))) {
    if (!/\.(png|jpg)$/.test(name)) continue;
    pictures.push(Deno.readFileSync(new URL(`images/${name}`, FIXTURES)));
  }
  const png = await new RasterImage(new Uint8ClampedArray(4 * 8 * 8), 8, 8).toPng();
  const settings: PictureSettings = {
    ...{ prompt: "a cat", seed: 5n, values: { numInferenceSteps: 10 }, scale: 2 },
    ...{ model: "owner/name", revision: "main", dtype: "fp16", image: undefined, mask: undefined },
  };
  const drawn = new Uint8Array(await withSettings(png, settings, { width: 8, height: 8 }));
  return {
    "pictures": {
      share: 6000,
      read: (dice) => RasterImage.decode(damaged(dice.pick(pictures), dice, 500)),
      names: "Cannot read the ",
    },
    "settings in pictures": {
      share: 2000,
      read: (dice) => readSettings(damaged(drawn, dice), NAME),
    },
  };
}

async function originalKinds(folder: string): Promise<Record<string, FileKind>> {
  const { checkpoint } = originalModel();
  const file = await encodeTorchFile({ model: checkpoint, last_epoch: 3 });
  const path = `${folder}/${NAME}.pth`;
  return {
    "original checkpoints": {
      share: 1000,
      read: async (dice) => {
        await Deno.writeFile(path, damaged(file, dice, FOCUS));
        const files = await openFolder(path, { original: { tokenizer: TOKENIZER } });
        await using _ = await VQDiffusionPipeline.fromPretrained(files, {
          ...{ device: "wasm", threads: 1 },
        });
      },
    },
  };
}

/**
 * All kinds.
 *
 * @param backend Where models are loaded.
 * @param folder An empty folder, for what is read from the disk.
 */
export async function fileKinds(
  backend: Backend,
  folder: string,
): Promise<Readonly<Record<string, FileKind>>> {
  return {
    ...modelKinds(backend),
    ...await arrayKinds(),
    ...textKinds(),
    ...await pictureKinds(),
    ...await originalKinds(folder),
  };
}
