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
import {
  type ConditionType,
  parseTransformer2DConfig,
  type Transformer2DConfig,
} from "./transformer_2d_config.ts";
import { TransformerBlock } from "./transformer_block.ts";

/** What cannot be done if an argument does not fit. */
const TASK = "run Transformer2DModel";

/** What a model of each kind does, for error messages. */
const DRAWS_FROM: Readonly<Record<ConditionType, string>> = {
  text: "the model draws from text",
  class: "the model draws from classes",
  none: "the model is unconditional",
};

/** Arguments of {@linkcode Transformer2DModel.forward}. */
export interface Transformer2DInputs {
  /** Tokens (batch, pixels), 0 … numVectorEmbeds − 1, the last being the mask. */
  readonly sample: Tensor<"i32">;
  /** Embeddings of texts (batch or a multiple of it, length, crossAttentionDim), if it draws from text. */
  readonly encoderHiddenStates?: Tensor | undefined;
  /** Labels (batch or a multiple of it), 0 … numClassEmbeds − 1, if it draws from classes. */
  readonly classLabels?: Tensor<"i32"> | undefined;
  /** Timestep of all images, 0 … numEmbedsAdaNorm − 1. */
  readonly timestep: number;
  /** Stops the run. */
  readonly signal?: AbortSignal | undefined;
}

/** What all steps with the same context share. */
export interface TransformerContext {
  /** Number of sequences; undefined if it does not matter, as nothing is drawn from. */
  readonly batch: number | undefined;
  /** Keys and values for each block, (batch, length, 2 · innerDim), if it attends to texts. */
  readonly keyValues: readonly (Tensor | undefined)[];
  /** Labels (batch), if the model knows classes. */
  readonly classLabels: Tensor<"i32"> | undefined;
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
 * and the text embeddings; or, as the transformers of Microsoft's models of ImageNet and FFHQ, from the
 * tokens and the label of a class, or the tokens alone.
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
    const { numVectorEmbeds, sampleSize, positionGrid, numLayers } = config;
    const innerDim = config.numAttentionHeads * config.attentionHeadDim;
    this.#latentImageEmbedding = new ImagePositionalEmbeddings(scope.at("latent_image_embedding"), {
      numEmbed: numVectorEmbeds,
      pixels: sampleSize ** 2,
      grid: positionGrid,
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
   * @returns (batch of what is drawn from, numVectorEmbeds − 1, pixels), to be disposed of by the caller.
   * @throws {TypeError} If an argument is of the wrong type.
   * @throws {RangeError} If an argument is of the wrong shape or out of range.
   */
  forward(inputs: Transformer2DInputs): Tensor {
    const { sample, encoderHiddenStates, classLabels, timestep, signal } = inputs;
    this.#checkTimestep(timestep);
    const record = (frame: Frame) => {
      const step = frame.empty([1], "i32");
      step.write(Int32Array.of(timestep));
      const context = this.recordContext(frame, encoderHiddenStates, classLabels);
      const logProbs = this.record(frame, { sample, context, timestep: step });
      return frame.keep(frame.transpose(logProbs));
    };
    return evaluate(this.backend, record, { signal });
  }

  /**
   * Records what all steps with the same context share.
   *
   * @param encoderHiddenStates Embeddings (batch, length, crossAttentionDim), if the model draws from text.
   * @param classLabels Labels (batch), if it draws from classes.
   */
  recordContext(
    frame: Frame,
    encoderHiddenStates?: Tensor,
    classLabels?: Tensor<"i32">,
  ): TransformerContext {
    this.#checkCondition(encoderHiddenStates, classLabels);
    return {
      batch: (encoderHiddenStates ?? classLabels)?.shape[0],
      keyValues: this.#transformerBlocks.map((block) =>
        encoderHiddenStates && block.keyValues(frame, encoderHiddenStates)
      ),
      classLabels,
      positions: this.#latentImageEmbedding.positions(frame),
    };
  }

  /**
   * Records a prediction. If the context has several times as many sequences as `sample` (as for
   * guidance: all unconditional ones, then all conditional ones), all that comes before the first
   * look at the context is computed once.
   *
   * @returns log p(x0) (batch of the context or, if it has none, of `sample`, pixels,
   *   numVectorEmbeds − 1).
   */
  record(frame: Frame, { sample, context, timestep }: RecordTransformer2DInputs): Tensor {
    this.#checkSample(sample, context);
    const { classLabels } = context;
    const { sampleSize: side, feedForwardType } = this.config;
    let x = this.#latentImageEmbedding.forward(frame, sample, context.positions);
    const [, pixels, columns] = x.shape as [number, number, number];
    // Convolutions see the square; to all else a pixel is a row anyway.
    if (feedForwardType === "conv") x = frame.reshape(x, [sample.shape[0]!, side, side, columns]);
    this.#transformerBlocks.forEach((block, i) => {
      const keyValues = context.keyValues[i];
      const inputs = { timestep, keyValues, classLabels };
      x = frame.checkpoint(x, (frame, x) => block.forward(frame, x, inputs));
    });
    const rows = frame.reshape(x, [x.shape[0]!, pixels, columns]);
    return frame.logSoftmax(this.#out.forward(frame, this.#normOut.forward(frame, rows)));
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
    if (context.batch === undefined || context.batch % batch === 0) return;
    const source = context.classLabels ? "classLabels" : "encoderHiddenStates";
    const subject = { task: TASK, name: `the batch of ${source}` };
    refuseRange(subject, context.batch, `a multiple of the ${batch} of sample`);
  }

  #checkCondition(
    encoderHiddenStates: Tensor | undefined,
    classLabels: Tensor<"i32"> | undefined,
  ): void {
    const { conditionType, crossAttentionDim } = this.config;
    const refuse = (name: string, value: unknown) => {
      if (value === undefined) return;
      throw new TypeError(
        `Cannot ${TASK}: ${name} is given, expected none, as ${DRAWS_FROM[conditionType]}`,
      );
    };
    if (conditionType !== "text") refuse("encoderHiddenStates", encoderHiddenStates);
    if (conditionType !== "class") refuse("classLabels", classLabels);
    if (conditionType === "text") {
      const shape = ["batch", "length", crossAttentionDim];
      expectTensor(`Cannot ${TASK}: encoderHiddenStates`, encoderHiddenStates, "f32", shape);
    }
    if (conditionType === "class") {
      expectTensor(`Cannot ${TASK}: classLabels`, classLabels, "i32", ["batch"]);
    }
  }
}
