/**
 * The transformer that predicts the tokens of an image.
 *
 * @module
 */

import type { Backend, Frame, Tensor } from "../backends/backend.ts";
import { expectTensor } from "../backends/expect_tensor.ts";
import { evaluate } from "../backends/evaluate.ts";
import { checkInteger, refuseRange, refuseType } from "../base/check.ts";
import type { ArraySource } from "../checkpoints/arrays.ts";
import type { Config } from "../checkpoints/config.ts";
import type { ModelFolder } from "../files/source.ts";
import { DIFFUSERS_WEIGHTS } from "../files/weight_names.ts";
import { ImagePositionalEmbeddings } from "./image_positional_embeddings.ts";
import { LayerNorm, Linear } from "./layers.ts";
import {
  createModel,
  type CreateModelOptions,
  loadModel,
  type ModelFromPretrainedOptions,
} from "./load_model.ts";
import { Model, type ModelParts } from "./model.ts";
import { parseTransformer2DConfig, type Transformer2DConfig } from "./transformer_2d_config.ts";
import { TransformerBlock } from "./transformer_block.ts";

/** What cannot be done if an argument does not fit. */
const TASK = "run Transformer2DModel";

/** Arguments of {@linkcode Transformer2DModel.forward}. */
export interface Transformer2DInputs {
  /** Tokens (batch, pixels), 0 … numVectorEmbeds − 1, the last being the mask. */
  readonly sample: Tensor<"i32">;
  /** (batch or a multiple of it, length, crossAttentionDim). */
  readonly encoderHiddenStates: Tensor;
  /** Timestep of all images, 0 … numEmbedsAdaNorm − 1. */
  readonly timestep: number;
  /** Stops the run. */
  readonly signal?: AbortSignal | undefined;
}

/** What all steps with the same context share. */
export interface TransformerContext {
  /** Number of sequences. */
  readonly batch: number;
  /** Keys and values for each block, (batch, length, 2 · innerDim). */
  readonly keyValues: readonly Tensor[];
  /** Embeddings of the places of the tokens, (pixels, innerDim). */
  readonly positions: Tensor;
}

/** Arguments of {@linkcode Transformer2DModel.record}. */
export interface RecordTransformer2DInputs {
  /** Tokens (batch, pixels). */
  readonly sample: Tensor<"i32">;
  /** Result of {@linkcode Transformer2DModel.recordContext}. */
  readonly context: TransformerContext;
  /** The timestep: one element, or one for each sequence. */
  readonly timestep: Tensor<"i32">;
}

/**
 * The transformer of VQ-Diffusion (Gu et al., arXiv 2111.14822): diffusers' `Transformer2DModel` with
 * discrete latents. It predicts log p(x0) for every latent pixel from the tokens at a timestep
 * and the text embeddings.
 */
export class Transformer2DModel extends Model<Transformer2DConfig> {
  /** @ignore */
  static readonly weightFiles: readonly string[] = DIFFUSERS_WEIGHTS;
  /** @ignore */
  static readonly parseConfig: (config: Config) => Transformer2DConfig = parseTransformer2DConfig;
  readonly #latentImageEmbedding: ImagePositionalEmbeddings;
  readonly #transformerBlocks: readonly TransformerBlock[];
  readonly #normOut: LayerNorm;
  readonly #out: Linear;

  /** @ignore Models are made by `create` and `fromPretrained`. */
  constructor(parts: ModelParts<Transformer2DConfig>) {
    super(parts);
    const { config, scope } = parts;
    const { numVectorEmbeds, sampleSize, numLayers } = config;
    const innerDim = config.numAttentionHeads * config.attentionHeadDim;
    this.#latentImageEmbedding = new ImagePositionalEmbeddings(scope.at("latent_image_embedding"), {
      numEmbed: numVectorEmbeds,
      height: sampleSize,
      width: sampleSize,
      embedDim: innerDim,
    });
    this.#transformerBlocks = scope.at("transformer_blocks")
      .list(numLayers, "num_layers", (block) => new TransformerBlock(block, config));
    this.#normOut = new LayerNorm(scope.at("norm_out"), innerDim);
    this.#out = new Linear(scope.at("out"), innerDim, numVectorEmbeds - 1, { precise: true });
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
  ): Promise<Transformer2DModel> {
    return createModel(Transformer2DModel, backend, config, checkpoint, options);
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
  ): Promise<Transformer2DModel> {
    return loadModel(Transformer2DModel, source, options);
  }

  /**
   * Predicts log p(x0).
   *
   * @returns (batch of the context, numVectorEmbeds − 1, pixels), to be disposed of by the caller.
   * @throws {TypeError} If an argument is of the wrong type.
   * @throws {RangeError} If an argument is of the wrong shape or out of range.
   */
  forward(inputs: Transformer2DInputs): Tensor {
    const { sample, encoderHiddenStates, timestep, signal } = inputs;
    this.#checkTimestep(timestep);
    const record = (frame: Frame) => {
      const step = frame.empty([1], "i32");
      step.write(Int32Array.of(timestep));
      const context = this.recordContext(frame, encoderHiddenStates);
      const logProbs = this.record(frame, { sample, context, timestep: step });
      return frame.keep(frame.transpose(logProbs));
    };
    return evaluate(this.backend, record, { signal });
  }

  /** Records what all steps with the same context share. */
  recordContext(frame: Frame, encoderHiddenStates: Tensor): TransformerContext {
    const shape = ["batch", "length", this.config.crossAttentionDim];
    expectTensor(`Cannot ${TASK}: encoderHiddenStates`, encoderHiddenStates, "f32", shape);
    return {
      batch: encoderHiddenStates.shape[0]!,
      keyValues: this.#transformerBlocks.map((block) =>
        block.keyValues(frame, encoderHiddenStates)
      ),
      positions: this.#latentImageEmbedding.positions(frame),
    };
  }

  /**
   * Records a prediction. If the context has several times as many sequences as `sample` (as for
   * guidance: all unconditional ones, then all conditional ones), all that comes before the first
   * look at the context is computed once.
   *
   * @returns log p(x0) (batch of the context, pixels, numVectorEmbeds − 1).
   */
  record(frame: Frame, { sample, context, timestep }: RecordTransformer2DInputs): Tensor {
    this.#checkSample(sample, context);
    let x = this.#latentImageEmbedding.forward(frame, sample, context.positions);
    this.#transformerBlocks.forEach((block, i) => {
      x = block.forward(frame, x, { timestep, keyValues: context.keyValues[i]! });
    });
    return frame.logSoftmax(this.#out.forward(frame, this.#normOut.forward(frame, x)));
  }

  #checkTimestep(timestep: number): void {
    const subject = { task: TASK, name: "timestep" };
    const max = this.config.numEmbedsAdaNorm - 1;
    if (timestep === undefined) refuseType(subject, timestep, `a whole number from 0 to ${max}`);
    checkInteger(subject, timestep, { min: 0, max });
  }

  #checkSample(sample: Tensor<"i32">, context: TransformerContext): void {
    const shape = ["batch", this.config.sampleSize ** 2];
    expectTensor(`Cannot ${TASK}: sample`, sample, "i32", shape);
    const batch = sample.shape[0]!;
    if (context.batch % batch === 0) return;
    const subject = { task: TASK, name: "the batch of encoderHiddenStates" };
    refuseRange(subject, context.batch, `a multiple of the ${batch} of sample`);
  }
}
