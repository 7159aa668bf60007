/**
 * Pictures as files in base64, as JSON can hold them.
 *
 * @module
 */

import { encodeBase64 } from "../base/base64.ts";
import type { RasterImage } from "../images/raster_image.ts";

/** Files in base64: PNG, or of another kind that images are turned into. */
export async function base64Files(
  images: readonly RasterImage[],
  encode = (image: RasterImage): Promise<Uint8Array> => image.toPng(),
): Promise<string[]> {
  return await Promise.all(images.map(async (image) => encodeBase64(await encode(image))));
}
