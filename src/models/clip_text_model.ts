/**
 * The text encoder.
 *
 * @module
 */

import type { Backend, Frame, LinearWeight, Tensor } from "../backends/backend.ts";
import { expectTensor } from "../backends/expect_tensor.ts";
import { submit } from "../backends/submit.ts";
import type { ArraySource } from "../checkpoints/arrays.ts";
import type { Config } from "../checkpoints/config.ts";
import type { ModelFolder } from "../checkpoints/source.ts";
import { TRANSFORMERS_WEIGHTS } from "../checkpoints/weights.ts";
import { SelfAttention } from "./attention.ts";
import { CLIP_ACTIVATIONS, type CLIPTextConfig, parseCLIPTextConfig } from "./clip_text_config.ts";
import { type CreateModelOptions, Model, type ModelFromPretrainedOptions } from "./model.ts";
import type { ModelWeights, NormParameters, Parameter } from "./model_weights.ts";

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
  readonly #finalNorm: NormParameters;

  private constructor(backend: Backend, config: CLIPTextConfig, weights: ArraySource) {
    super(backend, config, weights);
    const { hiddenSize, vocabSize, maxPositionEmbeddings } = config;
    const embeddings = "text_model.embeddings";
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
      (_, i) => new EncoderLayer(this.memory, `text_model.encoder.layers.${i}`, config),
    );
    this.#finalNorm = this.memory.norm("text_model.final_layer_norm", hiddenSize);
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
    const record = (frame: Frame) => ({ result: this.record(frame, ids) });
    return submit(this.backend, record, signal).result;
  }

  /** Records {@linkcode CLIPTextModel.forward} on a frame of the caller's. */
  record(frame: Frame, ids: Tensor<"i32">): Tensor {
    expectTensor("CLIPTextModel: ids", ids, "i32", ["batch", "length"]);
    const length = ids.shape[1]!;
    const { maxPositionEmbeddings, layerNormEps: eps } = this.config;
    if (length > maxPositionEmbeddings) {
      throw new RangeError(
        `CLIPTextModel: ids has ${length} tokens a text, expected at most ${maxPositionEmbeddings}`,
      );
    }
    const positionIds = frame.empty([length], "i32");
    positionIds.write(Int32Array.from({ length }, (_, i) => i));
    const positions = frame.embedding(positionIds, this.#positions.value);
    const x = frame.embedding(ids, this.#tokens.value, positions);
    for (const layer of this.#layers) layer.record(frame, x);
    const { weight, bias } = this.#finalNorm;
    return frame.layerNorm(x, { weight, bias, eps });
  }
}

/** Attention and a feed-forward part, each after a norm and added to the hidden state. */
class EncoderLayer {
  readonly #norm1: NormParameters;
  readonly #attention: SelfAttention;
  readonly #norm2: NormParameters;
  readonly #fc1: Parameter<LinearWeight>;
  readonly #fc2: Parameter<LinearWeight>;
  readonly #config: CLIPTextConfig;

  constructor(weights: ModelWeights, name: string, config: CLIPTextConfig) {
    const { hiddenSize: columns, intermediateSize, numAttentionHeads: heads } = config;
    const attention = `${name}.self_attn`;
    this.#norm1 = weights.norm(`${name}.layer_norm1`, columns);
    this.#attention = new SelfAttention(weights, {
      projections: [
        `${attention}.q_proj`,
        `${attention}.k_proj`,
        `${attention}.v_proj`,
        `${attention}.out_proj`,
      ],
      columns,
      heads,
      headDim: columns / heads,
      causal: true,
    });
    this.#norm2 = weights.norm(`${name}.layer_norm2`, columns);
    this.#fc1 = weights.linear([`${name}.mlp.fc1`], intermediateSize, columns);
    this.#fc2 = weights.linear([`${name}.mlp.fc2`], columns, intermediateSize);
    this.#config = config;
  }

  /** Changes x (batch, length, hiddenSize) in place. */
  record(frame: Frame, x: Tensor): void {
    const { layerNormEps: eps, hiddenAct } = this.#config;
    {
      using _scope = frame.scope();
      const { weight, bias } = this.#norm1;
      this.#attention.record(frame, frame.layerNorm(x, { weight, bias, eps }), x);
    }
    using _scope = frame.scope();
    const { weight, bias } = this.#norm2;
    const normed = frame.layerNorm(x, { weight, bias, eps });
    const inner = frame.linear(normed, this.#fc1.value, {
      activation: CLIP_ACTIVATIONS[hiddenAct],
    });
    frame.linear(inner, this.#fc2.value, { addTo: x });
  }
}
