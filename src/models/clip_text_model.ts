/**
 * The text encoder.
 *
 * @module
 */

import type { Activation, Backend, Frame, Tensor } from "../backends/backend.ts";
import { expectTensor } from "../backends/expect_tensor.ts";
import { evaluate } from "../backends/evaluate.ts";
import type { ArraySource } from "../checkpoints/arrays.ts";
import type { Config } from "../checkpoints/config.ts";
import type { ModelFolder } from "../files/source.ts";
import { TRANSFORMERS_WEIGHTS } from "../files/weight_names.ts";
import { SelfAttention } from "./attention.ts";
import { CLIP_ACTIVATIONS, type CLIPTextConfig, parseCLIPTextConfig } from "./clip_text_config.ts";
import { type CreateModelOptions, Model, type ModelFromPretrainedOptions } from "./model.ts";
import { LayerNorm, Linear, WeightScope } from "./layers.ts";
import type { Parameter } from "./model_weights.ts";

/** Buffers of old checkpoints that hold 0, 1, 2, … */
const BUFFERS = /(^|\.)position_ids$/;

/** Options of {@linkcode CLIPTextModel.forward}. */
export interface CLIPTextForwardOptions {
  /** Stops the run. */
  readonly signal?: AbortSignal;
}

/**
 * The text encoder of CLIP (Radford et al., arXiv 2103.00020): transformers' `CLIPTextModel`. Each token
 * attends to itself and those before it; padding is attended to like any other token.
 */
export class CLIPTextModel extends Model<CLIPTextConfig> {
  /** @ignore */
  protected override readonly weightsFile = "model.safetensors";
  readonly #tokens: Parameter<Tensor>;
  readonly #positions: Parameter<Tensor>;
  readonly #layers: readonly EncoderLayer[];
  readonly #finalNorm: LayerNorm;

  private constructor(backend: Backend, config: CLIPTextConfig, weights: ArraySource) {
    super(backend, config, weights);
    const { hiddenSize, vocabSize, maxPositionEmbeddings } = config;
    const embeddings = "text_model.embeddings";
    const model = new WeightScope(this.memory).at("text_model");
    this.#tokens = this.memory.tensor(`${embeddings}.token_embedding.weight`, [
      vocabSize,
      hiddenSize,
    ]);
    this.#positions = this.memory.tensor(`${embeddings}.position_embedding.weight`, [
      maxPositionEmbeddings,
      hiddenSize,
    ]);
    this.#layers = Array.from(
      { length: config.numHiddenLayers },
      (_, i) => new EncoderLayer(model.at("encoder.layers").at(i), config),
    );
    this.#finalNorm = new LayerNorm(model.at("final_layer_norm"), hiddenSize, config.layerNormEps);
  }

  /**
   * Makes the model of its parts.
   *
   * @param config Config as in transformers' `config.json`.
   * @param weights Arrays by the names of transformers; closed with the model, or if this fails.
   * @throws {TypeError} If a field of the config or an array is missing or does not fit.
   * @throws {RangeError} If the config asks for something that is not supported.
   */
  static create(
    backend: Backend,
    config: Config,
    weights: ArraySource,
    options: CreateModelOptions = {},
  ): Promise<CLIPTextModel> {
    const make = () => new CLIPTextModel(backend, parseCLIPTextConfig(config), weights);
    return Model.loaded(weights, make, options, BUFFERS);
  }

  /**
   * Loads the model from a folder in the layout of transformers.
   *
   * @param source Path, `file:` or `http(s):` URL, or an open folder.
   * @throws {TypeError} If the config or the weights do not fit.
   * @throws {RangeError} If the config asks for something that is not supported.
   */
  static fromPretrained(
    source: string | URL | ModelFolder,
    options: ModelFromPretrainedOptions = {},
  ): Promise<CLIPTextModel> {
    return Model.open(
      source,
      options,
      TRANSFORMERS_WEIGHTS,
      (backend, config, weights) => CLIPTextModel.create(backend, config, weights, options),
    );
  }

  /**
   * Encodes texts.
   *
   * @param ids Token ids (batch, length).
   * @returns The last hidden state after the final layer norm, (batch, length, hiddenSize), to be
   *   disposed of by the caller.
   * @throws {TypeError} If `ids` does not hold integers.
   * @throws {RangeError} If `ids` is of another shape, or longer than `maxPositionEmbeddings`.
   */
  forward(ids: Tensor<"i32">, { signal }: CLIPTextForwardOptions = {}): Tensor {
    return evaluate(this.backend, (frame) => frame.keep(this.record(frame, ids)), { signal });
  }

  /** Records {@linkcode CLIPTextModel.forward} on a frame of the caller's. */
  record(frame: Frame, ids: Tensor<"i32">): Tensor {
    expectTensor("CLIPTextModel: ids", ids, "i32", ["batch", "length"]);
    const length = ids.shape[1]!;
    const { maxPositionEmbeddings } = this.config;
    if (length > maxPositionEmbeddings) {
      throw new RangeError(
        `CLIPTextModel: ids has ${length} tokens a text, expected at most ${maxPositionEmbeddings}`,
      );
    }
    const positionIds = frame.empty([length], "i32");
    positionIds.write(Int32Array.from({ length }, (_, i) => i));
    const positions = frame.embedding(positionIds, this.#positions.value);
    let x = frame.embedding(ids, this.#tokens.value, positions);
    for (const layer of this.#layers) x = layer.forward(frame, x);
    return this.#finalNorm.forward(frame, x);
  }
}

/** Attention and a feed-forward part, each after a norm and added to the hidden state. */
class EncoderLayer {
  readonly #norm1: LayerNorm;
  readonly #attention: SelfAttention;
  readonly #norm2: LayerNorm;
  readonly #fc1: Linear;
  readonly #fc2: Linear;
  readonly #activation: Activation;

  constructor(weights: WeightScope, config: CLIPTextConfig) {
    const { hiddenSize, intermediateSize, numAttentionHeads: heads, layerNormEps: eps } = config;
    this.#norm1 = new LayerNorm(weights.at("layer_norm1"), hiddenSize, eps);
    this.#attention = new SelfAttention(weights.at("self_attn"), {
      projections: ["q_proj", "k_proj", "v_proj", "out_proj"],
      columns: hiddenSize,
      heads,
      headDim: hiddenSize / heads,
      causal: true,
    });
    this.#norm2 = new LayerNorm(weights.at("layer_norm2"), hiddenSize, eps);
    this.#fc1 = new Linear(weights.at("mlp.fc1"), intermediateSize, hiddenSize);
    this.#fc2 = new Linear(weights.at("mlp.fc2"), hiddenSize, intermediateSize);
    this.#activation = CLIP_ACTIVATIONS[config.hiddenAct];
  }

  /** x (batch, length, hiddenSize), used up → the same shape. */
  forward(frame: Frame, x: Tensor): Tensor {
    using _scope = frame.scope();
    x = this.#attention.forward(frame, this.#norm1.forward(frame, x), { addTo: x });
    const inner = this.#fc1.forward(frame, this.#norm2.forward(frame, x), {
      activation: this.#activation,
    });
    return this.#fc2.forward(frame, inner, { addTo: x });
  }
}
