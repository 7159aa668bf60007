/**
 * Requests in the form of AUTOMATIC1111's web UI (`/sdapi/v1/txt2img` and `img2img`).
 *
 * @module
 */

import type { RasterImage } from "../../images/raster_image.ts";
import type { JobRequest } from "../../jobs/job.ts";
import { type ParameterLimits, rangeOf } from "../../pipeline/generation_parameters.ts";
import { randomSeed } from "../../random/seed.ts";
import { orderOf, type OrderParameters, previewStepsOf } from "../order.ts";
import { RequestError } from "../request_error.ts";
import {
  checkNegative,
  MOST_SIDE,
  promptOf,
  refuse,
  type RequestLimits,
  type RequestValues,
} from "../request_parameters.ts";
import { fitPictures } from "../request_pictures.ts";
import type { ServedModel } from "../routes.ts";
import { booleanField, numberField, pictureField, textField } from "./fields.ts";
import { samplerOf } from "./samplers.ts";

/** Previews of a job: nobody may look at them. */
const PREVIEWS = 3;

/** How much of a picture is drawn anew if it is not said, as the web UI has it. */
const STRENGTH = 0.75;

/** What a request asks for. */
export interface WebUIRequest {
  readonly job: JobRequest;
  /** Side of the squares that pixels become. */
  readonly scale: number;
  /** Whether the pictures are to be in the answer. */
  readonly sendImages: boolean;
  /** Name of the sampler, as lists have it. */
  readonly sampler: string;
  /** Numbers, texts and the like among its fields, as they were given. */
  readonly fields: RequestValues;
}

/** What requests may ask for. */
export interface WebUILimits {
  readonly request: RequestLimits;
  readonly parameters: ParameterLimits;
}

/**
 * Reads a request for pictures of a prompt. Fields of things that this model does not have are ignored;
 * more steps than there may be are as many as there may be.
 *
 * @throws {RequestError} If a field is wrong, or asks for what there is not.
 */
export function readTextRequest(
  fields: RequestValues,
  model: ServedModel,
  limits: WebUILimits,
): WebUIRequest {
  const prompt = promptOf(fields["prompt"] ?? "", limits.request.maxPromptLength);
  return readRequest(fields, { prompt, isPictured: false }, model, limits);
}

/**
 * Reads a request for pictures from a picture, or that repaint a part of one. Without a prompt it is varied.
 *
 * @throws {RequestError} If a field is wrong, or asks for what there is not.
 */
export async function readImageRequest(
  fields: RequestValues,
  model: ServedModel,
  limits: WebUILimits,
): Promise<WebUIRequest> {
  const prompt = promptOf(fields["prompt"] ?? "", limits.request.maxPromptLength) || undefined;
  const request = readRequest(fields, { prompt, isPictured: true }, model, limits);
  const { init_images: images } = fields;
  if (!Array.isArray(images) || images.length !== 1) {
    refuse("init_images", "a list of one picture", images);
  }
  const strength = numberField(fields, "denoising_strength", { min: 0, max: 1 }) ?? STRENGTH;
  const { maxPixels } = limits.request;
  const image = await pictureField("init_images[0]", images[0], maxPixels);
  const maskImage = await maskOf(fields, image, maxPixels);
  const picture = await fitPictures({ image, maskImage }, { side: model.side, strength });
  const values = { ...request.job.values, strength };
  const previewSteps = previewStepsOf(values, PREVIEWS);
  return { ...request, job: { prompt, picture, values, previewSteps } };
}

/** Reads what all requests have in common. */
function readRequest(
  fields: RequestValues,
  subject: Pick<OrderParameters, "prompt" | "isPictured">,
  model: ServedModel,
  { request, parameters }: WebUILimits,
): WebUIRequest {
  checkCheckpoint(fields, model);
  const { max = Infinity } = rangeOf("numInferenceSteps", parameters);
  const wanted = numberField(fields, "steps", { integer: true, min: 1 });
  const { name, sampler, steps } = samplerOf(
    textField(fields, "sampler_name") || textField(fields, "sampler_index"),
    wanted && Math.min(wanted, max),
    parameters.numTrainTimesteps!,
  );
  const guidance = numberField(fields, "cfg_scale", rangeOf("guidanceScale", parameters));
  const own = {
    seed: seedOf(fields),
    steps,
    sampler,
    // Without a prompt there is nothing that guidance could follow.
    guidance: subject.prompt === undefined ? undefined : guidance,
    negative: textField(fields, "negative_prompt") || undefined,
    images: countOf(fields, rangeOf("numImagesPerPrompt", parameters).max ?? Infinity),
  };
  checkNegative("negative_prompt", own.negative, request.maxPromptLength);
  const { values } = orderOf({ ...subject, previews: 0, values: own }, parameters);
  return {
    job: { prompt: subject.prompt, values, previewSteps: previewStepsOf(values, PREVIEWS) },
    scale: scaleOf(fields, model.side),
    sendImages: fields["send_images"] === undefined || booleanField(fields, "send_images"),
    sampler: name,
    fields: Object.fromEntries(
      Object.entries(fields).filter(([name, value]) =>
        typeof value !== "object" && name !== "mask"
      ),
    ),
  };
}

/** The mask, in the size of the picture. */
async function maskOf(
  fields: RequestValues,
  { width, height }: RasterImage,
  maxPixels: number,
): Promise<RasterImage | undefined> {
  const { mask } = fields;
  if (mask === undefined || mask === null || mask === "") return undefined;
  const painting = await pictureField("mask", mask, maxPixels);
  const inverted = booleanField(fields, "inpainting_mask_invert");
  const { workOn } = await import("../picture_work.ts");
  const white = await workOn(painting, { make: "mask of painting", inverted });
  if (white.width === width && white.height === height) return white;
  return await workOn(white, { make: "mask of size", width, height });
}

/** -1 is a random seed. */
function seedOf(fields: RequestValues): string {
  const seed = numberField(fields, "seed", {
    integer: true,
    min: -1,
    max: Number.MAX_SAFE_INTEGER,
  });
  return `${seed === undefined || seed === -1 ? randomSeed() : seed}`;
}

/** Pictures in all: those of a batch, times batches. */
function countOf(fields: RequestValues, most: number): number {
  const range = { integer: true, min: 1 };
  const count = (numberField(fields, "batch_size", range) ?? 1) *
    (numberField(fields, "n_iter", range) ?? 1);
  if (count <= most) return count;
  const message = `batch_size · n_iter is ${count}, expected at most ${most}`;
  throw new RequestError(400, message, {}, "batch_size");
}

/** The greatest whole factor by which pictures fit into the size that is asked for, but at least 1. */
function scaleOf(fields: RequestValues, side: number): number {
  const [width, height] = ["width", "height"].map((name) =>
    numberField(fields, name, { integer: true, min: 1 }) ?? side
  );
  return Math.max(1, Math.floor(Math.min(width!, height!, MOST_SIDE) / side));
}

/**
 * Checks that the model that a request wants is the one that is served.
 *
 * @param fields Those of a request or, of settings, themselves.
 * @throws {RequestError} If it is another one.
 */
export function checkCheckpoint(fields: RequestValues, { id }: ServedModel): void {
  const { override_settings: settings } = fields;
  const isObject = typeof settings === "object" && settings !== null;
  const wanted = (isObject ? settings as RequestValues : fields)["sd_model_checkpoint"] ?? id;
  if (wanted === "" || wanted === id) return;
  const name = JSON.stringify(wanted).slice(0, 100);
  throw new RequestError(404, `The model ${name} does not exist, expected "${id}"`);
}
