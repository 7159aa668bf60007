/**
 * What is trained on: pictures as tokens, and embeddings of their captions.
 *
 * @module
 */

import { escapeControls, listOf } from "../base/check.ts";
import { encodePrompt } from "../conditioning/text.ts";
import type { RasterImage } from "../images/raster_image.ts";
import { encodeImages } from "../pipeline/from_picture.ts";
import type { PipelineComponents } from "../pipeline/components.ts";
import { TorchGenerator } from "../random/torch_generator.ts";

/** A picture and what it shows. */
export interface TrainingPicture {
  /** What it is, for error messages: a path. */
  readonly name: string;
  /** What it shows. */
  readonly caption: string;
  /** Reads it; the picture is let go of when its tokens are known. */
  read(): Promise<RasterImage>;
}

/** A picture as the transformer sees it. */
export interface TrainingExample {
  /** What it shows. */
  readonly caption: string;
  /** (pixels), row by row. */
  readonly tokens: Int32Array;
}

/** Options of {@linkcode encodePictures}. */
export interface EncodePicturesOptions {
  /** Called after each picture. */
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
  /** Stops between two pictures. */
  readonly signal?: AbortSignal | undefined;
}

/** Most broken files that an error names. */
const MOST_NAMED = 5;

/**
 * Reads pictures. Of each the largest square in the middle is taken; what is transparent stays so.
 *
 * @param side Side of the squares in pixels.
 * @throws {RangeError} If there is no picture.
 * @throws {SyntaxError} If files are damaged; it names them all, up to five.
 */
export async function readPictures(
  pictures: readonly TrainingPicture[],
  side: number,
  options: EncodePicturesOptions = {},
): Promise<RasterImage[]> {
  const images: RasterImage[] = [];
  await forEachPicture(pictures, side, (image) => void images.push(image), options);
  return images;
}

/**
 * Turns pictures into tokens. Of each the largest square in the middle is taken, in the size of the model;
 * what is transparent becomes white.
 *
 * @throws {RangeError} If there is no picture, or the model takes no colours.
 * @throws {SyntaxError} If files are damaged; it names them all, up to five.
 */
export async function encodePictures(
  { vqvae, transformer }: Pick<PipelineComponents, "vqvae" | "transformer">,
  pictures: readonly TrainingPicture[],
  options: EncodePicturesOptions = {},
): Promise<TrainingExample[]> {
  const { inChannels } = vqvae.config;
  if (inChannels !== 3) {
    throw new RangeError(
      `Cannot train: the vqvae takes images of ${inChannels} channels, expected 3`,
    );
  }
  const side = transformer.config.sampleSize * vqvae.scaleFactor;
  const examples: TrainingExample[] = [];
  await forEachPicture(pictures, side, async (image, caption) => {
    // One by one, so that its tokens do not depend on what else there is.
    examples.push({
      caption,
      tokens: await encodeImages(vqvae, [image], undefined, options.signal),
    });
  }, options);
  return examples;
}

/** Reads pictures one after the other, all of them before what is broken is told. */
async function forEachPicture(
  pictures: readonly TrainingPicture[],
  side: number,
  use: (image: RasterImage, caption: string) => void | Promise<void>,
  { onProgress, signal }: EncodePicturesOptions,
): Promise<void> {
  if (pictures.length === 0) {
    throw new RangeError("Cannot train: there are no pictures, expected at least one");
  }
  const broken: string[] = [];
  for (const [i, { name, caption, read }] of pictures.entries()) {
    signal?.throwIfAborted();
    let image: RasterImage | undefined;
    try {
      image = (await read()).resize(side, side, { fit: "cover" });
    } catch (error) {
      broken.push(`${name} (${(error as Error).message})`);
    }
    if (image) await use(image, caption);
    onProgress?.(i + 1, pictures.length);
  }
  if (broken.length === 0) return;
  const more = broken.length - MOST_NAMED;
  const named = [...broken.slice(0, MOST_NAMED), ...(more > 0 ? [`${more} more`] : [])];
  throw new SyntaxError(
    `Cannot train: ${broken.length} of ${pictures.length} pictures cannot be read: ` +
      escapeControls(listOf(named, "and")),
  );
}

/** Bytes of embeddings that are kept; captions beyond that are encoded each time. */
const MOST_BYTES = 2 ** 28;

/** Encodes captions as prompts are, each alone, so that its embeddings do not depend on others. */
export class CaptionEncoder {
  readonly #components: PipelineComponents;
  readonly #known = new Map<string, Float32Array>();
  #bytes = 0;

  /** @param components Of the model that is trained. */
  constructor(components: PipelineComponents) {
    this.#components = components;
  }

  /** Length of the sequences. */
  get length(): number {
    return this.#components.tokenizer.modelMaxLength;
  }

  /** Embeddings of captions, one after the other: (captions, length, columns). */
  async encode(captions: readonly string[]): Promise<Float32Array> {
    const columns = this.#components.transformer.config.crossAttentionDim;
    const size = this.length * columns;
    const all = new Float32Array(captions.length * size);
    for (const [i, caption] of captions.entries()) all.set(await this.#encode(caption), i * size);
    return all;
  }

  async #encode(caption: string): Promise<Float32Array> {
    const known = this.#known.get(caption);
    if (known) return known;
    const request = { prompts: [caption], numImagesPerPrompt: 1, guided: false };
    const { data } = await encodePrompt(this.#components, request);
    this.#bytes += data.byteLength;
    if (this.#bytes <= MOST_BYTES) this.#known.set(caption, data);
    return data;
  }
}

/**
 * Which examples a step takes: all of them once, in an order that a seed gives, then all again in another
 * one. It depends on nothing else, so that training can go on from any step.
 */
export class ExampleOrder {
  readonly #count: number;
  readonly #seed: bigint;
  #epoch = -1;
  #order: number[] = [];

  /** @param count Number of examples. */
  constructor(count: number, seed: number | bigint) {
    this.#count = count;
    this.#seed = BigInt(seed);
  }

  /** The example that comes at a place, counted from 0 on. */
  at(place: number): number {
    const epoch = Math.floor(place / this.#count);
    if (epoch !== this.#epoch) {
      this.#epoch = epoch;
      this.#order = shuffled(this.#count, this.#seed + BigInt(epoch));
    }
    return this.#order[place % this.#count]!;
  }
}

/** 0 … count − 1 in a random order (Fisher and Yates). */
function shuffled(count: number, seed: bigint): number[] {
  const generator = new TorchGenerator(BigInt.asIntN(64, seed));
  const order = Array.from({ length: count }, (_, i) => i);
  for (let i = count - 1; i > 0; i--) {
    const j = generator.random32() % (i + 1);
    [order[i], order[j]] = [order[j]!, order[i]!];
  }
  return order;
}
