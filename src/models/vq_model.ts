/**
 * The autoencoder between images and tokens.
 *
 * @module
 */

import type { Backend, Frame, Tensor } from "../backends/backend.ts";
import { expectTensor } from "../backends/expect_tensor.ts";
import { evaluate } from "../backends/evaluate.ts";
import type { ArraySource } from "../checkpoints/arrays.ts";
import type { Config } from "../checkpoints/config.ts";
import type { ModelFolder } from "../files/source.ts";
import { DIFFUSERS_WEIGHTS } from "../files/weight_names.ts";
import { channelsFirst, channelsLast } from "./image_layout.ts";
import { Linear, WeightScope } from "./layers.ts";
import { type CreateModelOptions, Model, type ModelFromPretrainedOptions } from "./model.ts";
import type { Parameter } from "./model_weights.ts";
import { parseVQConfig, type VQConfig } from "./vq_config.ts";
import { VQDecoder } from "./vq_decoder.ts";
import { VQEncoder } from "./vq_encoder.ts";

/** Options of the methods of {@linkcode VQModel}. */
export interface VQRunOptions {
  /** Stops the run. */
  readonly signal?: AbortSignal;
}

/** Options of {@linkcode VQModel.decode}. */
export interface VQDecodeOptions extends VQRunOptions {
  /** Whether the latents are decoded as they are, without taking the nearest codes. Default false. */
  readonly forceNotQuantize?: boolean;
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

/** Result of {@linkcode VQModel.quantize}. Both are to be disposed of by the caller. */
export interface Quantized {
  /** The nearest codes (batch, vqEmbedDim, height, width). */
  readonly latents: Tensor;
  /** Their indices (batch, height · width), row by row. */
  readonly indices: Tensor<"i32">;
}

/**
 * VQ-VAE (van den Oord et al., arXiv 1711.00937): diffusers' `VQModel`. Images are (batch, channels,
 * height, width) with values in −1…1, of any height and width.
 */
export class VQModel extends Model<VQConfig> {
  /** @ignore */
  protected override readonly weightsFile = "diffusion_pytorch_model.safetensors";
  readonly #encoder: VQEncoder;
  readonly #quantConv: Linear;
  readonly #codebook: Parameter<Tensor>;
  readonly #postQuantConv: Linear;
  readonly #decoder: VQDecoder;

  private constructor(backend: Backend, config: VQConfig, weights: ArraySource) {
    super(backend, config, weights);
    const root = new WeightScope(this.memory);
    const { latentChannels, vqEmbedDim, numVqEmbeddings } = config;
    const pointwise = { pointwise: true, precise: true };
    this.#encoder = new VQEncoder(root.at("encoder"), config);
    this.#quantConv = new Linear(root.at("quant_conv"), vqEmbedDim, latentChannels, pointwise);
    this.#codebook = this.memory.tensor("quantize.embedding.weight", [numVqEmbeddings, vqEmbedDim]);
    this.#postQuantConv = new Linear(
      root.at("post_quant_conv"),
      latentChannels,
      vqEmbedDim,
      pointwise,
    );
    this.#decoder = new VQDecoder(root.at("decoder"), config);
  }

  /**
   * Makes the model of its parts.
   *
   * @param config Config as in diffusers' `config.json`.
   * @param weights Arrays by the names of diffusers; closed with the model, or if this fails.
   * @throws {TypeError} If a field of the config or an array is missing or does not fit.
   * @throws {RangeError} If the config asks for something that is not supported.
   */
  static create(
    backend: Backend,
    config: Config,
    weights: ArraySource,
    options: CreateModelOptions = {},
  ): Promise<VQModel> {
    return Model.loaded(
      weights,
      () => new VQModel(backend, parseVQConfig(config), weights),
      options,
    );
  }

  /**
   * Loads the model from a folder in the layout of diffusers.
   *
   * @param source Path, `file:` or `http(s):` URL, or an open folder.
   * @throws {TypeError} If the config or the weights do not fit.
   * @throws {RangeError} If the config asks for something that is not supported.
   */
  static fromPretrained(
    source: string | URL | ModelFolder,
    options: ModelFromPretrainedOptions = {},
  ): Promise<VQModel> {
    return Model.open(
      source,
      options,
      DIFFUSERS_WEIGHTS,
      (backend, config, weights) => VQModel.create(backend, config, weights, options),
    );
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
    const what = "VQModel.encode(): images";
    expectTensor(what, images, "f32", ["batch", this.config.inChannels, "height", "width"]);
    const [, , height, width] = images.shape;
    if (Math.min(height!, width!) < this.scaleFactor) {
      throw new RangeError(
        `${what} are ${height} pixels high and ${width} wide, expected at least ${this.scaleFactor}`,
      );
    }
    const record = (frame: Frame) => {
      const encoded = this.#encoder.forward(frame, channelsLast(frame, images));
      return frame.keep(channelsFirst(frame, this.#quantConv.forward(frame, encoded)));
    };
    return evaluate(this.backend, record, { signal });
  }

  /**
   * Takes the nearest code for each pixel of latents, the first of equals.
   *
   * @param latents (batch, vqEmbedDim, height, width).
   * @throws {TypeError} If `latents` is of another type.
   * @throws {RangeError} If `latents` is of another shape.
   */
  quantize(latents: Tensor, { signal }: VQRunOptions = {}): Quantized {
    this.#expectLatents("VQModel.quantize(): latents", latents);
    const record = (frame: Frame) => {
      const pixels = channelsLast(frame, latents);
      const indices = this.#recordNearest(frame, pixels);
      const codes = frame.reshape(this.#recordCodes(frame, indices), pixels.shape);
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
    this.#expectLatents("VQModel.decode(): latents", latents);
    const record = (frame: Frame) => {
      const pixels = channelsLast(frame, latents);
      const codes = forceNotQuantize ? pixels : frame.reshape(
        this.#recordCodes(frame, this.#recordNearest(frame, pixels)),
        pixels.shape,
      );
      return frame.keep(channelsFirst(frame, this.#recordDecode(frame, codes)));
    };
    return evaluate(this.backend, record, { signal });
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
    return evaluate(this.backend, record, options);
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
    expectTensor("VQModel.decodeIndices(): indices", indices, "i32", ["batch", "pixels"]);
    const [batch, pixels] = indices.shape as [number, number];
    const { height, width } = latentSize(pixels, size);
    const codes = this.#recordCodes(frame, indices);
    return this.#recordDecode(frame, frame.reshape(codes, [batch, height, width, codes.shape[2]!]));
  }

  /** Pixels (batch, height, width, vqEmbedDim) → indices (batch, height · width). */
  #recordNearest(frame: Frame, pixels: Tensor): Tensor<"i32"> {
    const [batch, height, width, columns] = pixels.shape as [number, number, number, number];
    const rows = frame.reshape(pixels, [batch, height * width, columns]);
    return frame.nearestCode(rows, this.#codebook.value);
  }

  /** Indices (batch, pixels) → codes (batch, pixels, vqEmbedDim). */
  #recordCodes(frame: Frame, indices: Tensor<"i32">): Tensor {
    return frame.embedding(indices, this.#codebook.value);
  }

  /** Codes (batch, height, width, vqEmbedDim) → images (batch, height, width, outChannels). */
  #recordDecode(frame: Frame, codes: Tensor): Tensor {
    return this.#decoder.forward(frame, this.#postQuantConv.forward(frame, codes));
  }

  #expectLatents(what: string, latents: Tensor): void {
    expectTensor(what, latents, "f32", ["batch", this.config.vqEmbedDim, "height", "width"]);
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
  const given = height === undefined && width === undefined
    ? "a square"
    : `a height of ${height} and a width of ${width}`;
  throw new RangeError(
    `VQModel.decodeIndices(): indices has ${pixels} pixels an image, which do not fit ${given}`,
  );
}
