/**
 * The autoencoder between images and tokens.
 *
 * @module
 */

import type { Backend, Frame, Tensor } from "../backends/backend.ts";
import { expectTensor } from "../backends/expect_tensor.ts";
import { evaluate } from "../backends/evaluate.ts";
import { refuseRange, refuseType } from "../base/check.ts";
import type { ArraySource } from "../checkpoints/arrays.ts";
import type { Config } from "../checkpoints/config.ts";
import type { ModelFolder } from "../files/source.ts";
import { DIFFUSERS_WEIGHTS } from "../files/weight_names.ts";
import { BatchGenerator } from "../random/batch_generator.ts";
import { fillExponential } from "../random/multinomial.ts";
import type { RandomGenerator } from "../random/random_generator.ts";
import { declaredAttentionName } from "./image_attention.ts";
import { channelsFirst, channelsLast } from "./image_layout.ts";
import { Linear } from "./layers.ts";
import {
  createModel,
  type CreateModelOptions,
  loadModel,
  type ModelFromPretrainedOptions,
} from "./load_model.ts";
import { Model, type ModelParts } from "./model.ts";
import { VectorQuantizer } from "./vector_quantizer.ts";
import { parseVQConfig, type VQConfig } from "./vq_config.ts";
import { VQDecoder } from "./vq_decoder.ts";
import { VQEncoder } from "./vq_encoder.ts";

/** What cannot be done if indices do not fit. */
const DECODE_INDICES = "run VQModel.decodeIndices()";

/** Options of the methods of {@linkcode VQModel}. */
export interface VQRunOptions {
  /** Stops the run. */
  readonly signal?: AbortSignal | undefined;
}

/** Options of {@linkcode VQModel.decode}. */
export interface VQDecodeOptions extends VQRunOptions {
  /** Whether the latents are decoded as they are, without taking the nearest codes. Default false. */
  readonly forceNotQuantize?: boolean | undefined;
}

/** Height and width of an image of tokens. */
export interface LatentSize {
  /** Rows of tokens. */
  readonly height: number;
  /** Tokens in a row. */
  readonly width: number;
}

/** Options of {@linkcode VQModel.decodeIndices}. */
export interface VQDecodeIndicesOptions extends VQRunOptions, Partial<LatentSize> {}

/** Options of {@linkcode VQModel.encodeIndices}. */
export interface VQEncodeIndicesOptions extends VQRunOptions {
  /** Where the noise of a Gumbel quantizer comes from. Default: none, so that the likeliest codes are taken. */
  readonly generator?: RandomGenerator | undefined;
}

/** Result of {@linkcode VQModel.quantize}. Both are to be disposed of by the caller. */
export interface Quantized {
  /** The codes (batch, vqEmbedDim, height, width). */
  readonly latents: Tensor;
  /** Their tokens (batch, height · width), row by row. */
  readonly indices: Tensor<"i32">;
}

/** Result of {@linkcode VQModel.recordQuantize}. */
export interface RecordedCodes {
  /** The nearest codes (batch, height, width, vqEmbedDim). */
  readonly codes: Tensor;
  /** Their indices (batch, height · width), row by row. */
  readonly indices: Tensor<"i32">;
}

/**
 * VQ-VAE (van den Oord et al., arXiv 1711.00937): diffusers' `VQModel`. Images are (batch, channels,
 * height, width) with values in −1…1, of any height and width. The autoencoders of Taming Transformers
 * (Esser et al., arXiv 2012.09841) that Microsoft's models use are such, too; one kind of them draws its
 * codes by a Gumbel softmax.
 */
export class VQModel extends Model<VQConfig> {
  /** @ignore */
  static readonly weightFiles: readonly string[] = DIFFUSERS_WEIGHTS;
  /** @ignore */
  static readonly parseConfig: (config: Config) => VQConfig = parseVQConfig;
  /** @ignore */
  static readonly declaredName: (name: string) => string = declaredAttentionName;
  readonly #encoder: VQEncoder;
  readonly #quantConv: Linear;
  readonly #quantize: VectorQuantizer;
  readonly #postQuantConv: Linear;
  readonly #decoder: VQDecoder;

  /** @ignore Models are made by `create` and `fromPretrained`. */
  constructor(parts: ModelParts<VQConfig>) {
    super(parts);
    const { config, scope } = parts;
    const { latentChannels, vqEmbedDim } = config;
    // 1×1 convolutions, which are linear layers of each pixel: small, and much depends on them.
    const conv = { pointwise: true, precise: true };
    const [quantConv, postQuantConv] = [scope.at("quant_conv"), scope.at("post_quant_conv")];
    this.#encoder = new VQEncoder(scope.at("encoder"), config);
    this.#quantConv = new Linear(quantConv, latentChannels, vqEmbedDim, conv);
    this.#quantize = new VectorQuantizer(scope.at("quantize"), config);
    this.#postQuantConv = new Linear(postQuantConv, vqEmbedDim, latentChannels, conv);
    this.#decoder = new VQDecoder(scope.at("decoder"), config);
  }

  /**
   * Makes the model of its parts.
   *
   * @param config Config as in diffusers' `config.json`.
   * @param checkpoint Arrays by the names of diffusers; closed with the model, or if this fails.
   * @throws {TypeError} If a field of the config or an array is missing or does not fit.
   * @throws {RangeError} If the config asks for something that is not supported.
   */
  static create(
    backend: Backend,
    config: Config,
    checkpoint: ArraySource,
    options: CreateModelOptions = {},
  ): Promise<VQModel> {
    return createModel(VQModel, backend, config, checkpoint, options);
  }

  /**
   * Loads the model from a folder in the layout of diffusers.
   *
   * @param source Path, `file:` or `http(s):` URL, id of a model on the hub, or an open folder.
   * @throws {TypeError} If the config or the weights do not fit.
   * @throws {RangeError} If the config asks for something that is not supported, or the weights do not
   *   fit in the memory of the device.
   */
  static fromPretrained(
    source: string | URL | ModelFolder,
    options: ModelFromPretrainedOptions = {},
  ): Promise<VQModel> {
    return loadModel(VQModel, source, options);
  }

  /** Factor from the height and width of latents to those of an image. */
  get scaleFactor(): number {
    return 2 ** (this.config.blockOutChannels.length - 1);
  }

  /**
   * Encodes images, without taking the nearest codes.
   *
   * @param images (batch, inChannels, height, width), at least `scaleFactor` pixels high and wide;
   *   what is beyond a multiple of it is cut off at the right and below.
   * @returns Latents (batch, vqEmbedDim, height / scaleFactor, width / scaleFactor), to be disposed
   *   of by the caller.
   * @throws {TypeError} If `images` is of another type.
   * @throws {RangeError} If `images` is of another shape.
   */
  encode(images: Tensor, { signal }: VQRunOptions = {}): Tensor {
    this.#expectImages("run VQModel.encode()", images);
    const record = (frame: Frame) =>
      frame.keep(channelsFirst(frame, this.recordEncode(frame, channelsLast(frame, images))));
    return evaluate(this.backend, record, { signal });
  }

  /**
   * Encodes images to tokens. A Gumbel quantizer draws them, as in the original.
   *
   * @param images As {@linkcode encode} takes them.
   * @returns Tokens (batch, pixels), row by row, to be disposed of by the caller.
   * @throws {TypeError} If an argument is of another type.
   * @throws {RangeError} If `images` is of another shape.
   */
  encodeIndices(
    images: Tensor,
    { generator, signal }: VQEncodeIndicesOptions = {},
  ): Tensor<"i32"> {
    const task = "run VQModel.encodeIndices()";
    this.#expectImages(task, images);
    if (generator !== undefined && typeof generator?.fill !== "function") {
      refuseType({ task, name: "generator" }, generator, "an object with a method fill");
    }
    const [batch, , height, width] = images.shape as [number, number, number, number];
    const side = (pixels: number) => Math.floor(pixels / this.scaleFactor);
    const sizes = { batch, pixels: side(height) * side(width) };
    const noise = generator && this.drawNoise(sizes, generator);
    const record = (frame: Frame) =>
      frame.keep(this.recordEncodeIndices(frame, channelsLast(frame, images), noise));
    return evaluate(this.backend, record, { signal });
  }

  /**
   * Draws the noise that encoding takes, as PyTorch's `gumbel_softmax`: −log e for exponential numbers e in
   * the order (batch, codes, pixels).
   *
   * @returns Undefined if the quantizer takes the nearest codes.
   */
  drawNoise(
    { batch, pixels }: { readonly batch: number; readonly pixels: number },
    generator: RandomGenerator,
  ): Float32Array | undefined {
    const { quantizerType, tokenOfCode, numVqEmbeddings } = this.config;
    if (quantizerType !== "gumbel") return undefined;
    const size = (tokenOfCode?.length ?? numVqEmbeddings) * pixels;
    const noise = new Float32Array(batch * size);
    for (let image = 0; image < batch; image++) {
      const stream = generator instanceof BatchGenerator ? generator.stream(image) : generator;
      fillExponential(stream, noise.subarray(image * size, (image + 1) * size));
    }
    return noise.map((value) => -Math.log(value));
  }

  /**
   * Takes the nearest code for each pixel of latents, the first of equals; with a Gumbel quantizer the
   * likeliest.
   *
   * @param latents (batch, vqEmbedDim, height, width).
   * @throws {TypeError} If `latents` is of another type.
   * @throws {RangeError} If `latents` is of another shape.
   */
  quantize(latents: Tensor, { signal }: VQRunOptions = {}): Quantized {
    this.#expectLatents("run VQModel.quantize()", latents);
    const record = (frame: Frame) => {
      const { codes, indices } = this.recordQuantize(frame, channelsLast(frame, latents));
      return { latents: frame.keep(channelsFirst(frame, codes)), indices: frame.keep(indices) };
    };
    return evaluate(this.backend, record, { signal });
  }

  /**
   * Decodes latents to images.
   *
   * @param latents (batch, vqEmbedDim, height, width).
   * @returns (batch, outChannels, scaleFactor · height, scaleFactor · width), about −1…1 and not
   *   clamped, to be disposed of by the caller.
   * @throws {TypeError} If `latents` is of another type.
   * @throws {RangeError} If `latents` is of another shape.
   */
  decode(latents: Tensor, { forceNotQuantize = false, signal }: VQDecodeOptions = {}): Tensor {
    this.#expectLatents("run VQModel.decode()", latents);
    const record = (frame: Frame) => {
      const pixels = channelsLast(frame, latents);
      const codes = forceNotQuantize ? pixels : this.recordQuantize(frame, pixels).codes;
      return frame.keep(channelsFirst(frame, this.recordDecode(frame, codes)));
    };
    return evaluate(this.backend, record, { signal, portable: true });
  }

  /**
   * Decodes tokens to images.
   *
   * @param indices Indices of codes (batch, pixels), row by row.
   * @param options Height and width in tokens; one follows from the other. Default: a square.
   * @returns (batch, outChannels, scaleFactor · height, scaleFactor · width), about −1…1 and not
   *   clamped, to be disposed of by the caller.
   * @throws {TypeError} If `indices` is of another type.
   * @throws {RangeError} If `indices` is of another shape, or height and width do not fit it.
   */
  decodeIndices(indices: Tensor<"i32">, options: VQDecodeIndicesOptions = {}): Tensor {
    const record = (frame: Frame) =>
      frame.keep(channelsFirst(frame, this.recordDecodeIndices(frame, indices, options)));
    return evaluate(this.backend, record, { signal: options.signal, portable: true });
  }

  /**
   * Records {@linkcode VQModel.decodeIndices} on a frame of the caller's, but for the layout.
   *
   * @returns Images (batch, height, width, outChannels).
   */
  recordDecodeIndices(
    frame: Frame,
    indices: Tensor<"i32">,
    size: Partial<LatentSize> = {},
  ): Tensor {
    expectTensor(`Cannot ${DECODE_INDICES}: indices`, indices, "i32", ["batch", "pixels"]);
    const [batch, pixels] = indices.shape as [number, number];
    const { height, width } = latentSize(pixels, size);
    const codes = this.#quantize.codes(frame, indices);
    return this.recordDecode(frame, frame.reshape(codes, [batch, height, width, codes.shape[2]!]));
  }

  /**
   * Records {@linkcode VQModel.encodeIndices} on a frame of the caller's.
   *
   * @param images (batch, height, width, inChannels).
   * @param noise Result of {@linkcode VQModel.drawNoise}. Default: none.
   * @returns Tokens (batch, pixels), row by row.
   */
  recordEncodeIndices(frame: Frame, images: Tensor, noise?: Float32Array): Tensor<"i32"> {
    const latents = this.recordEncode(frame, images);
    if (noise === undefined) return this.#quantize.encode(frame, latents);
    const [batch, height, width] = latents.shape as [number, number, number, number];
    const pixels = height * width;
    const added = frame.empty([batch, noise.length / (batch * pixels), pixels], "f32");
    added.write(noise);
    return this.#quantize.encode(frame, latents, added);
  }

  /**
   * Records {@linkcode VQModel.encode} on a frame of the caller's, but for the layout: images (batch, height,
   * width, inChannels) → latents (batch, height / scaleFactor, width / scaleFactor, vqEmbedDim).
   */
  recordEncode(frame: Frame, images: Tensor): Tensor {
    return this.#quantConv.forward(frame, this.#encoder.forward(frame, images));
  }

  /**
   * Records {@linkcode VQModel.quantize} on a frame of the caller's, but for the layout: latents (batch,
   * height, width, vqEmbedDim) → the nearest codes, in that shape, and their indices (batch, height · width).
   */
  recordQuantize(frame: Frame, latents: Tensor): RecordedCodes {
    const indices = this.#quantize.encode(frame, latents);
    const codes = frame.reshape(this.#quantize.codes(frame, indices), latents.shape);
    return { codes, indices };
  }

  /**
   * Records {@linkcode VQModel.decode} on a frame of the caller's, but for the layout and without taking the
   * nearest codes: codes (batch, height, width, vqEmbedDim) → images (batch, scaleFactor · height,
   * scaleFactor · width, outChannels).
   */
  recordDecode(frame: Frame, codes: Tensor): Tensor {
    return this.#decoder.forward(frame, this.#postQuantConv.forward(frame, codes));
  }

  #expectImages(task: string, images: Tensor): void {
    const shape = ["batch", this.config.inChannels, "height", "width"];
    expectTensor(`Cannot ${task}: images`, images, "f32", shape);
    const side = Math.min(images.shape[2]!, images.shape[3]!);
    if (side < this.scaleFactor) {
      const subject = { task, name: "the smaller side of images" };
      refuseRange(subject, side, `at least ${this.scaleFactor} pixels`);
    }
  }

  #expectLatents(task: string, latents: Tensor): void {
    const shape = ["batch", this.config.vqEmbedDim, "height", "width"];
    expectTensor(`Cannot ${task}: latents`, latents, "f32", shape);
  }
}

function latentSize(pixels: number, { height, width }: Partial<LatentSize>): LatentSize {
  const side = Math.sqrt(pixels);
  const rows = height ?? (width === undefined ? side : pixels / width);
  const columns = width ?? pixels / rows;
  if (
    Number.isSafeInteger(rows) && Number.isSafeInteger(columns) && rows > 0 &&
    rows * columns === pixels
  ) {
    return { height: rows, width: columns };
  }
  const expected = height === undefined && width === undefined
    ? "those of a square, or height or width beside them"
    : `those of a height of ${height} and a width of ${width}`;
  const subject = { task: DECODE_INDICES, name: "the number of pixels of indices" };
  refuseRange(subject, pixels, expected);
}
