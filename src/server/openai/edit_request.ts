/**
 * Requests that bring a picture, in the form of OpenAI's (`POST /v1/images/edits` and `variations`).
 *
 * @module
 */

import type { RasterImage } from "../../images/raster_image.ts";
import { hasWhite } from "../../pipeline/mask.ts";
import type { FormBody, FormFile } from "../form_body.ts";
import { NUMBER_PARAMETERS, numberIfText } from "../number_texts.ts";
import { RequestError } from "../request_error.ts";
import { promptOf, refuse, type RequestValues } from "../request_parameters.ts";
import { fitPictures, requestPicture, type StartingPictures } from "../request_pictures.ts";
import type { ServedModel } from "../routes.ts";
import { type OpenAILimits, type OpenAIRequest, readImagesRequest } from "./request.ts";

/** How much of a picture a variation draws anew, if it is not said. */
const VARIATION_STRENGTH = 0.5;

/** Fields that are numbers; a form has them as texts. */
const NUMBERS = new Set([
  "n",
  "partial_images",
  "output_compression",
  ...NUMBER_PARAMETERS,
]);

/**
 * Reads a request that changes a picture by a prompt: as a whole, or where its mask is transparent.
 *
 * @throws {RequestError} If a field is wrong, or asks for what there is not.
 */
export async function readEditRequest(
  form: FormBody,
  model: ServedModel,
  limits: OpenAILimits,
): Promise<OpenAIRequest> {
  const fields = fieldsOf(form);
  const prompt = promptOf(fields["prompt"], limits.request.maxPromptLength);
  const request = readImagesRequest(fields, { prompt, isPictured: true }, model, limits);
  const image = await pictureOf("image", form, limits);
  const maskImage = hasField("mask", form) ? await maskOf(form, image, limits) : undefined;
  return await withPictures(request, { image, maskImage }, model);
}

/**
 * Reads a request that varies a picture.
 *
 * @throws {RequestError} If a field is wrong, or asks for what there is not.
 */
export async function readVariationRequest(
  form: FormBody,
  model: ServedModel,
  limits: OpenAILimits,
): Promise<OpenAIRequest> {
  const fields = { strength: VARIATION_STRENGTH, ...fieldsOf(form) };
  const request = readImagesRequest(fields, { prompt: undefined, isPictured: true }, model, limits);
  return await withPictures(request, { image: await pictureOf("image", form, limits) }, model);
}

async function withPictures(
  request: OpenAIRequest,
  pictures: StartingPictures,
  { side }: ServedModel,
): Promise<OpenAIRequest> {
  const { strength } = request.job.values;
  const picture = await fitPictures(pictures, { side, strength });
  return { ...request, job: { ...request.job, picture }, events: "image_edit" };
}

/** The fields as JSON would have them. */
function fieldsOf({ fields }: FormBody): RequestValues {
  return Object.fromEntries(
    Object.entries(fields).map(([name, text]) => {
      if (name === "stream" && /^(true|false)$/i.test(text)) return [name, /^t/i.test(text)];
      return [name, NUMBERS.has(name) ? numberIfText(text) : text];
    }),
  );
}

function hasField(name: string, { fields, files }: FormBody): boolean {
  return (fields[name] ?? files[name] ?? files[`${name}[]`]) !== undefined;
}

/** The one picture of a field, which may be an array of one. */
async function pictureOf(
  name: string,
  { fields, files }: FormBody,
  { request }: OpenAILimits,
): Promise<RasterImage> {
  if (fields[name] !== undefined) refuse(name, "a picture file", fields[name]);
  const given: readonly FormFile[] = [...files[name] ?? [], ...files[`${name}[]`] ?? []];
  if (given.length === 0) refuse(name, "a picture file", undefined);
  if (given.length > 1) {
    throw new RequestError(400, `${name} is ${given.length} files, expected one`, {}, name);
  }
  return await requestPicture(name, given[0]!.bytes, request.maxPixels);
}

async function maskOf(
  form: FormBody,
  { width, height }: RasterImage,
  limits: OpenAILimits,
): Promise<RasterImage> {
  const file = await pictureOf("mask", form, limits);
  if (file.width !== width || file.height !== height) {
    const sizes = `${file.width} × ${file.height} pixels, expected ${width} × ${height}`;
    throw new RequestError(400, `mask is ${sizes} as the image`, {}, "mask");
  }
  const { workOn } = await import("../picture_work.ts");
  const mask = await workOn(file, { make: "mask of transparency" });
  if (hasWhite(mask)) return mask;
  throw new RequestError(400, "mask is opaque, expected transparency where to repaint", {}, "mask");
}
