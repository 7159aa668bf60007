// Which drawings are also learned as seen in a mirror.

import { onWhite } from "../../src/images/pixels.ts";
import { blockMeans, BLOCKS, squaredDistance } from "../image_measures.ts";

/** Side of the pictures that are compared. */
const SIDE = 64;

/** A drawing less unlike its mirror image than this would be the same picture to most people; of 255. */
const LEAST_DIFFERENCE = 24;

/**
 * Words of names whose drawings have letters, digits or a meaning that a mirror changes: the hands of
 * clocks, phases of the moon, notes, maps.
 */
const SIDED = new RegExp(
  [
    "clock|oclock|thirty|watch|counter|moon|left|right|globe|map|silhouette of japan|statue|tokyo|compass",
    "calendar|tear off|medal|banknote|money|dollar|yen|pound|euro|credit card|card|id |atm|\\bbank\\b",
    "newspaper|page|scroll|book\\b|bookmark|label|ticket|receipt|memo|chart|abc|a z|score|musical note",
    "telephone|pager|fax|keyboard|typewriter|input|ruler|level|control|thermometer|magnifying|with arrow$",
    "hundred|pool 8|slot machine|game die|mahjong|joker|chess|square|new button|no |sos|zzz|symbols",
    "taxi|police|bus stop|stop sign|flag|post|hospital|hotel|school|convenience|department|japanese",
    "takeout|clapper|prayer beads",
  ].join("|"),
);

/** The one drawing with such a word that may be mirrored: a heart and its arrow. */
const EXCEPTION = "heart with arrow";

/**
 * Whether a drawing is to be learned as seen in a mirror, too.
 *
 * @param rgba 64 × 64 pixels, alpha not premultiplied.
 */
export function isMirrored(name: string, rgba: Uint8Array): boolean {
  return (name === EXCEPTION || !SIDED.test(name)) && asymmetry(rgba) > LEAST_DIFFERENCE;
}

/** A picture as seen in a mirror. */
export function mirrored(rgba: Uint8Array, side: number): Uint8Array<ArrayBuffer> {
  const pixels = new Uint32Array(rgba.slice().buffer);
  for (let y = 0; y < side; y++) pixels.subarray(y * side, (y + 1) * side).reverse();
  return new Uint8Array(pixels.buffer);
}

/** Root of the mean squared difference between a picture on white and its mirror image, by block means. */
function asymmetry(rgba: Uint8Array): number {
  const [means, others] = [rgba, mirrored(rgba, SIDE)].map((picture) => {
    const image = { data: Uint8ClampedArray.from(picture), width: SIDE, height: SIDE };
    return blockMeans(onWhite(image), BLOCKS);
  });
  return Math.sqrt(squaredDistance(means!, others!) / means!.length);
}
