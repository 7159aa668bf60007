/**
 * The transformer that predicts the tokens of an image.
 *
 * @module
 */

import type { Backend, Frame, Tensor } from "../backends/backend.ts";
import { expectTensor } from "../backends/expect_tensor.ts";
import { evaluate } from "../backends/evaluate.ts";
import { float32Values } from "../backends/host_arrays.ts";
import type { ArraySource } from "../checkpoints/arrays.ts";
import type { Config } from "../checkpoints/config.ts";
import type { ModelFolder } from "../files/source.ts";
import { DIFFUSERS_WEIGHTS } from "../files/weight_names.ts";
import { type CreateModelOptions, Model, type ModelFromPretrainedOptions } from "./model.ts";
import { LayerNorm, Linear, WeightScope } from "./layers.ts";
import type { ModelWeights, Parameter } from "./model_weights.ts";
import { parseTransformer2DConfig, type Transformer2DConfig } from "./transformer_2d_config.ts";
import { TransformerBlock } from "./transformer_block.ts";

/** Arguments of {@linkcode Transformer2DModel.forward}. */
export interface Transformer2DInputs {
  /** Tokens (batch, pixels), 0 … numVectorEmbeds − 1, the last being the mask. */
  readonly sample: Tensor<"i32">;
  /** (batch or a multiple of it, length, crossAttentionDim). */
  readonly encoderHiddenStates: Tensor;
  /** Timestep of all images, 0 … numEmbedsAdaNorm − 1. */
  readonly timestep: number;
  /** Stops the run. */
  readonly signal?: AbortSignal;
}

/** Keys and values of a context for every block, reused in all steps. */
export interface TransformerContext {
  /** Number of sequences. */
  readonly batch: number;
  /** For each block (batch, length, 2 · columns). */
  readonly keyValues: readonly Tensor[];
}

/** Arguments of {@linkcode Transformer2DModel.record}. */
export interface RecordTransformer2DInputs {
  /** Tokens (batch, pixels). */
  readonly sample: Tensor<"i32">;
  /** Result of {@linkcode Transformer2DModel.recordContext}. */
  readonly context: TransformerContext;
  /** One element: the timestep. */
  readonly timestep: Tensor<"i32">;
}

/**
 * The transformer of VQ-Diffusion (Gu et al., arXiv 2111.14822): diffusers' `Transformer2DModel` with
 * discrete latents. It predicts log p(x0) for every latent pixel from the tokens at a timestep
 * and the text embeddings.
 */
export class Transformer2DModel extends Model<Transformer2DConfig> {
  /** @ignore */
  protected override readonly weightsFile = "diffusion_pytorch_model.safetensors";
  readonly #embedding: Parameter<Tensor>;
  readonly #positions: Parameter<Tensor>;
  readonly #blocks: readonly TransformerBlock[];
  readonly #normOut: LayerNorm;
  readonly #out: Linear;

  private constructor(backend: Backend, config: Transformer2DConfig, weights: ArraySource) {
    super(backend, config, weights);
    const columns = config.numAttentionHeads * config.attentionHeadDim;
    const classes = config.numVectorEmbeds;
    const weightsOf = new WeightScope(this.memory);
    this.#embedding = this.memory.tensor("latent_image_embedding.emb.weight", [classes, columns]);
    this.#positions = declarePositions(this.memory, config.sampleSize, columns);
    const options = {
      columns,
      contextColumns: config.crossAttentionDim,
      heads: config.numAttentionHeads,
      headDim: config.attentionHeadDim,
      attentionBias: config.attentionBias,
      activation: config.activationFn,
      timesteps: config.numEmbedsAdaNorm,
    };
    this.#blocks = Array.from(
      { length: config.numLayers },
      (_, i) => new TransformerBlock(weightsOf.at("transformer_blocks").at(i), options),
    );
    this.#normOut = new LayerNorm(weightsOf.at("norm_out"), columns);
    this.#out = new Linear(weightsOf.at("out"), classes - 1, columns, { precise: true });
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
  ): Promise<Transformer2DModel> {
    const make = () => new Transformer2DModel(backend, parseTransformer2DConfig(config), weights);
    return Model.loaded(weights, make, options);
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
  ): Promise<Transformer2DModel> {
    return Model.open(
      source,
      options,
      DIFFUSERS_WEIGHTS,
      (backend, config, weights) => Transformer2DModel.create(backend, config, weights, options),
    );
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
    const { numEmbedsAdaNorm } = this.config;
    if (!Number.isSafeInteger(timestep) || timestep < 0 || timestep >= numEmbedsAdaNorm) {
      throw new RangeError(
        `Transformer2DModel.forward(): timestep is ${timestep}, expected an integer from 0 to ` +
          `${numEmbedsAdaNorm - 1}`,
      );
    }
    const record = (frame: Frame) => {
      const step = frame.empty([1], "i32");
      step.write(Int32Array.of(timestep));
      const context = this.recordContext(frame, encoderHiddenStates);
      const logProbs = this.record(frame, { sample, context, timestep: step });
      return frame.keep(frame.transpose(logProbs));
    };
    return evaluate(this.backend, record, { signal });
  }

  /** Records what all steps with the same context share: the keys and values of all blocks. */
  recordContext(frame: Frame, encoderHiddenStates: Tensor): TransformerContext {
    const { crossAttentionDim } = this.config;
    const what = "Transformer2DModel: encoderHiddenStates";
    expectTensor(what, encoderHiddenStates, "f32", ["batch", "length", crossAttentionDim]);
    return {
      batch: encoderHiddenStates.shape[0]!,
      keyValues: this.#blocks.map((block) => block.keyValues(frame, encoderHiddenStates)),
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
    const pixels = this.config.sampleSize ** 2;
    expectTensor("Transformer2DModel: sample", sample, "i32", ["batch", pixels]);
    const batch = sample.shape[0]!;
    if (context.batch % batch !== 0) {
      throw new RangeError(
        `Transformer2DModel: encoderHiddenStates has a batch of ${context.batch}, expected a ` +
          `multiple of the ${batch} of sample`,
      );
    }
    let x = frame.embedding(sample, this.#embedding.value, this.#positions.value);
    this.#blocks.forEach((block, i) => {
      x = block.forward(frame, x, { timestep, keyValues: context.keyValues[i]! });
    });
    return frame.logSoftmax(this.#out.forward(frame, this.#normOut.forward(frame, x)));
  }
}

/** (side², columns): the sum of the embeddings of a pixel's row and column. */
function declarePositions(
  weights: ModelWeights,
  side: number,
  columns: number,
): Parameter<Tensor> {
  const name = "latent_image_embedding";
  return weights.derived(
    [
      [`${name}.height_emb.weight`, [side, columns]],
      [`${name}.width_emb.weight`, [side, columns]],
    ],
    (backend, [heights, widths]) => {
      const [rowOf, columnOf] = [float32Values(heights!), float32Values(widths!)];
      const sums = Float32Array.from({ length: side * side * columns }, (_, i) => {
        const [pixel, c] = [Math.floor(i / columns), i % columns];
        const [row, column] = [Math.floor(pixel / side), pixel % side];
        return rowOf[row * columns + c]! + columnOf[column * columns + c]!;
      });
      return backend.tensor(sums, [side * side, columns]);
    },
    () => 4 * side * side * columns,
  );
}
