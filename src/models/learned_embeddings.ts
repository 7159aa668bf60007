/**
 * The learned embeddings of "no text".
 *
 * @module
 */

import type { Backend, Tensor } from "../backends/backend.ts";
import type { ArraySource } from "../checkpoints/arrays.ts";
import { booleanField, type Config, integerField } from "../checkpoints/config.ts";
import type { ModelFolder } from "../files/source.ts";
import { DIFFUSERS_WEIGHTS } from "../files/weight_names.ts";
import {
  createModel,
  type CreateModelOptions,
  loadModel,
  type ModelFromPretrainedOptions,
} from "./load_model.ts";
import { Model, type ModelParts } from "./model.ts";
import type { Parameter } from "./parameter_slot.ts";
import { supportOnly } from "./support.ts";

/** Config of a `LearnedClassifierFreeSamplingEmbeddings`, by the names of diffusers. */
export interface LearnedEmbeddingsConfig {
  /** Whether there are learned embeddings; without, the empty prompt takes their place. */
  readonly learnable: boolean;
  /** Size of an embedding; undefined if there are none. */
  readonly hiddenSize: number | undefined;
  /** Number of embeddings; undefined if there are none. */
  readonly length: number | undefined;
  /** The config as it was read. */
  readonly json: Readonly<Record<string, unknown>>;
}

/**
 * Embeddings that were learned in place of those of an empty prompt (Tang et al., arXiv 2205.16007),
 * for guidance; diffusers' class of the same name. They are used as stored, not normalised.
 */
export class LearnedClassifierFreeSamplingEmbeddings extends Model<LearnedEmbeddingsConfig> {
  /** @ignore */
  static readonly weightFiles: readonly string[] = DIFFUSERS_WEIGHTS;
  /** @ignore */
  static readonly parseConfig: (config: Config) => LearnedEmbeddingsConfig = parseConfig;
  readonly #embeddings: Parameter<Tensor> | undefined;

  /** @ignore Components are made by `create` and `fromPretrained`. */
  constructor(parts: ModelParts<LearnedEmbeddingsConfig>) {
    super(parts);
    const { learnable, length, hiddenSize } = parts.config;
    const { parameters } = parts.scope;
    if (learnable) this.#embeddings = parameters.tensor("embeddings", [length!, hiddenSize!]);
    // An empty array is stored if there is nothing learned.
    else parameters.keep(/^embeddings$/);
  }

  /**
   * Makes the component of its parts.
   *
   * @param config Config as in diffusers' `config.json`.
   * @param checkpoint The array `embeddings`; closed with the component, or if this fails. Not read if
   *   the embeddings are not learned.
   * @throws {TypeError} If a field of the config or an array is missing or does not fit.
   * @throws {RangeError} If a field of the config is out of range.
   */
  static create(
    backend: Backend,
    config: Config,
    checkpoint: ArraySource,
    options: CreateModelOptions = {},
  ): Promise<LearnedClassifierFreeSamplingEmbeddings> {
    return createModel(
      LearnedClassifierFreeSamplingEmbeddings,
      backend,
      config,
      checkpoint,
      options,
    );
  }

  /**
   * Loads the component from a folder in the layout of diffusers.
   *
   * @param source Path, `file:` or `http(s):` URL, id of a model on the hub, or an open folder.
   * @throws {TypeError} If the config or the weights do not fit.
   * @throws {RangeError} If the config asks for something that is not supported, or the weights do not
   *   fit in the memory of the device.
   */
  static fromPretrained(
    source: string | URL | ModelFolder,
    options: ModelFromPretrainedOptions = {},
  ): Promise<LearnedClassifierFreeSamplingEmbeddings> {
    return loadModel(LearnedClassifierFreeSamplingEmbeddings, source, options);
  }

  /** Whether there are learned embeddings. */
  get learnable(): boolean {
    return this.config.learnable;
  }

  /** The embeddings (length, hiddenSize), which stay the component's, or undefined if there are none. */
  get embeddings(): Tensor | undefined {
    return this.#embeddings?.value;
  }
}

function parseConfig(config: Config): LearnedEmbeddingsConfig {
  supportOnly(config, "_class_name", ["LearnedClassifierFreeSamplingEmbeddings"]);
  const learnable = booleanField(config, "learnable");
  const size = (key: string) => learnable ? integerField(config, key, { min: 1 }) : undefined;
  return {
    learnable,
    hiddenSize: size("hidden_size"),
    length: size("length"),
    json: config.values,
  };
}
