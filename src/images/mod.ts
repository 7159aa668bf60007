/**
 * Pictures: reading PNG and JPEG files, resizing, writing files, contact sheets.
 *
 * @example
 * ```ts
 * import { RasterImage } from "@vq-diffusion/vq-diffusion/images";
 *
 * const picture = await RasterImage.decode(await Deno.readFile("photo.jpg"));
 * const small = picture.resize(256, 256, { fit: "cover" });
 * await Deno.writeFile("small.png", await small.toPng());
 * ```
 *
 * @module
 */

export { type JpegOptions, RasterImage } from "./raster_image.ts";
export type { ImageDecodeOptions } from "./decode_image.ts";
export type { ResizeFit, ResizeOptions } from "./resize.ts";
export type { ResizeFilter } from "./resample.ts";
export type { Pixels } from "./pixels.ts";
export { contactSheet, type ContactSheetOptions } from "./contact_sheet.ts";
