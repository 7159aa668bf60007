/**
 * What all models share: loading from a folder, and who owns what.
 *
 * @module
 */

import type { Backend, DeviceType, WeightDType } from "../backends/backend.ts";
import { type Config, readConfig } from "../checkpoints/config.ts";
import { openFolder } from "../checkpoints/folders.ts";
import type { OnProgress } from "../checkpoints/progress.ts";
import type { ModelFolder, TensorSource } from "../checkpoints/source.ts";
import { openWeights } from "../checkpoints/weights.ts";
import { ModelWeights } from "./model_weights.ts";

/** Options of every model's `create`. */
export interface CreateModelOptions {
  /**
   * How the weights of linear layers are held: float32, float16, or int8 with one scale for each
   * row. Default: as stored. Convolutions, embeddings and norms are always held in float32.
   */
  readonly dtype?: WeightDType;
  /** Stops loading. */
  readonly signal?: AbortSignal;
}

/** Options of every model's `fromPretrained`. */
export interface ModelFromPretrainedOptions extends CreateModelOptions {
  /** Where to compute; stays the caller's. Default: one that the model makes and owns. */
  readonly backend?: Backend;
  /** Device of the backend that is made. Default `"auto"`. */
  readonly device?: DeviceType | "auto";
  /** Threads of the backend that is made. Default: as many as there are cores. */
  readonly threads?: number;
  /** Folder inside `source`, such as `"transformer"`. Default: `source` itself. */
  readonly subfolder?: string;
  /** Is told how loading goes on. */
  readonly onProgress?: OnProgress;
}

/** A network with its config and weights. */
export abstract class Model<C> implements AsyncDisposable {
  /** Where it computes. */
  readonly backend: Backend;
  /** The checked config. */
  readonly config: C;
  /** The checkpoint it was loaded from, whose arrays can be read again. */
  readonly weights: TensorSource;
  /** The weights on the device. */
  protected readonly memory: ModelWeights = new ModelWeights();
  #ownedBackend: Backend | undefined;
  #disposed = false;

  /** @ignore Models are made by `create` and `fromPretrained`. */
  constructor(backend: Backend, config: C, weights: TensorSource) {
    this.backend = backend;
    this.config = config;
    this.weights = weights;
  }

  /**
   * Gives back the memory of the weights, closes the checkpoint, and frees the backend if the model
   * made it. Calls after the first do nothing.
   */
  async dispose(): Promise<void> {
    if (this.#disposed) return;
    this.#disposed = true;
    this.memory.dispose();
    await this.weights[Symbol.asyncDispose]();
    await this.#ownedBackend?.dispose();
  }

  /** Does what `dispose` does. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.dispose();
  }

  /**
   * Opens a folder and makes the model of it.
   *
   * @param names Names to look for the weights under.
   * @param create Makes the model of config and weights, which it owns from then on.
   */
  protected static async open<M extends Model<unknown>>(
    source: string | URL | ModelFolder,
    options: ModelFromPretrainedOptions,
    names: readonly string[],
    create: (backend: Backend, config: Config, weights: TensorSource) => Promise<M>,
  ): Promise<M> {
    const { signal, onProgress, subfolder } = options;
    const root = await openFolder(source, {
      ...(signal && { signal }),
      ...(onProgress && { onProgress }),
    });
    const folder = subfolder === undefined ? root : root.folder(subfolder);
    const config = await readConfig(folder, "config.json");
    const weights = await openWeights(folder, names);
    const model = await create(options.backend!, config, weights);
    onProgress?.({ type: "ready" });
    return model;
  }

  /**
   * Loads the weights that a model's constructor declared; closes the checkpoint if that fails.
   *
   * @param make Calls the constructor.
   * @param ignored Names of arrays that the checkpoint may hold without need.
   */
  protected static async loaded<M extends Model<unknown>>(
    weights: TensorSource,
    make: () => M,
    options: CreateModelOptions,
    ignored?: RegExp,
  ): Promise<M> {
    try {
      const model = make();
      await model.memory.load(model.backend, weights, options, ignored);
      return model;
    } catch (error) {
      await weights[Symbol.asyncDispose]();
      throw error;
    }
  }
}
