// The pictures that the embedded model was trained with: `names.json` and `rgba.bin.gz` of one folder.

import { RasterImage } from "../src/images/raster_image.ts";
import type { Color } from "./image_measures.ts";

/** Side of an emoji in a training picture, of the picture's side. */
const SCALE = 0.97;

const WHITE: Color = [255, 255, 255];

interface Listing {
  /** Side of a picture. */
  readonly size: number;
  /** What each picture shows. */
  readonly names: readonly { readonly name: string; readonly style: string }[];
}

/** Emoji with transparent grounds, known by name. */
export class EmojiData {
  readonly #size: number;
  /** RGBA of all pictures, alpha not premultiplied. */
  readonly #rgba: Uint8Array;
  /** Numbers of the pictures of each name. */
  readonly #byName: ReadonlyMap<string, readonly number[]>;
  readonly #styles: readonly string[];

  private constructor({ size, names }: Listing, rgba: Uint8Array) {
    this.#size = size;
    this.#rgba = rgba;
    this.#styles = names.map(({ style }) => style);
    const indices = names.map((_, i) => i);
    this.#byName = Map.groupBy(indices, (i) => names[i]!.name);
  }

  /**
   * Reads a folder.
   *
   * @throws {RangeError} If the pictures are not as many as the names.
   */
  static async read(folder: string): Promise<EmojiData> {
    const listing: Listing = JSON.parse(await Deno.readTextFile(`${folder}/names.json`));
    const file = await Deno.open(`${folder}/rgba.bin.gz`);
    const raw = file.readable.pipeThrough(new DecompressionStream("gzip"));
    const rgba = new Uint8Array(await new Response(raw).arrayBuffer());
    const bytes = listing.names.length * listing.size ** 2 * 4;
    if (rgba.length !== bytes) {
      throw new RangeError(
        `Cannot read the pictures of ${folder}: they have ${rgba.length} bytes, expected ${bytes}`,
      );
    }
    return new EmojiData(listing, rgba);
  }

  /** Names that there is a picture of in each of some styles, in alphabetical order. */
  namesIn(...styles: readonly string[]): string[] {
    const found = [...this.#byName].filter(([, indices]) => {
      return styles.every((style) => indices.some((i) => this.#styles[i] === style));
    });
    return found.map(([name]) => name).sort();
  }

  /**
   * The pictures of a name as the model saw them, in any style.
   *
   * @param side Pixels of a side.
   * @param ground Colour of the ground. Default: white.
   */
  pictures(name: string, side: number, ground: Color = WHITE): RasterImage[] {
    return (this.#byName.get(name) ?? []).map((index) => this.#onGround(index, side, ground));
  }

  /**
   * The picture of a name in a style as the model saw it.
   *
   * @param side Pixels of a side.
   * @param ground Colour of the ground. Default: white.
   * @throws {RangeError} If there is none.
   */
  drawing(name: string, style: string, side: number, ground: Color = WHITE): RasterImage {
    const index = this.#byName.get(name)?.find((i) => this.#styles[i] === style);
    if (index === undefined) {
      throw new RangeError(`Cannot show ${name}: there is no picture in ${style} style`);
    }
    return this.#onGround(index, side, ground);
  }

  /** Resamples bilinearly, with premultiplied alpha, as the training does. */
  #onGround(index: number, side: number, ground: Color): RasterImage {
    const size = this.#size;
    const source = this.#rgba.subarray(index * size ** 2 * 4, (index + 1) * size ** 2 * 4);
    const lines = sampleLines(side, size);
    const data = new Uint8ClampedArray(side * side * 4).fill(255);
    for (const [y, rows] of lines.entries()) {
      for (const [x, columns] of lines.entries()) {
        const to = (y * side + x) * 4;
        for (let c = 0; c < 3; c++) {
          let value = ground[c]!;
          for (const row of rows) {
            for (const column of columns) {
              const from = (row.at * size + column.at) * 4;
              const alpha = source[from + 3]! / 255;
              value += row.weight * column.weight * alpha * (source[from + c]! - ground[c]!);
            }
          }
          data[to + c] = value;
        }
      }
    }
    return new RasterImage(data, side, side);
  }
}

/** A row or column of a source, and how much it counts. */
interface Sample {
  readonly at: number;
  readonly weight: number;
}

/** For each of `side` lines those of a source of `size` lines, scaled about the middle, that it lies between. */
function sampleLines(side: number, size: number): Sample[][] {
  return Array.from({ length: side }, (_, i) => {
    const position = (((i + 0.5) / side - 0.5) / SCALE + 0.5) * size - 0.5;
    const first = Math.floor(position);
    const samples = [
      { at: first, weight: 1 - (position - first) },
      { at: first + 1, weight: position - first },
    ];
    return samples.filter(({ at }) => at >= 0 && at < size);
  });
}
