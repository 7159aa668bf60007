/**
 * Arguments of `generate`.
 *
 * @module
 */

import { WEIGHT_DTYPES, type WeightDType } from "../base/dtypes.ts";
import type { DeviceType } from "../backends/backend.ts";
import {
  checkParameters,
  GENERATION_PARAMETERS,
  type GenerationParameters,
  PARAMETER_NAMES,
  type ParameterLimits,
  type ParameterName,
  rangeOf,
  SHORT_NAMES,
} from "../pipeline/generation_parameters.ts";
import { parseSeed, randomSeed, SEEDS } from "../random/seed.ts";
import {
  choiceOption,
  type CommandOptions,
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
${PARAMETER_NAMES.map(helpLine).join("\n")}
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

Models of the hub are kept where huggingface_hub keeps them. HF_ENDPOINT, HF_TOKEN, HF_HOME,
HF_HUB_CACHE and HF_HUB_OFFLINE are heeded.
`;

const OPTIONS = {
  out: { type: "string", short: "o" },
  model: { type: "string" },
  revision: { type: "string" },
  dtype: { type: "string" },
  device: { type: "string" },
  threads: { type: "string" },
  "save-tokens": { type: "boolean" },
  quiet: { type: "boolean", short: "q" },
  help: { type: "boolean", short: "h" },
} as const;

const PARAMETER_OPTIONS: CommandOptions = Object.fromEntries(
  Object.values(SHORT_NAMES).map((name) => [name, { type: "string" }] as const),
);

/** Parameters as they were written, by their short names. */
export type ParameterTexts = Readonly<Record<string, string | undefined>>;

/** What to generate. */
export interface GenerateArguments {
  readonly prompts: readonly string[];
  /** What is written of the parameters: {@linkcode readParameters} reads it. */
  readonly parameters: ParameterTexts;
  /** The seed that is given, or a random one. */
  readonly seed: bigint;
  /** Images in all. */
  readonly count: number;
  readonly out: string | undefined;
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
  const options = { ...PARAMETER_OPTIONS, ...OPTIONS };
  const { values, positionals: prompts } = parseArguments(args, options, SHORT_NAMES);
  if (values.help) return undefined;
  if (prompts.length === 0) throw new UsageError(`Expected a prompt, such as "a red apple"`);
  const parameters = values as ParameterTexts;
  const { seed, numImagesPerPrompt } = checkParameters(readParameters(parameters, {}), {});
  const count = prompts.length * numImagesPerPrompt;
  if (count > MAX_IMAGES) {
    throw new UsageError(`Expected ${MAX_IMAGES} images at most, got ${count}`);
  }
  if (values.model === "") throw wrongValue("model", "a folder, a URL or a hub id", "");
  if (values.revision !== undefined && values.model === undefined) {
    throw new UsageError("--revision is given without --model, expected a model on the hub");
  }
  return {
    prompts,
    parameters,
    seed: seed === undefined ? randomSeed() : BigInt(seed),
    count,
    out: values.out,
    model: values.model,
    revision: values.revision,
    dtype: choiceOption("dtype", values.dtype, WEIGHT_DTYPES),
    device: choiceOption("device", values.device, ["auto", "wasm", "webgpu"]) ?? "auto",
    threads: integerOption("threads", values.threads, { max: 256 }),
    saveTokens: values["save-tokens"] ?? false,
    quiet: values.quiet ?? false,
  };
}

/**
 * Reads the parameters of a generation, as far as they are given.
 *
 * @param limits What the model allows, as soon as it is known.
 * @throws {UsageError} If one is wrong.
 */
export function readParameters(
  texts: ParameterTexts,
  limits: ParameterLimits,
): GenerationParameters {
  const read = (name: ParameterName) => {
    const { shortName, type } = GENERATION_PARAMETERS[name];
    const text = texts[shortName];
    switch (type) {
      case "integer":
        return integerOption(shortName, text, rangeOf(name, limits));
      case "number":
        return numberOption(shortName, text, rangeOf(name, limits));
      case "seed":
        return seedOption(shortName, text);
    }
  };
  return Object.fromEntries(PARAMETER_NAMES.map((name) => [name, read(name)]));
}

function seedOption(name: string, text: string | undefined): bigint | undefined {
  if (text === undefined) return undefined;
  const seed = parseSeed(text);
  if (seed === undefined) throw wrongValue(name, SEEDS, text);
  return seed;
}

/** The line of a parameter in the help. */
function helpLine(name: ParameterName): string {
  const { shortName, type, help, default: value = "a random one" } = GENERATION_PARAMETERS[name];
  const { min, max } = rangeOf(name, {});
  const option = `--${shortName} <${type === "number" ? "x" : "n"}>`;
  const range = max === undefined ? "" : `, ${min} to ${max}`;
  return `  ${option.padEnd(20)} ${help}${range} (default: ${value})`;
}
