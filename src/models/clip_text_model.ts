/**
 * The text encoder.
 *
 * @module
 */

import type { Backend, Frame, Tensor } from "../backends/backend.ts";
import { expectTensor } from "../backends/expect_tensor.ts";
import { evaluate } from "../backends/evaluate.ts";
import { refuseRange } from "../base/check.ts";
import type { ArraySource } from "../checkpoints/arrays.ts";
import type { Config } from "../checkpoints/config.ts";
import type { ModelFolder } from "../files/source.ts";
import { TRANSFORMERS_WEIGHTS } from "../files/weight_names.ts";
import { CLIPEncoderLayer } from "./clip_encoder_layer.ts";
import { type CLIPTextConfig, parseCLIPTextConfig } from "./clip_text_config.ts";
import { Embedding, LayerNorm } from "./layers.ts";
import {
  createModel,
  type CreateModelOptions,
  loadModel,
  type ModelFromPretrainedOptions,
} from "./load_model.ts";
import { Model, type ModelParts } from "./model.ts";

/** What cannot be done if an argument does not fit. */
const TASK = "run CLIPTextModel";

/**
 * What checkpoints hold beside the encoder: buffers of 0, 1, 2, … in old ones, the projection, and the
 * other half of a whole CLIP.
 */
const OTHERS =
  /(^|\.)position_ids$|^(text_projection|visual_projection|vision_model)\.|^logit_scale$/;

/** Options of {@linkcode CLIPTextModel.forward}. */
export interface CLIPTextForwardOptions {
  /** Stops the run. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * The text encoder of CLIP (Radford et al., arXiv 2103.00020): transformers' `CLIPTextModel`. Each token
 * attends to itself and those before it; padding is attended to like any other token.
 */
export class CLIPTextModel extends Model<CLIPTextConfig> {
  /** @ignore */
  static readonly weightFiles: readonly string[] = TRANSFORMERS_WEIGHTS;
  /** @ignore */
  static readonly parseConfig: (config: Config) => CLIPTextConfig = parseCLIPTextConfig;
  /** @ignore */
  static readonly declaredName: (name: string) => string = declaredName;
  readonly #tokenEmbedding: Embedding;
  readonly #positionEmbedding: Embedding;
  readonly #layers: readonly CLIPEncoderLayer[];
  readonly #finalLayerNorm: LayerNorm;

  /** @ignore Models are made by `create` and `fromPretrained`. */
  constructor(parts: ModelParts<CLIPTextConfig>) {
    super(parts);
    const { config } = parts;
    const { vocabSize, maxPositionEmbeddings, hiddenSize, numHiddenLayers, layerNormEps } = config;
    const scope = parts.scope.at("text_model");
    const tokens = scope.at("embeddings.token_embedding");
    const positions = scope.at("embeddings.position_embedding");
    this.#tokenEmbedding = new Embedding(tokens, vocabSize, hiddenSize);
    this.#positionEmbedding = new Embedding(positions, maxPositionEmbeddings, hiddenSize);
    this.#layers = scope.at("encoder.layers")
      .list(numHiddenLayers, "num_hidden_layers", (layer) => new CLIPEncoderLayer(layer, config));
    this.#finalLayerNorm = new LayerNorm(scope.at("final_layer_norm"), hiddenSize, layerNormEps);
    scope.parameters.leaveOut(OTHERS);
  }

  /**
   * Makes the model of its parts.
   *
   * @param config Config as in transformers' `config.json`.
   * @param checkpoint Arrays by the names of transformers; closed with the model, or if this fails.
   * @throws {TypeError} If a field of the config or an array is missing or does not fit.
   * @throws {RangeError} If the config asks for something that is not supported.
   */
  static create(
    backend: Backend,
    config: Config,
    checkpoint: ArraySource,
    options: CreateModelOptions = {},
  ): Promise<CLIPTextModel> {
    return createModel(CLIPTextModel, backend, config, checkpoint, options);
  }

  /**
   * Loads the model from a folder in the layout of transformers.
   *
   * @param source Path, `file:` or `http(s):` URL, id of a model on the hub, or an open folder.
   * @throws {TypeError} If the config or the weights do not fit.
   * @throws {RangeError} If the config asks for something that is not supported, or the weights do not
   *   fit in the memory of the device.
   */
  static fromPretrained(
    source: string | URL | ModelFolder,
    options: ModelFromPretrainedOptions = {},
  ): Promise<CLIPTextModel> {
    return loadModel(CLIPTextModel, source, options);
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
    const length = this.#checkedLength(ids);
    const positionIds = frame.empty([length], "i32");
    positionIds.write(Int32Array.from({ length }, (_, i) => i));
    const positions = this.#positionEmbedding.forward(frame, positionIds);
    let x = this.#tokenEmbedding.forward(frame, ids, positions);
    for (const layer of this.#layers) {
      x = frame.checkpoint(x, (frame, x) => layer.forward(frame, x));
    }
    return this.#finalLayerNorm.forward(frame, x);
  }

  #checkedLength(ids: Tensor<"i32">): number {
    expectTensor(`Cannot ${TASK}: ids`, ids, "i32", ["batch", "length"]);
    const length = ids.shape[1]!;
    const { maxPositionEmbeddings } = this.config;
    if (length <= maxPositionEmbeddings) return length;
    const subject = { task: TASK, name: "the length of ids" };
    refuseRange(subject, length, `at most ${maxPositionEmbeddings} tokens`);
  }
}

/** transformers has had no level `text_model` in the names since 5.6. */
function declaredName(name: string): string {
  return /^(embeddings|encoder|final_layer_norm)\./.test(name) ? `text_model.${name}` : name;
}
