/**
 * What a picture was drawn with, as it stands in its PNG file.
 *
 * @module
 */

import { WEIGHT_DTYPES, type WeightDType } from "../base/dtypes.ts";
import { VERSION } from "../base/version.ts";
import {
  type Config,
  integerField,
  numberField,
  parseConfig,
  stringField,
} from "../checkpoints/config.ts";
import { readPngTexts, withPngTexts } from "../images/png_text.ts";
import {
  checkParameter,
  GENERATION_PARAMETERS,
  type GenerationParameters,
  PARAMETER_NAMES,
  type ParameterName,
  rangeOf,
} from "./generation_parameters.ts";
import { parseSeed, SEEDS } from "../random/seed.ts";
import { drawnSubject, type PictureSubject, titleOf } from "./picture_subject.ts";

/** The most that pixels are enlarged. */
export const MAX_SCALE = 64;

/** Keyword of the text in the form of AUTOMATIC1111's web UI, which many programs show. */
export const COMMON_KEYWORD = "parameters";
/** Keyword of our own text, which is JSON. */
const OWN_KEYWORD = "vq-diffusion";

/** Parameters that stand for themselves; a picture is one, and its seed has a field of its own. */
const NAMES: readonly ParameterName[] = PARAMETER_NAMES
  .filter((name) => name !== "seed" && name !== "numImagesPerPrompt");

/** Parameters of a generation without its seed and number. */
export type SettingsValues = Omit<GenerationParameters, "seed" | "numImagesPerPrompt">;

/** Names of the files that a picture was drawn from. */
export interface StartNames {
  /** Of the picture to start from. */
  readonly image: string | undefined;
  /** Of its mask. */
  readonly mask: string | undefined;
}

/** What a picture was drawn with. */
export interface PictureSettings extends PictureSubject, StartNames {
  /** Seed of the picture alone. */
  readonly seed: bigint;
  /** The other parameters. */
  readonly values: SettingsValues;
  /** The model as it was asked for; undefined for the embedded one. */
  readonly model: string | undefined;
  /** Its revision on the hub. */
  readonly revision: string | undefined;
  /** How weights were held, if not as they are stored. */
  readonly dtype: WeightDType | undefined;
  /** Side of the squares that pixels were enlarged to. */
  readonly scale: number;
}

/** Size of a picture as it was drawn. */
export interface Size {
  readonly width: number;
  readonly height: number;
}

/** Writes the settings of a picture into its PNG file. */
export async function withSettings(
  png: Uint8Array,
  settings: PictureSettings,
  size: Size,
): Promise<Uint8Array> {
  return await withPngTexts(png, {
    [COMMON_KEYWORD]: commonText(settings, size),
    [OWN_KEYWORD]: ownText(settings),
  });
}

/**
 * Reads the settings of a picture out of its PNG file.
 *
 * @param description What the file is, for error messages.
 * @throws {SyntaxError} If it is no PNG file or damaged, or holds no settings of ours.
 * @throws {TypeError} If a setting is of the wrong type.
 * @throws {RangeError} If one is out of range.
 */
export async function readSettings(
  png: Uint8Array,
  description: string,
): Promise<PictureSettings> {
  const text = (await readPngTexts(png, description)).get(OWN_KEYWORD);
  if (text === undefined) {
    throw new SyntaxError(
      `Cannot read ${description}: it has no settings in it, expected a picture of this program`,
    );
  }
  const config = await parseConfig(text, description);
  const optional = (key: string) =>
    config.values[key] === undefined ? undefined : stringField(config, key);
  return {
    prompt: optional("prompt"),
    classLabel: config.values["classLabel"] === undefined
      ? undefined
      : integerField(config, "classLabel", { min: 0 }),
    seed: seedField(config),
    values: valuesOf(config),
    image: optional("image"),
    mask: optional("mask"),
    model: optional("model"),
    revision: optional("revision"),
    dtype: config.values["dtype"] === undefined
      ? undefined
      : stringField(config, "dtype", { oneOf: WEIGHT_DTYPES }),
    scale: integerField(config, "scale", { min: 1, max: MAX_SCALE, default: 1 }),
  };
}

/** The settings as JSON. A seed can be too big for a number of it. */
function ownText(settings: PictureSettings): string {
  const { prompt, classLabel, seed, values, model, scale, ...weights } = settings;
  return JSON.stringify({
    version: VERSION,
    prompt,
    classLabel,
    seed: `${seed}`,
    ...values,
    model: model && withoutSecrets(model),
    ...weights,
    ...(scale > 1 && { scale }),
  });
}

/** A URL without passwords and signatures, since pictures are passed on. */
function withoutSecrets(model: string): string {
  if (!/^https?:/i.test(model) || !URL.canParse(model)) return model;
  const { origin, pathname } = new URL(model);
  return origin + pathname;
}

function seedField(config: Config): bigint {
  const seed = parseSeed(stringField(config, "seed"));
  if (seed !== undefined) return seed;
  throw new RangeError(`Cannot use ${config.description}: seed is none, expected ${SEEDS}`);
}

function valuesOf(config: Config): SettingsValues {
  const given = NAMES.filter((name) => config.values[name] !== undefined);
  const values = given.map((name) => [name, valueOf(config, name)]);
  // Before there were styles, prompts were drawn as they stand.
  return { styles: [], ...Object.fromEntries(values) };
}

function valueOf(config: Config, name: ParameterName): unknown {
  const range = rangeOf(name, {});
  switch (GENERATION_PARAMETERS[name].type) {
    case "integer":
      return integerField(config, name, range);
    case "number":
      return numberField(config, name, range);
    default: {
      const value = config.values[name];
      checkParameter({ task: `use ${config.description}`, name }, name, value, {});
      return value;
    }
  }
}

/**
 * `a red apple`, below it `Negative prompt: blue` if there is one, and below that `Steps: 100, Sampler:
 * VQ-Diffusion, CFG scale: 1, Seed: 42, …`.
 */
export function commonText(
  settings: Pick<PictureSettings, "prompt" | "classLabel" | "seed" | "values" | "model">,
  size: Size,
): string {
  const { seed, values, model } = settings;
  const { numInferenceSteps, sampler, guidanceScale, negativePrompt, strength } = values;
  const fields: [label: string, value: unknown][] = [
    ["Steps", numInferenceSteps],
    ["Sampler", sampler === undefined ? "VQ-Diffusion" : `VQ-Diffusion ${sampler}`],
    ["CFG scale", guidanceScale],
    ["Seed", seed],
    ["Size", `${size.width}x${size.height}`],
    ["Model", modelName(model)],
    ["Denoising strength", strength],
    ["Guidance interval", values.guidanceInterval?.join("-")],
    ["Truncation", values.truncationRate],
    ["Top k", values.topK],
    ["Version", `vq-diffusion ${VERSION}`],
  ];
  const line = fields.filter(([, value]) => value !== undefined)
    .map(([label, value]) => `${label}: ${quoted(String(value))}`);
  const negative = negativePrompt === undefined ? [] : [`Negative prompt: ${negativePrompt}`];
  return [titleOf(drawnSubject(settings, values)) ?? "", ...negative, line.join(", ")].join("\n");
}

/** The last part of a path, URL or id. */
function modelName(model: string | undefined): string {
  if (model === undefined) return "embedded";
  return model.replace(/[?#].*$/, "").replace(/[/\\]+$/, "").split(/[/\\]/).at(-1) || model;
}

/** A value with a comma, a colon or a new line stands between quotes. */
function quoted(text: string): string {
  return /[,:\n]/.test(text) ? JSON.stringify(text) : text;
}
