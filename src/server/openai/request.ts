/**
 * Requests in the form of OpenAI's image API (`POST /v1/images/generations`).
 *
 * @module
 */

import type { JobRequest } from "../../jobs/job.ts";
import {
  PARAMETER_NAMES,
  type ParameterLimits,
  rangeOf,
  SHORT_NAMES,
} from "../../pipeline/generation_parameters.ts";
import { orderOf, type OrderParameters, previewStepsOf } from "../order.ts";
import { RequestError } from "../request_error.ts";
import {
  checkNegative,
  MOST_SIDE,
  numberOf,
  promptOf,
  refuse,
  type RequestLimits,
  type RequestValues,
} from "../request_parameters.ts";
import type { ServedModel } from "../routes.ts";

/** Names of models that clients have built in; they stand for the one that is served. */
const OTHER_NAMES = /^(dall-e|gpt-image|chatgpt-image)-/;

/** The most previews of a stream, as OpenAI has it. */
const MOST_PARTIAL_IMAGES = 3;

/** What pictures are encoded as. */
export type OutputFormat =
  | { readonly name: "png" }
  | { readonly name: "jpeg"; readonly quality: number };

/** What a request asks for. */
export interface OpenAIRequest {
  readonly job: JobRequest;
  /** Whether to answer with events. */
  readonly stream: boolean;
  /** Previews in a stream, at most. */
  readonly partialImages: number;
  /** Side of the squares that pixels become. */
  readonly scale: number;
  /** What pictures are encoded as. */
  readonly format: OutputFormat;
  /** What the names of its events begin with. */
  readonly events: "image_generation" | "image_edit";
}

/** What requests may ask for. */
export interface OpenAILimits {
  readonly request: RequestLimits;
  readonly parameters: ParameterLimits;
}

/**
 * Reads a request for pictures of a prompt.
 *
 * @throws {RequestError} If a field is wrong, or asks for what there is not.
 */
export function readOpenAIRequest(
  body: RequestValues,
  model: ServedModel,
  limits: OpenAILimits,
): OpenAIRequest {
  const prompt = promptOf(body["prompt"] ?? undefined, limits.request.maxPromptLength);
  return readImagesRequest(body, { prompt, isPictured: false }, model, limits);
}

/**
 * Reads what all requests have in common. Fields that they may have beside OpenAI's are those of the table
 * of parameters, such as `seed`, `steps` and `guidance`; others are ignored.
 *
 * @param subject Its prompt is undefined for variations.
 * @throws {RequestError} If a field is wrong, or asks for what there is not.
 */
export function readImagesRequest(
  body: RequestValues,
  subject: Pick<OrderParameters, "prompt" | "isPictured">,
  model: ServedModel,
  { request, parameters }: OpenAILimits,
): OpenAIRequest {
  const given = Object.fromEntries(Object.entries(body).filter(([, value]) => value !== null));
  checkModel(given["model"], model);
  const format = formatOf(given);
  const images = numberOf("n", given["n"], true, rangeOf("numImagesPerPrompt", parameters));
  const { stream = false } = given;
  if (typeof stream !== "boolean") refuse("stream", "true or false", stream);
  const range = { min: 0, max: MOST_PARTIAL_IMAGES };
  const partialImages = numberOf("partial_images", given["partial_images"], true, range) ?? 0;
  const own = { ...valuesOf(given), images };
  checkNegative("negative", given["negative"], request.maxPromptLength);
  const { values } = orderOf({ ...subject, previews: 0, values: own }, parameters);
  return {
    job: { prompt: subject.prompt, values, previewSteps: previewStepsOf(values, partialImages) },
    stream,
    partialImages,
    scale: scaleOf(given["size"], model.side),
    format,
    events: "image_generation",
  };
}

/** The fields that are parameters of a generation, by their short names. */
function valuesOf(given: RequestValues): RequestValues {
  const names = PARAMETER_NAMES.map((name) => SHORT_NAMES[name]!);
  return Object.fromEntries(Object.entries(given).filter(([name]) => names.includes(name)));
}

/**
 * Checks that a model is the one that is served.
 *
 * @throws {RequestError} If it is another one.
 */
export function checkModel(given: unknown, { id }: ServedModel): void {
  if (given === undefined || given === id) return;
  if (typeof given !== "string") refuse("model", "a text", given);
  if (OTHER_NAMES.test(given)) return;
  const name = JSON.stringify(given.slice(0, 100));
  throw new RequestError(404, `The model ${name} does not exist, expected "${id}"`, {}, "model");
}

/** Reads what pictures are encoded as. As OpenAI has it, the compression of JPEG is its quality. */
function formatOf(given: RequestValues): OutputFormat {
  const { response_format: response = "b64_json", output_format: name = "png" } = given;
  if (response !== "b64_json") refuse("response_format", '"b64_json": no files are kept', response);
  const field = "output_compression";
  const quality = numberOf(field, given[field], true, { min: 0, max: 100 }) ?? 100;
  if (name === "png") return { name };
  if (name === "jpeg") return { name, quality: Math.max(1, quality) };
  return refuse("output_format", '"png" or "jpeg"', name);
}

/** The whole factor by which pictures are enlarged to a size. */
function scaleOf(size: unknown, side: number): number {
  if (size === undefined || size === "auto") return 1;
  const [, width, height] = /^(\d{1,5})x(\d{1,5})$/.exec(typeof size === "string" ? size : "") ??
    [];
  const scale = Number(width) / side;
  const most = Math.max(side, MOST_SIDE);
  if (width === height && Number.isInteger(scale) && scale >= 1 && scale * side <= most) {
    return scale;
  }
  const larger = side * 2 > most ? "" : ` or a multiple of it up to ${most}`;
  return refuse("size", `"auto", "${side}x${side}"${larger}`, size);
}
