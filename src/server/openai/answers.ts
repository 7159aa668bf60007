/**
 * Answers in the form of OpenAI's image API.
 *
 * @module
 */

import { styledPrompt } from "../../conditioning/styles.ts";
import { enlarge } from "../../images/enlarge.ts";
import type { RasterImage } from "../../images/raster_image.ts";
import type { Job, Preview } from "../../jobs/job.ts";
import type { ServedQueue } from "../../jobs/served_queue.ts";
import { followingSeeds } from "../../random/seed.ts";
import { base64Files } from "../base64_files.ts";
import { type Describe, imagesOf } from "../job_answers.ts";
import type { RequestError } from "../request_error.ts";
import { eventText } from "../text_stream.ts";
import type { ServedModel } from "../routes.ts";
import type { OpenAIRequest } from "./request.ts";

/** What pictures are like, beside their pixels. */
const KIND = { background: "opaque", quality: "auto" } as const;

/** The body of a 200: all pictures, each with its seed. */
export async function imagesAnswer(
  job: Job,
  request: OpenAIRequest,
): Promise<Record<string, unknown>> {
  const images = await imagesOf(job);
  const files = await filesOf(images, request);
  const seeds = followingSeeds(job.request.values.seed, images.length);
  return {
    created: seconds(),
    data: files.map((b64_json, i) => {
      return { b64_json, ...revisedPrompt(job, seeds[i]!), seed: `${seeds[i]}` };
    }),
    size: sizeOf(images[0]!, request),
    output_format: request.format.name,
    ...KIND,
  };
}

/**
 * The events of a stream: `image_generation.partial_image`, and `….completed` for each picture; if one was
 * brought, they are those of `image_edit`.
 */
export async function* imageEvents(
  job: Job,
  request: OpenAIRequest,
  describe: Describe,
): AsyncGenerator<string, void, void> {
  const event = (type: string, image: RasterImage, fields: Record<string, unknown>) =>
    eventText(`${request.events}.${type}`, {
      type: `${request.events}.${type}`,
      ...fields,
      created_at: seconds(),
      size: sizeOf(image, request),
      output_format: request.format.name,
      ...KIND,
    });
  let shown: Preview | undefined;
  let previews = 0;
  for await (const state of job.states()) {
    if (state.status === "running" && state.preview && state.preview !== shown) {
      shown = state.preview;
      if (previews === request.partialImages) continue;
      for (const [i, b64_json] of (await filesOf(shown.images, request)).entries()) {
        const fields = { b64_json, partial_image_index: previews, image_index: i };
        yield event("partial_image", shown.images[i]!, fields);
      }
      previews++;
    }
    if (state.status === "done") {
      const seeds = followingSeeds(job.request.values.seed, state.images.length);
      for (const [i, b64_json] of (await filesOf(state.images, request)).entries()) {
        const seed = { ...revisedPrompt(job, seeds[i]!), seed: `${seeds[i]}` };
        const fields = { b64_json, image_index: i, ...seed };
        yield event("completed", state.images[i]!, fields);
      }
    }
    if (state.status === "failed") yield eventText("error", errorBody(describe(state.error)));
  }
}

/** The prompt with the style that a seed has chosen, as OpenAI's models tell how they changed it. */
function revisedPrompt({ request }: Job, seed: bigint): { readonly revised_prompt?: string } {
  const { prompt = "", values: { styles } } = request;
  const drawn = styledPrompt(prompt, seed, styles);
  return drawn === prompt ? {} : { revised_prompt: drawn };
}

/** An error. */
export function errorBody({ status, message, param }: RequestError): Record<string, unknown> {
  return {
    error: { message, type: typeOf(status), param: param ?? null, code: codeOf(status, param) },
  };
}

/** What there is of the queue for a client, in headers of OpenAI's. */
export function rateLimitHeaders(queue: ServedQueue, client: string): Record<string, string> {
  const reset = queue.secondsToEmpty();
  return {
    "x-ratelimit-limit-requests": `${queue.limits.capacityPerClient}`,
    "x-ratelimit-remaining-requests": `${queue.placesFor(client)}`,
    "x-ratelimit-reset-requests": `${Math.ceil(reset * 1000)}ms`,
  };
}

/** The model, as `/v1/models` lists it. */
export function modelEntry({ id }: ServedModel, created: number): Record<string, unknown> {
  return { id, object: "model", created, owned_by: "vq-diffusion" };
}

function typeOf(status: number): string {
  if (status === 429) return "requests";
  return status >= 500 ? "server_error" : "invalid_request_error";
}

function codeOf(status: number, param: string | undefined): string | null {
  switch (status) {
    case 401:
      return "invalid_api_key";
    case 404:
      return param === "model" ? "model_not_found" : "unknown_url";
    case 429:
      return "rate_limit_exceeded";
    default:
      return status === 400 && param !== undefined ? "invalid_value" : null;
  }
}

async function filesOf(
  images: readonly RasterImage[],
  { scale, format }: OpenAIRequest,
): Promise<string[]> {
  const enlarged = images.map((image) => scale === 1 ? image : enlarge(image, scale));
  if (format.name === "png") return await base64Files(enlarged);
  return await base64Files(enlarged, (image) => image.toJpeg({ quality: format.quality }));
}

function sizeOf({ width, height }: RasterImage, { scale }: OpenAIRequest): string {
  return `${width * scale}x${height * scale}`;
}

/** Seconds since 1970. */
function seconds(): number {
  return Math.floor(Date.now() / 1000);
}
