/**
 * What a request asks for, read from its query or its JSON body, and checked.
 *
 * @module
 */

import { formatRange, nearestOption, type Range } from "../base/check.ts";
import type { GenerateInput } from "../conditioning/condition.ts";
import type { Transformer2DConfig } from "../models/transformer_2d_config.ts";
import {
  GENERATION_PARAMETERS,
  type GenerationParameters,
  type ParameterLimits,
  type ParameterName,
  PROMPT_PARAMETER_NAMES,
  rangeOf,
  SHORT_NAMES,
} from "../pipeline/generation_parameters.ts";
import { parseSeed, SEEDS } from "../random/seed.ts";
import { type BodyLimits, readJsonBody } from "./json_body.ts";
import { RequestError } from "./request_error.ts";

/** What a model is told to draw. */
export type RequestSubject = Pick<RequestParameters, "prompt" | "classLabel">;

/** What requests may ask for at most. */
export interface RequestLimits {
  /** Denoising steps. */
  readonly maxSteps: number;
  /** Images. */
  readonly maxImages: number;
  /** UTF-16 code units of the prompt. */
  readonly maxPromptLength: number;
  /** Bytes of the body. */
  readonly maxBodyBytes: number;
}

/** What a request asks for. */
export interface RequestParameters {
  /** What to draw, if the model draws from text. */
  readonly prompt: string | undefined;
  /** What to draw, if it draws from classes. */
  readonly classLabel?: number | undefined;
  /** Steps from one preview to the next; 0 for none. */
  readonly previews: number;
  /** All values as they were given: {@linkcode generationParameters} reads those of the generation. */
  readonly values: RequestValues;
}

/** Values of a request by the names of its parameters. */
export type RequestValues = Readonly<Record<string, unknown>>;

const NAMES = [
  "prompt",
  "class",
  ...PROMPT_PARAMETER_NAMES.map((name) => SHORT_NAMES[name]!),
  "previews",
];

/** Parameters that a query gives as text; a number would not be exact enough for a seed. */
const TEXTS = new Set([
  "prompt",
  ...Object.values(GENERATION_PARAMETERS)
    .filter(({ type }) => type === "seed")
    .map(({ shortName }) => shortName),
]);

/** Ranges of the parameters of a generation that narrow those of the library. */
export function requestRanges({ maxSteps, maxImages }: RequestLimits): ParameterLimits["ranges"] {
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
  const values = { ...queryValues(request), ...await bodyValues(request, limits) };
  const unknown = Object.keys(values).find((name) => !NAMES.includes(name));
  if (unknown !== undefined) {
    const near = nearestOption(unknown, NAMES, SHORT_NAMES);
    const advice = near === undefined ? `expected ${NAMES.join(", ")}` : `did you mean ${near}?`;
    throw new RequestError(
      400,
      `Unknown parameter ${JSON.stringify(unknown.slice(0, 50))}, ${advice}`,
    );
  }
  const prompt = values["prompt"] === undefined
    ? undefined
    : promptOf(values["prompt"], limits.maxPromptLength);
  const classLabel = numberOf("class", values["class"], true, { min: 0 });
  generationParameters(values, { ranges: requestRanges(limits) });
  const previews = numberOf("previews", values["previews"], true, { min: 0, max: 1000 }) ?? 0;
  return { prompt, classLabel, previews, values };
}

/**
 * Checks that a request tells the model what it takes, and nothing else.
 *
 * @throws {RequestError} If not.
 */
export function checkSubject(
  { prompt, classLabel }: RequestSubject,
  { conditionType, numClassEmbeds }: Pick<Transformer2DConfig, "conditionType" | "numClassEmbeds">,
): void {
  const reason = {
    text: "as the model draws from text",
    class: "as the model draws from classes",
    none: "as the model is unconditional",
  }[conditionType];
  if (conditionType === "text" && prompt === undefined) refuse("prompt", "a text", prompt);
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

/** What a request tells a model, as a pipeline takes it. */
export function inputOf({ prompt, classLabel }: RequestSubject): GenerateInput {
  return classLabel === undefined ? prompt : { classLabel };
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
    if (type === "seed") return seedOf(shortName, value);
    return numberOf(shortName, value, type === "integer", rangeOf(name, limits));
  };
  return Object.fromEntries(PROMPT_PARAMETER_NAMES.map((name) => [name, read(name)]));
}

function queryValues(request: Request): Record<string, unknown> {
  const values: Record<string, unknown> = Object.create(null);
  for (const [name, text] of new URL(request.url).searchParams) {
    if (name in values) throw new RequestError(400, `The parameter ${name} is given twice`);
    // Beside text, a query can mean numbers only.
    const isNumber = !TEXTS.has(name) && /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text);
    values[name] = isNumber ? Number(text) : text;
  }
  return values;
}

async function bodyValues(request: Request, limits: BodyLimits): Promise<RequestValues> {
  return request.method === "POST" ? await readJsonBody(request, limits) : {};
}

/**
 * Reads the prompt.
 *
 * @throws {RequestError} If it is missing, no text or too long.
 */
export function promptOf(value: unknown, maxLength: number): string {
  if (typeof value !== "string") refuse("prompt", "a text", value);
  if (value.length > maxLength) {
    throw new RequestError(
      400,
      `prompt is ${value.length} characters long, expected at most ${maxLength}`,
      {},
      "prompt",
    );
  }
  return value;
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
