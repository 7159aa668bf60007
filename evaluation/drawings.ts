// The drawings that a model has learned, to compare its pictures with.

import type { RasterImage } from "../src/images/raster_image.ts";
import type { EmojiData } from "./emoji_data.ts";
import { blockMeans, BLOCKS, type Color, squaredDistance } from "./image_measures.ts";
import { KNOWN_NAMES } from "./known_names.ts";
import { COMMON_STYLES, GROUND_COLORS } from "./prompts.ts";

const BLACK: Color = [0, 0, 0];
/** Less of a drawing than this is nothing to be seen, as in the training. */
const LEAST_ALPHA = 0.02;

/** A drawing of a name in a style. */
export interface Drawing {
  readonly name: string;
  readonly style: string;
}

/** The drawings of many names, in one style or in several. */
export class Drawings {
  readonly #data: EmojiData;
  readonly #all: readonly Drawing[];
  readonly #side: number;
  /** Block means of all drawings, by ground. */
  readonly #means = new Map<string, readonly Float32Array[]>();

  /**
   * @param names Those of which there is no drawing in a style are left out there.
   * @param side Pixels of a side of the pictures to compare.
   */
  constructor(
    data: EmojiData,
    names: readonly string[],
    styles: readonly string[],
    side: number,
  ) {
    this.#data = data;
    this.#side = side;
    this.#all = styles.flatMap((style) => {
      const drawn = new Set(data.namesIn(style));
      return names.filter((name) => drawn.has(name)).map((name) => ({ name, style }));
    });
  }

  /**
   * The drawing of a name in a style.
   *
   * @throws {RangeError} If there is none.
   */
  of(name: string, style: string, ground = "white"): RasterImage {
    return this.#data.drawing(name, style, this.#side, colorOf(ground));
  }

  /**
   * In which of `count` × `count` equal squares, row by row, something of a drawing is to be seen.
   *
   * @throws {RangeError} If there is no such drawing.
   */
  shown(name: string, style: string, count: number): boolean[] {
    const white = this.of(name, style);
    const black = this.#data.drawing(name, style, this.#side, BLACK);
    const shown = Array<boolean>(count * count).fill(false);
    for (let i = 0; i < this.#side ** 2; i++) {
      const [x, y] = [i % this.#side, Math.floor(i / this.#side)];
      // What shines through of the ground is the difference of the two.
      const alpha = 1 - (white.data[i * 4]! - black.data[i * 4]!) / 255;
      const square = Math.floor(y * count / this.#side) * count +
        Math.floor(x * count / this.#side);
      if (alpha >= LEAST_ALPHA) shown[square] = true;
    }
    return shown;
  }

  /**
   * The drawing on a ground that a picture is nearest to; the first of equals.
   *
   * @param name Of the drawings of this name only. Default: of all.
   * @throws {RangeError} If there is none.
   */
  nearest(image: RasterImage, ground = "white", name?: string): Drawing {
    const own = blockMeans(image, BLOCKS);
    let means = this.#means.get(ground);
    if (means === undefined) {
      means = this.#all.map((other) => {
        return blockMeans(this.of(other.name, other.style, ground), BLOCKS);
      });
      this.#means.set(ground, means);
    }
    let [nearest, least]: [Drawing | undefined, number] = [undefined, Infinity];
    for (const [i, drawing] of this.#all.entries()) {
      if (name !== undefined && drawing.name !== name) continue;
      const distance = squaredDistance(own, means[i]!);
      if (distance < least) [nearest, least] = [drawing, distance];
    }
    if (nearest === undefined) throw new RangeError(`Cannot compare: no drawing of ${name}`);
    return nearest;
  }
}

/** Known names with a picture in all common styles, and in a given one. */
export function namesToDraw(data: EmojiData, style = COMMON_STYLES[0]!): string[] {
  const known = new Set(KNOWN_NAMES);
  return data.namesIn(...COMMON_STYLES, style).filter((name) => known.has(name));
}

function colorOf(ground: string): Color {
  return GROUND_COLORS[ground]!;
}
