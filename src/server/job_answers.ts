/**
 * Answers about jobs in the form of `createHandler`: a PNG file, or a stream of events.
 *
 * @module
 */

import { contactSheet } from "../images/contact_sheet.ts";
import type { RasterImage } from "../images/raster_image.ts";
import type { Job, Preview } from "../jobs/job.ts";
import type { ServedQueue } from "../jobs/served_queue.ts";
import { followingSeeds } from "../random/seed.ts";
import { base64Files } from "./base64_files.ts";
import { drawnPrompts } from "./order.ts";
import type { RequestError } from "./request_error.ts";
import { eventText } from "./text_stream.ts";

/** Turns what has failed into what the client is to know of it. */
export type Describe = (error: unknown) => RequestError;

/**
 * Waits for the pictures of a job.
 *
 * @throws {DOMException} If it was cancelled.
 * @throws What it failed of.
 */
export async function imagesOf(job: Job): Promise<readonly RasterImage[]> {
  const state = await job.finished();
  if (state.status === "failed") throw state.error;
  if (state.status !== "done") throw new DOMException("The job was cancelled", "AbortError");
  return state.images;
}

/** Answers with the pictures as one PNG file. */
export async function pngAnswer(job: Job): Promise<Response> {
  const images = await imagesOf(job);
  const image = images.length === 1 ? images[0]! : contactSheet(images);
  return new Response(await image.toPng(), {
    headers: {
      "content-type": "image/png",
      "x-seed": `${job.request.values.seed}`,
      "cache-control": "no-store",
      "vary": "accept",
    },
  });
}

/**
 * The events of a job: `notes` about the prompt, if there are such; `queued` with the jobs ahead and the
 * seconds until it is through; `started`; `step` with `previews`; at last `result` or `error`.
 */
export async function* jobEvents(
  job: Job,
  queue: ServedQueue,
  notes: readonly string[],
  describe: Describe,
): AsyncGenerator<string, void, void> {
  let shown: Preview | undefined;
  let started = false;
  if (notes.length > 0) yield eventText("notes", { notes });
  for await (const state of job.states()) {
    switch (state.status) {
      case "queued":
        yield eventText("queued", { ahead: state.ahead, seconds: queue.secondsTo(job) });
        break;
      case "running": {
        const { step, steps, preview } = state;
        if (!started) yield eventText("started", { steps });
        started = true;
        if (step === 0) break;
        const isNew = preview !== undefined && preview !== shown;
        shown = preview;
        const previews = isNew ? await base64Files(preview.images) : undefined;
        yield eventText("step", { step, steps, previews });
        break;
      }
      case "done": {
        const { seed } = job.request.values;
        const seeds = followingSeeds(seed, state.images.length).map(String);
        const images = await base64Files(state.images);
        const prompts = drawnPrompts(job.request, images.length);
        yield eventText("result", { seed: `${seed}`, seeds, prompts, images });
        break;
      }
      case "failed":
        yield eventText("error", { error: describe(state.error).message });
    }
  }
}
