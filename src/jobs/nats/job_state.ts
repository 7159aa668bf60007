/**
 * How far jobs are, and their pictures, as workers store them.
 *
 * @module
 */

import { RasterImage } from "../../images/raster_image.ts";
import type { Preview } from "../job.ts";
import { decodeFrames, encodeFrames } from "./frames.ts";

/** The longest reason of a failure, in UTF-16 code units. */
const LONGEST_REASON = 2000;

/** How far a job is. `sequence` is the number of its message, the newer the greater. */
export type RemoteState =
  & { readonly sequence: number }
  & (
    | {
      readonly status: "running";
      readonly step: number;
      readonly steps: number;
      readonly preview: Preview | undefined;
    }
    | { readonly status: "done" }
    | { readonly status: "failed"; readonly reason: string }
  );

/** What pictures of a job are like. */
export interface PictureForm {
  /** Number of pictures. */
  readonly count: number;
  /** Side of each, in pixels. */
  readonly side: number;
}

/** Makes the message of a state. */
export async function encodeState(state: RemoteState): Promise<Uint8Array<ArrayBuffer>> {
  if (state.status === "failed") {
    const header = { ...state, reason: state.reason.slice(0, LONGEST_REASON) };
    return encodeFrames({ header, files: [] });
  }
  if (state.status === "done") return encodeFrames({ header: state, files: [] });
  const { preview, ...header } = state;
  const files = await filesOf(preview?.images ?? []);
  return encodeFrames({ header: { ...header, previewStep: preview?.step }, files });
}

/** Reads a state, of which nothing is known. Undefined if it is damaged. */
export async function decodeState(
  bytes: Uint8Array,
  form: PictureForm,
): Promise<RemoteState | undefined> {
  try {
    const { header, files } = decodeFrames(bytes);
    const { sequence, status, step, steps, previewStep, reason } = header;
    if (!isCount(sequence)) return undefined;
    if (status === "done") return { sequence, status };
    if (status === "failed" && typeof reason === "string") {
      return { sequence, status, reason: reason.slice(0, LONGEST_REASON) };
    }
    if (status !== "running" || !isCount(step) || !isCount(steps) || step > steps) return undefined;
    const preview = isCount(previewStep)
      ? { step: previewStep, images: await imagesOf(files, form) }
      : undefined;
    return { sequence, status, step, steps, preview };
  } catch (error) {
    if (isDamage(error)) return undefined;
    throw error;
  }
}

/** Whether an error says that pictures or messages are damaged, or of a kind that is not read. */
export function isDamage(error: unknown): boolean {
  return [SyntaxError, RangeError, TypeError].some((kind) => error instanceof kind);
}

/** Makes the object of the pictures of a job. */
export async function encodeImages(
  images: readonly RasterImage[],
): Promise<Uint8Array<ArrayBuffer>> {
  return encodeFrames({ header: {}, files: await filesOf(images) });
}

/**
 * Reads the pictures of a job, of which nothing is known.
 *
 * @throws {SyntaxError} If they are damaged.
 * @throws {RangeError} If they are of another size or number.
 * @throws {TypeError} If they are files of a rare kind.
 */
export async function decodeImages(bytes: Uint8Array, form: PictureForm): Promise<RasterImage[]> {
  return await imagesOf(decodeFrames(bytes).files, form);
}

async function filesOf(images: readonly RasterImage[]): Promise<Uint8Array<ArrayBuffer>[]> {
  return await Promise.all(images.map((image) => image.toPng()));
}

async function imagesOf(
  files: readonly Uint8Array[],
  { count, side }: PictureForm,
): Promise<RasterImage[]> {
  if (files.length !== count) {
    throw new RangeError(`Cannot read pictures: there are ${files.length}, expected ${count}`);
  }
  return await Promise.all(files.map(async (file) => {
    const image = await RasterImage.decode(file, { maxPixels: side * side });
    if (image.width === side && image.height === side) return image;
    throw new RangeError(
      `Cannot read pictures: one is ${image.width} × ${image.height}, expected ${side} × ${side}`,
    );
  }));
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && value as number >= 0;
}
