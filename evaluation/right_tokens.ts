// Which tokens are right for a drawing: those that a model was trained to draw.

import { memoryFolder } from "../src/files/memory_folder.ts";
import { ZipArchive } from "../src/checkpoints/torch/zip.ts";
import type { RasterImage } from "../src/images/raster_image.ts";
import type { VQModel } from "../src/models/vq_model.ts";
import type { Drawings } from "./drawings.ts";

/** The tokens of a drawing on white, and in which places something of it is to be seen. */
export interface RightTokens {
  /** Tokens, row by row. */
  readonly tokens: Int32Array;
  /** For each of them whether it counts. */
  readonly shown: readonly boolean[];
}

/** Finds the right tokens of a name in a style. */
export type FindRightTokens = (name: string, style: string) => Promise<RightTokens>;

/** Tokens that a model's own encoder finds for the drawings. */
export function encodedTokens(vqvae: VQModel, drawings: Drawings): FindRightTokens {
  return async (name, style) => {
    const tokens = await tokensOf(vqvae, drawings.of(name, style));
    return { tokens, shown: drawings.shown(name, style, Math.sqrt(tokens.length)) };
  };
}

/**
 * Tokens of the table that the training of the embedded model learns from, its `tokens.npz`. Its encoder
 * was trained further since these were found, and finds others that look the same.
 *
 * @throws {RangeError} If the file is another.
 */
export async function learnedTokens(path: string): Promise<FindRightTokens> {
  const archive = await ZipArchive.open(
    await memoryFolder({ "tokens.npz": await Deno.readFile(path) }, path).open("tokens.npz"),
  );
  const array = async (name: string) => npyArray(await archive.read(`${name}.npy`, 2 ** 24));
  const [white, empty, names] = await Promise.all([
    array("white"),
    array("empty"),
    array("drawings"),
  ]);
  const [count, pixels] = white.shape as [number, number];
  const tokens = new Int16Array(white.bytes.buffer, white.bytes.byteOffset, count * pixels);
  const indices = new Map(textsOf(names).map((name, i) => [name, i]));
  return (name, style) => {
    const i = indices.get(`${style} ${name}`);
    if (i === undefined) {
      throw new RangeError(`Cannot score ${name}: ${path} has no tokens of it in ${style} style`);
    }
    const bit = (place: number) => empty.bytes[place >> 3]! >> (7 - (place & 7)) & 1;
    const shown = Array.from({ length: pixels }, (_, p) => bit(i * pixels + p) === 0);
    return Promise.resolve({
      tokens: Int32Array.from(tokens.subarray(i * pixels, (i + 1) * pixels)),
      shown,
    });
  };
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

/** An array of NumPy's file format, version 1: little-endian, row by row. */
interface NpyArray {
  readonly type: string;
  readonly shape: readonly number[];
  readonly bytes: Uint8Array;
}

function npyArray(file: Uint8Array): NpyArray {
  const length = file[8]! + 256 * file[9]!;
  const header = new TextDecoder().decode(file.subarray(10, 10 + length));
  const [, type, shape] = /'descr': '([^']+)', 'fortran_order': False, 'shape': \(([^)]*)\)/
    .exec(header) ?? [];
  if (type === undefined || shape === undefined) {
    throw new RangeError(`Cannot read an array: its header is ${JSON.stringify(header)}`);
  }
  const sizes = shape.split(",").filter((size) => size.trim() !== "").map(Number);
  return { type, shape: sizes, bytes: file.slice(10 + length) };
}

/** Texts of UCS-4 characters, filled up with zeros. */
function textsOf({ type, shape: [count = 0], bytes }: NpyArray): string[] {
  const length = Number(/^<U(\d+)$/.exec(type)?.[1]);
  const points = new Uint32Array(bytes.buffer, bytes.byteOffset, count * length);
  return Array.from({ length: count }, (_, i) => {
    const own = points.subarray(i * length, (i + 1) * length);
    return String.fromCodePoint(...own.filter((point) => point !== 0));
  });
}
