/**
 * Arguments of `generate`.
 *
 * @module
 */

import { WEIGHT_DTYPES, type WeightDType } from "../base/dtypes.ts";
import type { DeviceType } from "../backends/backend.ts";
import {
  choiceOption,
  integerOption,
  numberOption,
  parseArguments,
  UsageError,
  wrongValue,
} from "./arguments.ts";

/** The most images of one run: all are made together. */
const MAX_IMAGES = 100;

/** What `generate --help` says. */
export const GENERATE_HELP: string = `Draws pictures of prompts.

Usage:
  deno task generate "<prompt>" ["<prompt>" …] [options]

Options:
  --out <path>         File or folder of the pictures (default: this folder, named by prompt and seed)
  --seed <n>           Seed: the same seed draws the same picture (default: a random one)
  --steps <n>          Denoising steps (default: 100)
  --guidance <x>       How closely to follow the prompt; 1 is no guidance (default: 5)
  --truncation <x>     Keep the likeliest tokens up to this probability, 0 to 1 (default: 1)
  --images <n>         Pictures of each prompt (default: 1)
  --model <source>     Folder, URL or hub id "owner/name" (default: the embedded model)
  --revision <name>    Branch, tag or commit of a model on the hub (default: main)
  --dtype <type>       Hold weights as fp32, fp16 or q8 (default: as stored)
  --device <device>    auto, wasm (CPU) or webgpu (GPU) (default: auto)
  --threads <n>        Threads on the CPU (default: one for each processor)
  --save-tokens        Also write the tokens and the arguments, as JSON
  --quiet              Say nothing unless something goes wrong
  --help               Say this

Several pictures are numbered, and shown together on a contact sheet.

Examples:
  deno task generate "a red apple on a blue background"
  deno task generate "a cat, flat style" --images 9 --seed 1 --out cats/
  deno task generate "a crown" "a rocket" --truncation 0.86 --guidance 4
  deno task generate "a teddy bear" --model microsoft/vq-diffusion-ithq --dtype q8

Models of the hub are kept where huggingface_hub keeps them. HF_ENDPOINT, HF_TOKEN, HF_HOME and
HF_HUB_CACHE are heeded.
`;

const OPTIONS = {
  out: { type: "string", short: "o" },
  seed: { type: "string" },
  steps: { type: "string" },
  guidance: { type: "string" },
  truncation: { type: "string" },
  images: { type: "string" },
  model: { type: "string" },
  revision: { type: "string" },
  dtype: { type: "string" },
  device: { type: "string" },
  threads: { type: "string" },
  "save-tokens": { type: "boolean" },
  quiet: { type: "boolean", short: "q" },
  help: { type: "boolean", short: "h" },
} as const;

/** What to generate. */
export interface GenerateArguments {
  readonly prompts: readonly string[];
  readonly out: string | undefined;
  readonly seed: bigint;
  readonly numInferenceSteps: number;
  readonly guidanceScale: number;
  readonly truncationRate: number;
  readonly numImagesPerPrompt: number;
  readonly model: string | undefined;
  readonly revision: string | undefined;
  readonly dtype: WeightDType | undefined;
  readonly device: DeviceType | "auto";
  readonly threads: number | undefined;
  readonly saveTokens: boolean;
  readonly quiet: boolean;
}

/**
 * Reads the arguments of `generate`.
 *
 * @returns What to generate, or undefined if help was asked for.
 * @throws {UsageError} If an argument is wrong.
 */
export function readGenerateArguments(args: readonly string[]): GenerateArguments | undefined {
  const { values, positionals: prompts } = parseArguments(args, OPTIONS);
  if (values.help) return undefined;
  if (prompts.length === 0) throw new UsageError(`Expected a prompt, such as "a red apple"`);
  const numImagesPerPrompt = integerOption("images", values.images, { max: MAX_IMAGES }) ?? 1;
  if (prompts.length * numImagesPerPrompt > MAX_IMAGES) {
    const count = prompts.length * numImagesPerPrompt;
    throw new UsageError(`Expected ${MAX_IMAGES} images at most, got ${count}`);
  }
  if (values.model === "") throw wrongValue("model", "a folder, a URL or a hub id", "");
  if (values.revision !== undefined && values.model === undefined) {
    throw new UsageError("--revision is given without --model, expected a model on the hub");
  }
  return {
    prompts,
    out: values.out,
    seed: seedOption(values.seed),
    numInferenceSteps: integerOption("steps", values.steps) ?? 100,
    guidanceScale: numberOption("guidance", values.guidance) ?? 5,
    truncationRate: numberOption("truncation", values.truncation, { min: 0, max: 1 }) ?? 1,
    numImagesPerPrompt,
    model: values.model,
    revision: values.revision,
    dtype: choiceOption("dtype", values.dtype, WEIGHT_DTYPES),
    device: choiceOption("device", values.device, ["auto", "wasm", "webgpu"]) ?? "auto",
    threads: integerOption("threads", values.threads, { max: 256 }),
    saveTokens: values["save-tokens"] ?? false,
    quiet: values.quiet ?? false,
  };
}

/** The seed that was given, or a random one. */
function seedOption(text: string | undefined): bigint {
  if (text === undefined) return BigInt(crypto.getRandomValues(new Uint32Array(1))[0]!);
  const seed = /^[+-]?\d+$/.test(text) ? BigInt(text) : undefined;
  if (seed !== undefined && seed >= 0n && seed < 2n ** 64n) return seed;
  throw wrongValue("seed", "a whole number from 0 to 2^64 - 1", text);
}
