/**
 * Answers in the form of AUTOMATIC1111's web UI.
 *
 * @module
 */

import { encodeBase64 } from "../../base/base64.ts";
import { VERSION } from "../../base/version.ts";
import { styledPrompt } from "../../conditioning/styles.ts";
import { contactSheet } from "../../images/contact_sheet.ts";
import { enlarge } from "../../images/enlarge.ts";
import { withPngTexts } from "../../images/png_text.ts";
import type { RasterImage } from "../../images/raster_image.ts";
import type { ServedQueue } from "../../jobs/served_queue.ts";
import { COMMON_KEYWORD, commonText } from "../../pipeline/picture_settings.ts";
import { followingSeeds } from "../../random/seed.ts";
import { base64Files } from "../base64_files.ts";
import { imagesOf } from "../job_answers.ts";
import type { RequestError } from "../request_error.ts";
import type { ServedModel } from "../routes.ts";
import type { ClientJob } from "./client_jobs.ts";
import { parseInfo } from "./infotext.ts";

/** Progress of what waits or has begun: clients take 0 for nothing to do. */
const LEAST_PROGRESS = 0.01;

/**
 * The body of a 200: the pictures, the fields of the request, and a text of JSON with what they were drawn
 * with. Those of an interrupted job are as they were then; there are none if it had no preview yet.
 */
export async function picturesAnswer(
  entry: ClientJob,
  model: ServedModel,
): Promise<Record<string, unknown>> {
  const { job, request } = entry;
  const { status } = await job.finished();
  const isCut = status === "cancelled" && entry.interrupted;
  const images = isCut ? entry.preview?.images ?? [] : await imagesOf(job);
  const { values, prompt = "" } = job.request;
  const { seed: first, numImagesPerPrompt: count, ...others } = values;
  const seeds = followingSeeds(first, count);
  const infotexts = seeds.map((seed) => {
    const settings = { prompt, seed, values: others, model: model.id };
    return commonText(settings, { width: model.side, height: model.side });
  });
  const files = images.map(async (image, i) => {
    const png = await enlarged(image, request.scale).toPng();
    return await withPngTexts(png, { [COMMON_KEYWORD]: infotexts[i]! });
  });
  return {
    images: request.sendImages ? (await Promise.all(files)).map((file) => encodeBase64(file)) : [],
    parameters: request.fields,
    info: JSON.stringify(infoOf(entry, model, { seeds, infotexts })),
  };
}

/** What the pictures were drawn with. */
function infoOf(
  { job, request, since }: ClientJob,
  { id, side }: ServedModel,
  { seeds, infotexts }: {
    readonly seeds: readonly bigint[];
    readonly infotexts: readonly string[];
  },
): Record<string, unknown> {
  const { prompt = "", values } = job.request;
  const negative = [values.negativePrompt ?? ""].flat().join();
  const all = <T>(value: T): T[] => seeds.map(() => value);
  return {
    prompt,
    all_prompts: seeds.map((seed) => styledPrompt(prompt, seed, values.styles)),
    negative_prompt: negative,
    all_negative_prompts: all(negative),
    seed: Number(seeds[0]),
    all_seeds: seeds.map(Number),
    subseed: -1,
    all_subseeds: all(-1),
    subseed_strength: 0,
    width: side * request.scale,
    height: side * request.scale,
    sampler_name: request.sampler,
    cfg_scale: values.guidanceScale,
    steps: values.numInferenceSteps,
    batch_size: seeds.length,
    denoising_strength: values.strength ?? null,
    restore_faces: false,
    sd_model_name: id,
    sd_model_hash: null,
    extra_generation_params: {},
    index_of_first_image: 0,
    infotexts,
    styles: [],
    job_timestamp: timestampOf(since),
    clip_skip: 1,
    version: `vq-diffusion ${VERSION}`,
  };
}

/**
 * How far a client's job is.
 *
 * @param withImage Whether to show the newest preview.
 */
export async function progressAnswer(
  entry: ClientJob | undefined,
  queue: ServedQueue,
  { withImage }: { readonly withImage: boolean },
): Promise<Record<string, unknown>> {
  const state = entry?.job.state;
  const { step, steps, preview } = state?.status === "running"
    ? state
    : { step: 0, steps: entry?.job.request.values.numInferenceSteps ?? 0, preview: undefined };
  const shown = withImage && entry && preview
    ? enlarged(contactSheet(preview.images, { gap: 0 }), entry.request.scale)
    : undefined;
  // At strength 0 there are no steps.
  const progress = step / Math.max(1, steps);
  return {
    progress: entry === undefined ? 0 : Math.max(LEAST_PROGRESS, progress),
    eta_relative: entry === undefined ? 0 : queue.secondsTo(entry.job),
    state: {
      skipped: false,
      interrupted: false,
      stopping_generation: false,
      job: entry === undefined ? "" : "picture",
      job_count: entry === undefined ? 0 : 1,
      job_timestamp: entry === undefined ? "0" : timestampOf(entry.since),
      job_no: 0,
      sampling_step: step,
      sampling_steps: steps,
    },
    current_image: shown === undefined ? null : (await base64Files([shown]))[0],
    textinfo: null,
  };
}

/** What a picture was drawn with, out of its texts. */
export function pngInfoAnswer(texts: ReadonlyMap<string, string>): Record<string, unknown> {
  const { [COMMON_KEYWORD]: info = "", ...items } = Object.fromEntries(texts);
  return { info, items, parameters: parseInfo(info) };
}

/** An error. */
export function webUIError({ message, status }: RequestError): Record<string, unknown> {
  const error = status >= 500 ? "ServerError" : "HTTPException";
  return { error, detail: message, body: "", errors: message };
}

function enlarged(image: RasterImage, scale: number): RasterImage {
  return scale === 1 ? image : enlarge(image, scale);
}

/** `20261127093015`, of UTC. */
function timestampOf(milliseconds: number): string {
  return new Date(milliseconds).toISOString().replace(/\D/g, "").slice(0, 14);
}
