/**
 * Jobs as messages, and their ids, which are hashes of what determines the pictures.
 *
 * @module
 */

import { refuseType } from "../../base/check.ts";
import { VERSION } from "../../base/version.ts";
import { RasterImage } from "../../images/raster_image.ts";
import { PARAMETER_NAMES, SHORT_NAMES } from "../../pipeline/generation_parameters.ts";
import { decodeFrames, encodeFrames } from "./frames.ts";
import type { JobRequest } from "../job.ts";

/** A job on its way to a worker. */
export interface JobMessage {
  /** SHA-256 of what determines the pictures, in hexadecimal digits. */
  readonly id: string;
  /** The message. */
  readonly bytes: Uint8Array<ArrayBuffer>;
}

/** Values of a job by the names that they have in requests over HTTP; of them nothing is known. */
export type JobFields = Readonly<Record<string, unknown>>;

/**
 * Checks the values of a job as those of a request over HTTP.
 *
 * @throws If one is missing or out of range.
 */
export type ReadFields = (fields: JobFields) => Omit<JobRequest, "picture">;

/**
 * Makes a message of a job.
 *
 * @param model Identity of the model that is to draw it.
 */
export async function encodeJob(request: JobRequest, model: string): Promise<JobMessage> {
  const pictures = picturesOf(request);
  const files = await Promise.all(pictures.map((picture) => picture.toPng()));
  const { previewSteps: previews } = request;
  const bytes = encodeFrames({ header: { fields: fieldsOf(request), previews }, files });
  return { id: await jobId(request, model), bytes };
}

/**
 * Reads the message of a job, of which nothing is known.
 *
 * @param side Side of the model's pictures.
 * @throws If it is damaged, or asks for what a request over HTTP may not.
 */
export async function decodeJob(
  bytes: Uint8Array,
  read: ReadFields,
  side: number,
): Promise<JobRequest> {
  const { header: { fields, previews }, files } = decodeFrames(bytes);
  if (typeof fields !== "object" || fields === null || files.length > 2) {
    throw new SyntaxError("Cannot read a job of the queue: it has no fields, or too many pictures");
  }
  const request = read({ ...fields, previews });
  const [image, maskImage] = await Promise.all(files.map(async (file) => {
    const picture = await RasterImage.decode(file, { maxPixels: side * side });
    if (picture.width === side && picture.height === side) return picture;
    const size = `${picture.width} × ${picture.height}`;
    throw new RangeError(
      `Cannot read a job of the queue: its picture is ${size}, expected ${side} × ${side}`,
    );
  }));
  return image === undefined ? request : { ...request, picture: { image, maskImage } };
}

/** Hash of what determines the pictures of a job; previews do not. */
export async function jobId(request: JobRequest, model: string): Promise<string> {
  const pictures = await Promise.all(
    picturesOf(request).map(async ({ width, height, data }) => {
      return { width, height, data: await sha256(new Uint8Array(data)) };
    }),
  );
  const fields = Object.entries(fieldsOf(request)).sort(([a], [b]) => a < b ? -1 : 1);
  const text = JSON.stringify({ version: VERSION, model, fields, pictures });
  return await sha256(new TextEncoder().encode(text));
}

/** SHA-256 of bytes, in hexadecimal digits. */
export async function sha256(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return Array.from(hash, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** The picture to start from and its mask, as far as there are such. */
function picturesOf({ picture: { image, maskImage } = {} }: JobRequest): RasterImage[] {
  if (image === undefined) return [];
  if (!(image instanceof RasterImage)) {
    refuseType({ task: "queue a job", name: "image" }, image, "a single RasterImage");
  }
  return maskImage === undefined ? [image] : [image, maskImage];
}

function fieldsOf({ prompt, values }: JobRequest): JobFields {
  const fields = PARAMETER_NAMES.map((name) => {
    const value = values[name];
    return [SHORT_NAMES[name]!, typeof value === "bigint" ? `${value}` : value];
  });
  const given = [["prompt", prompt], ...fields].filter(([, value]) => value !== undefined);
  return Object.fromEntries(given);
}
