// Which drawings are also learned as seen in a mirror.

/** Side of the pictures that are compared, and blocks of a side whose means are. */
const SIDE = 64;
const BLOCKS = 16;

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
  const means = new Float64Array(BLOCKS * BLOCKS * 3);
  const width = SIDE / BLOCKS;
  for (let i = 0; i < SIDE * SIDE; i++) {
    const [x, y] = [i % SIDE, Math.floor(i / SIDE)];
    const block = Math.floor(y / width) * BLOCKS + Math.floor(x / width);
    const alpha = rgba[i * 4 + 3]! / 255;
    for (let c = 0; c < 3; c++) {
      means[block * 3 + c]! += (255 + (rgba[i * 4 + c]! - 255) * alpha) / width ** 2;
    }
  }
  const sum = means.reduce((total, mean, i) => {
    const [block, c] = [Math.floor(i / 3), i % 3];
    const column = block % BLOCKS;
    const other = block - column + BLOCKS - 1 - column;
    return total + (mean - means[other * 3 + c]!) ** 2;
  }, 0);
  return Math.sqrt(sum / means.length);
}
