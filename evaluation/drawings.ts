// The drawings that a model has learned, to compare its pictures with.

import type { RasterImage } from "../src/images/raster_image.ts";
import type { VQModel } from "../src/models/vq_model.ts";
import type { EmojiData } from "./emoji_data.ts";
import { blockMeans, type Color } from "./image_measures.ts";
import { KNOWN_NAMES } from "./known_names.ts";
import { GROUND_COLORS, STYLES } from "./prompts.ts";

/** Blocks of a side of the pictures that are compared: their means, so that edges count little. */
const BLOCKS = 16;

const BLACK: Color = [0, 0, 0];
/** Less of a drawing than this is nothing to be seen, as in the training. */
const LEAST_ALPHA = 0.02;

/** The drawings of many names in one style. */
export class Drawings {
  readonly #data: EmojiData;
  readonly #names: readonly string[];
  readonly #style: string;
  readonly #side: number;
  /** Block means of all names, by ground. */
  readonly #means = new Map<string, readonly Float32Array[]>();

  /** @param side Pixels of a side of the pictures to compare. */
  constructor(data: EmojiData, names: readonly string[], style: string, side: number) {
    this.#data = data;
    this.#names = names;
    this.#style = style;
    this.#side = side;
  }

  /**
   * The drawing of a name.
   *
   * @throws {RangeError} If there is none.
   */
  of(name: string, ground = "white"): RasterImage {
    return this.#data.drawing(name, this.#style, this.#side, colorOf(ground));
  }

  /**
   * In which of `count` × `count` equal squares, row by row, something of a drawing is to be seen.
   *
   * @throws {RangeError} If there is no drawing of the name.
   */
  shown(name: string, count: number): boolean[] {
    const white = this.of(name);
    const black = this.#data.drawing(name, this.#style, this.#side, BLACK);
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

  /** Name of the drawing on a ground that a picture is nearest to; the first of equals. */
  nearest(image: RasterImage, ground = "white"): string {
    const own = blockMeans(image, BLOCKS);
    let means = this.#means.get(ground);
    if (means === undefined) {
      means = this.#names.map((name) => blockMeans(this.of(name, ground), BLOCKS));
      this.#means.set(ground, means);
    }
    const distances = means.map((other) => squaredDistance(own, other));
    return this.#names[distances.indexOf(Math.min(...distances))]!;
  }
}

/** Known names with a picture in every style. */
export function namesToDraw(data: EmojiData): string[] {
  const known = new Set(KNOWN_NAMES);
  return data.names(STYLES.length).filter((name) => known.has(name));
}

/** Tokens that a model's own encoder finds for a picture. */
export async function tokensOf(vqvae: VQModel, image: RasterImage): Promise<Int32Array> {
  const { backend } = vqvae;
  const { width, height, data } = image;
  const pixels = width * height;
  const channels = Float32Array.from({ length: 3 * pixels }, (_, i) => {
    return data[(i % pixels) * 4 + Math.floor(i / pixels)]! / 127.5 - 1;
  });
  using input = backend.tensor(channels, [1, 3, height, width]);
  using latents = vqvae.encode(input);
  const quantized = vqvae.quantize(latents);
  using _codes = quantized.latents;
  using indices = quantized.indices;
  return await indices.data();
}

function colorOf(ground: string): Color {
  return GROUND_COLORS[ground]!;
}

function squaredDistance(a: Float32Array, b: Float32Array): number {
  return a.reduce((sum, x, i) => sum + (x - b[i]!) ** 2, 0);
}
