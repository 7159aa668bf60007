/**
 * Fields of requests as clients of the web UI write them: null is not given, and numbers may be texts.
 *
 * @module
 */

import { decodeBase64 } from "../../base/base64.ts";
import type { Range } from "../../base/check.ts";
import type { RasterImage } from "../../images/raster_image.ts";
import { numberIfText } from "../number_texts.ts";
import { numberOf, refuse, type RequestValues } from "../request_parameters.ts";
import { requestPicture } from "../request_pictures.ts";

/**
 * Reads a number; undefined if it is not given.
 *
 * @throws {RequestError} If it is none, or out of range.
 */
export function numberField(
  fields: RequestValues,
  name: string,
  { integer = false, ...range }: Range & { readonly integer?: boolean } = {},
): number | undefined {
  return numberOf(name, numberIfText(fields[name] ?? undefined), integer, range);
}

/**
 * Reads a text; undefined if it is not given.
 *
 * @throws {RequestError} If it is something else.
 */
export function textField(fields: RequestValues, name: string): string | undefined {
  const value = fields[name] ?? undefined;
  if (value === undefined || typeof value === "string") return value;
  return refuse(name, "a text", value);
}

/** Reads what is true or false, or 1 or 0; false if it is not given. */
export function booleanField(fields: RequestValues, name: string): boolean {
  const value = fields[name] ?? false;
  if (typeof value === "boolean") return value;
  if (value === 0 || value === 1) return value === 1;
  return refuse(name, "true or false", value);
}

/**
 * Reads a file: its base64, alone or in a `data:` URL.
 *
 * @param name What errors call it.
 * @throws {RequestError} If it is something else.
 */
export function fileField(name: string, value: unknown): Uint8Array {
  const expected = "a picture file in base64";
  if (typeof value !== "string") refuse(name, expected, value);
  const text = value.replace(/^\s*data:[^,]{0,100},/, "").replace(/\s+/g, "");
  try {
    return decodeBase64(text);
  } catch {
    refuse(name, expected, value);
  }
}

/**
 * Reads a picture, of which the file is given as {@linkcode fileField} has it.
 *
 * @throws {RequestError} If it is none, or has too many pixels.
 */
export async function pictureField(
  name: string,
  value: unknown,
  maxPixels: number,
): Promise<RasterImage> {
  return await requestPicture(name, fileField(name, value), maxPixels);
}
