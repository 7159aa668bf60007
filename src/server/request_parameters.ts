/**
 * What a request asks for, read from its query and its body, JSON or a form, and checked.
 *
 * @module
 */

import { formatRange, nearestOption, type Range } from "../base/check.ts";
import { isStyle, parseStyles, STYLE_TEXTS } from "../conditioning/styles.ts";
import type { Transformer2DConfig } from "../models/transformer_2d_config.ts";
import {
  GENERATION_PARAMETERS,
  type GenerationParameters,
  PARAMETER_NAMES,
  type ParameterLimits,
  type ParameterName,
  rangeOf,
  SHORT_NAMES,
} from "../pipeline/generation_parameters.ts";
import {
  type GuidanceInterval,
  INTERVAL_TEXTS,
  isInterval,
  parseInterval,
} from "../pipeline/guidance_interval.ts";
import type { PictureSubject } from "../pipeline/picture_subject.ts";
import { parseSeed, SEEDS } from "../random/seed.ts";
import { isSampler, SAMPLERS } from "../schedulers/samplers.ts";
import { type FormBody, hasFormBody, readFormBody } from "./form_body.ts";
import { readJsonBody } from "./json_body.ts";
import { NUMBER_PARAMETERS, numberIfText } from "./number_texts.ts";
import type { BodyLimits } from "./request_body.ts";
import { RequestError } from "./request_error.ts";

/** Longest side that pictures are enlarged to. */
export const MOST_SIDE = 1024;

/** Most styles of a request. */
const MOST_STYLES = 100;

/** What requests may ask for at most. */
export interface RequestLimits {
  /** Denoising steps. */
  readonly maxSteps: number;
  /** Images. */
  readonly maxImages: number;
  /** UTF-16 code units of the prompt. */
  readonly maxPromptLength: number;
  /** Bytes of a body without pictures. */
  readonly maxBodyBytes: number;
  /** Bytes of a body with pictures. */
  readonly maxUploadBytes: number;
  /** Pixels of a picture. */
  readonly maxPixels: number;
}

/** What a request asks for. */
export interface RequestParameters {
  /** What to draw; undefined for variations of a picture, and for models that do not draw from text. */
  readonly prompt: string | undefined;
  /** What to draw, if the model draws from classes. */
  readonly classLabel?: number | undefined;
  /** Files of the picture to start from and of its mask, if they are given. */
  readonly files: PictureFiles;
  /** Steps from one preview to the next; 0 for none. */
  readonly previews: number;
  /** All values as they were given: {@linkcode generationParameters} reads those of the generation. */
  readonly values: RequestValues;
}

/** Files of pictures, of which nothing is known. */
export interface PictureFiles {
  /** The picture to start from. */
  readonly image?: Uint8Array | undefined;
  /** Which part of it to repaint. */
  readonly mask?: Uint8Array | undefined;
}

/** Values of a request by the names of its parameters. */
export type RequestValues = Readonly<Record<string, unknown>>;

/** Parameters that are files. */
const FILES = ["image", "mask"] as const;

const NAMES = [
  "prompt",
  "class",
  ...PARAMETER_NAMES.map((name) => SHORT_NAMES[name]!),
  ...FILES,
  "previews",
];

/** Parameters that queries and forms give as numbers. */
const NUMBERS = new Set(["class", "previews", ...NUMBER_PARAMETERS]);

/** Ranges of the parameters of a generation that narrow those of the library. */
export function requestRanges(
  { maxSteps, maxImages }: Pick<RequestLimits, "maxSteps" | "maxImages">,
): ParameterLimits["ranges"] {
  return {
    numInferenceSteps: { max: maxSteps },
    numImagesPerPrompt: { max: maxImages },
    guidanceScale: { min: 0, max: 100 },
  };
}

/**
 * Reads the parameters of a request: those of the query, and those of the body of a POST.
 *
 * @throws {RequestError} If one is missing, unknown or out of range, or the body is damaged or too big.
 */
export async function readParameters(
  request: Request,
  limits: RequestLimits & BodyLimits,
): Promise<RequestParameters> {
  const { body, uploads } = await readValues(request, limits);
  const values = { ...textValues(new URL(request.url).searchParams), ...body };
  checkNames([...Object.keys(values), ...Object.keys(uploads)]);
  const files = filesOf(values, uploads);
  const isVariation = files.image !== undefined && values["prompt"] === "";
  const prompt = values["prompt"] === undefined || isVariation
    ? undefined
    : promptOf(values["prompt"], limits.maxPromptLength);
  const classLabel = numberOf("class", values["class"], true, { min: 0 });
  checkNegative("negative", values["negative"], limits.maxPromptLength);
  generationParameters(values, { ranges: requestRanges(limits) });
  const previews = numberOf("previews", values["previews"], true, { min: 0, max: 1000 }) ?? 0;
  return { prompt, classLabel, files, previews, values };
}

/**
 * Checks that a request tells the model what it takes, and nothing else.
 *
 * @throws {RequestError} If not.
 */
export function checkSubject(
  { prompt, classLabel, files }: PictureSubject & Pick<RequestParameters, "files">,
  { conditionType, numClassEmbeds }: Pick<Transformer2DConfig, "conditionType" | "numClassEmbeds">,
): void {
  const reason = {
    text: "as the model draws from text",
    class: "as the model draws from classes",
    none: "as the model is unconditional",
  }[conditionType];
  const isVariation = files.image !== undefined;
  if (conditionType === "text" && prompt === undefined && !isVariation) {
    refuse("prompt", "a text", prompt);
  }
  if (conditionType !== "text" && prompt !== undefined) refuse("prompt", `none, ${reason}`, prompt);
  if (conditionType !== "class") {
    if (classLabel !== undefined) refuse("class", `none, ${reason}`, classLabel);
    return;
  }
  const max = numClassEmbeds - 1;
  if (classLabel === undefined || classLabel > max) {
    refuse("class", `a whole number from 0 to ${max}`, classLabel);
  }
}

/** Reads the body of a POST. */
async function readValues(
  request: Request,
  limits: RequestLimits & BodyLimits,
): Promise<{ readonly body: RequestValues; readonly uploads: FormBody["files"] }> {
  if (request.method !== "POST") return { body: {}, uploads: {} };
  if (!hasFormBody(request)) return { body: await readJsonBody(request, limits), uploads: {} };
  const form = await readFormBody(request, { ...limits, maxBodyBytes: limits.maxUploadBytes });
  return { body: textValues(Object.entries(form.fields)), uploads: form.files };
}

function checkNames(given: readonly string[]): void {
  const unknown = given.find((name) => !NAMES.includes(name));
  if (unknown === undefined) return;
  const near = nearestOption(unknown, NAMES, SHORT_NAMES);
  const advice = near === undefined ? `expected ${NAMES.join(", ")}` : `did you mean ${near}?`;
  throw new RequestError(
    400,
    `Unknown parameter ${JSON.stringify(unknown.slice(0, 50))}, ${advice}`,
  );
}

/** The pictures of a form. */
function filesOf(values: RequestValues, files: FormBody["files"]): PictureFiles {
  for (const name of FILES) {
    if (values[name] === undefined) continue;
    refuse(name, "a file in a body of multipart/form-data", values[name]);
  }
  const given = Object.entries(files).map(([name, list]) => {
    if (!FILES.some((file) => file === name)) refuse(name, "no file", list[0]!.fileName);
    if (list.length > 1) throw new RequestError(400, `${name} is given twice`, {}, name);
    return [name, list[0]!.bytes] as const;
  });
  return Object.fromEntries(given);
}

/**
 * Reads the parameters of the generation, as far as they are given.
 *
 * @param limits What the handler allows, and the model as soon as it is known.
 * @throws {RequestError} If one is out of range.
 */
export function generationParameters(
  values: RequestValues,
  limits: ParameterLimits,
): GenerationParameters & { readonly seed?: bigint | undefined } {
  const read = (name: ParameterName) => {
    const { shortName, type } = GENERATION_PARAMETERS[name];
    const value = values[shortName];
    switch (type) {
      case "seed":
        return seedOf(shortName, value);
      case "text":
        return value === undefined ? undefined : textOf(shortName, value, Infinity);
      case "texts":
        return stylesOf(shortName, value);
      case "sampler":
        return samplerOf(shortName, value);
      case "interval":
        return intervalOf(shortName, value);
      default:
        return numberOf(shortName, value, type === "integer", rangeOf(name, limits));
    }
  };
  return Object.fromEntries(PARAMETER_NAMES.map((name) => [name, read(name)]));
}

/** Values of what gives them as texts: a query, or a form. */
function textValues(texts: Iterable<readonly [string, string]>): Record<string, unknown> {
  const values: Record<string, unknown> = Object.create(null);
  for (const [name, text] of texts) {
    if (name in values) throw new RequestError(400, `The parameter ${name} is given twice`);
    values[name] = NUMBERS.has(name) ? numberIfText(text) : text;
  }
  return values;
}

/**
 * Reads the prompt.
 *
 * @throws {RequestError} If it is missing, no text or too long.
 */
export function promptOf(value: unknown, maxLength: number): string {
  return textOf("prompt", value, maxLength);
}

/**
 * Checks the negative prompt, if there is one.
 *
 * @param name What clients call it.
 * @throws {RequestError} If it is no text, or too long.
 */
export function checkNegative(name: string, value: unknown, maxLength: number): void {
  if (value !== undefined) textOf(name, value, maxLength);
}

function textOf(name: string, value: unknown, maxLength: number): string {
  if (typeof value !== "string") refuse(name, "a text", value);
  if (value.length > maxLength) {
    throw new RequestError(
      400,
      `${name} is ${value.length} characters long, expected at most ${maxLength}`,
      {},
      name,
    );
  }
  return value;
}

function samplerOf(name: string, value: unknown): string | undefined {
  if (value === undefined || typeof value === "string" && isSampler(value)) return value;
  return refuse(name, SAMPLERS, value);
}

/** Styles as text, or as an array of JSON. */
function stylesOf(name: string, value: unknown): readonly string[] | undefined {
  if (value === undefined) return undefined;
  const styles = typeof value === "string" ? parseStyles(value) : value;
  const isRight = Array.isArray(styles) && styles.length <= MOST_STYLES && styles.every(isStyle);
  return isRight ? styles : refuse(name, `at most ${MOST_STYLES} ${STYLE_TEXTS}`, value);
}

/** An interval as text, or as an array of JSON. */
function intervalOf(name: string, value: unknown): GuidanceInterval | undefined {
  if (value === undefined) return undefined;
  const interval = typeof value === "string" ? parseInterval(value) : value;
  const isRight = Array.isArray(interval) &&
    isInterval(interval.map((one) => typeof one === "number" ? one : NaN));
  return isRight ? interval as unknown as GuidanceInterval : refuse(name, INTERVAL_TEXTS, value);
}

function seedOf(name: string, value: unknown): bigint | undefined {
  if (value === undefined) return undefined;
  const isText = typeof value === "string" || Number.isSafeInteger(value);
  return (isText ? parseSeed(String(value)) : undefined) ?? refuse(name, SEEDS, value);
}

/**
 * Reads a number; undefined if it is not given.
 *
 * @throws {RequestError} If it is none, or out of range.
 */
export function numberOf(
  name: string,
  value: unknown,
  integer: boolean,
  range: Range,
): number | undefined {
  if (value === undefined) return undefined;
  const { min = -Infinity, max = Infinity } = range;
  const isRight = typeof value === "number" && value >= min && value <= max &&
    (!integer || Number.isInteger(value));
  if (isRight) return value;
  return refuse(name, `a ${integer ? "whole " : ""}number${formatRange(range)}`, value);
}

/**
 * Refuses the value of a parameter.
 *
 * @throws {RequestError} Always.
 */
export function refuse(name: string, expected: string, value: unknown): never {
  const got = value === undefined ? "missing" : JSON.stringify(value).slice(0, 50);
  throw new RequestError(400, `${name} is ${got}, expected ${expected}`, {}, name);
}
