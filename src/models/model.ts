/**
 * What all models share: who owns what, loading and saving of weights.
 *
 * @module
 */

import { WEIGHT_DTYPES, type WeightDType } from "../base/dtypes.ts";
import type { Backend } from "../backends/backend.ts";
import { checkChoice } from "../base/check.ts";
import type { ArraySource } from "../checkpoints/arrays.ts";
import type { FolderWriter } from "../files/folder_writer.ts";
import { checkMemory, mostWeightBytes } from "./memory_check.ts";
import type { MemoryTrial } from "./memory_trial.ts";
import { type Parameters, ParameterScope } from "./parameters.ts";

/** Options of {@linkcode Model.load}. */
export interface LoadModelOptions {
  /**
   * How the weights of linear layers are held: float32, float16, or int8 with one scale for each
   * row. Default: as stored. Convolutions, embeddings and norms are always held in float32.
   */
  readonly dtype?: WeightDType | undefined;
  /** Stops loading. */
  readonly signal?: AbortSignal | undefined;
}

/** Options of every model's `savePretrained`. */
export interface SaveModelOptions {
  /**
   * How to store the weights; int8 is for those linear layers only that tolerate it. Default: as they are
   * held, so that the saved model, loaded without a type, computes the same; as stored if no type was
   * asked for.
   */
  readonly dtype?: WeightDType | undefined;
  /** Stops saving; nothing is written then. */
  readonly signal?: AbortSignal | undefined;
}

/** A config that was read. */
export interface ModelConfig {
  /** The config as it was read. */
  readonly json: Readonly<Record<string, unknown>>;
}

/**
 * What a model is made of.
 *
 * @ignore For the models only.
 */
export interface ModelParts<C extends ModelConfig> {
  /** Where it computes. */
  readonly backend: Backend;
  /** The checked config. */
  readonly config: C;
  /** Where its weights are read from. */
  readonly checkpoint: ArraySource;
  /** Where it declares its parameters. */
  readonly scope: ParameterScope;
  /** Name of the file that weights are saved in. */
  readonly weightsFile: string;
  /** What goes with the model: parameters, checkpoint, and the backend if it is the model's own. */
  readonly owned: AsyncDisposableStack;
}

/** A network with its config and weights. */
export abstract class Model<C extends ModelConfig = ModelConfig> implements AsyncDisposable {
  /** Where it computes. */
  readonly backend: Backend;
  /** The checked config. */
  readonly config: C;
  /** The checkpoint it was loaded from, whose arrays can be read again. */
  readonly checkpoint: ArraySource;
  readonly #parameters: Parameters;
  readonly #weightsFile: string;
  readonly #owned: AsyncDisposableStack;
  #loading: Promise<void> | undefined;
  /** The type that was asked for when the weights were loaded. */
  #heldDType: WeightDType | undefined;
  #disposal: Promise<void> | undefined;

  /** @ignore Models are made by `create` and `fromPretrained`. */
  constructor({ backend, config, checkpoint, scope, weightsFile, owned }: ModelParts<C>) {
    this.backend = backend;
    this.config = config;
    this.checkpoint = checkpoint;
    this.#parameters = scope.parameters;
    this.#weightsFile = weightsFile;
    this.#owned = owned;
  }

  /** Number of parameters. */
  get parameters(): number {
    return this.#parameters.count;
  }

  /**
   * Loads the weights, if the model was made without. Does nothing if they are loaded.
   *
   * @throws {RangeError} If they do not fit in the memory of the device, before any is taken.
   * @throws {ReferenceError} If the model was disposed of.
   */
  async load(options: LoadModelOptions = {}): Promise<void> {
    await Model.loadAll(this.checkpoint.description, [this], options);
  }

  /**
   * Loads the weights of several models of one backend, one array after the other. Those that are
   * loaded stay as they are.
   *
   * @param description What the models belong to, for error messages: a path or URL.
   * @param trial What has to fit in the memory of the device. Default: their weights.
   * @throws {RangeError} If that does not fit, before any memory is taken.
   * @throws {ReferenceError} If one of the models was disposed of.
   */
  static async loadAll(
    description: string,
    models: readonly Model[],
    options: LoadModelOptions = {},
    trial?: MemoryTrial,
  ): Promise<void> {
    checkChoice({ task: `load ${description}`, name: "dtype" }, options.dtype, WEIGHT_DTYPES);
    if (models.some((model) => model.#disposal)) {
      throw new ReferenceError(`Cannot load ${description}: the model was disposed of`);
    }
    const waiting = models.filter((model) => !model.#loading);
    if (waiting[0]) {
      const { backend } = waiting[0];
      await checkMemory(description, backend, options.dtype, trial ?? weightsTrial(waiting));
    }
    for (const model of models) await model.#loadOnce(options);
  }

  /**
   * Makes a copy with weights that take the memory of the real ones; the checkpoint is not read.
   *
   * @ignore For what tells how much memory is needed.
   * @param backend A backend that only counts memory.
   * @param dtype How the weights of linear layers are held. Default: as stored.
   * @throws {RangeError} If the memory of the backend does not suffice.
   */
  async dryCopy(backend: Backend, dtype?: WeightDType): Promise<this> {
    const { hollowArrays } = await import("../checkpoints/hollow_arrays.ts");
    const checkpoint = hollowArrays(this.checkpoint);
    const Class = this.constructor as new (parts: ModelParts<C>) => this;
    const copies = this.#parameters.onPaper(dtype).map(([parameters, dtype]) => {
      const owned = new AsyncDisposableStack();
      const scope = new ParameterScope(owned.use(parameters));
      const parts = { backend, config: this.config, checkpoint, scope, owned };
      return { copy: new Class({ ...parts, weightsFile: this.#weightsFile }), dtype };
    });
    for (const { copy, dtype } of copies) await copy.#loadOnce({ dtype });
    return copies.at(-1)!.copy;
  }

  async #loadOnce(options: LoadModelOptions): Promise<void> {
    this.#loading ??= this.#load(options);
    try {
      await this.#loading;
    } catch (error) {
      this.#loading = undefined;
      throw error;
    }
  }

  async #load(options: LoadModelOptions): Promise<void> {
    await this.#parameters.load(this.backend, this.checkpoint, options);
    this.#heldDType = options.dtype;
    this.checkpoint.release();
  }

  /**
   * Gives back the memory of the weights, closes the checkpoint, and frees the backend if the model
   * made it. Calls after the first wait for the first.
   */
  dispose(): Promise<void> {
    return this.#disposal ??= this.#owned.disposeAsync();
  }

  /**
   * Saves config and weights in the layout they are loaded from. The weights are those of the
   * checkpoint, read again array by array, in the type in which they are held; with
   * `TrainableParameters` they are what these hold, in float32. A float16 variant that is there, or the
   * index of weights in several files, is removed, as it may be another model's.
   *
   * @param target Path of a folder, which is made if need be and in which nothing is changed until
   *   all is written; or a folder that is being written.
   * @throws {ReferenceError} If the model was disposed of.
   * @throws {RangeError} If a weight does not fit the type.
   */
  async savePretrained(
    target: string | FolderWriter,
    options: SaveModelOptions = {},
  ): Promise<void> {
    if (this.#disposal) throw new ReferenceError("Cannot save the model: it was disposed of");
    if (typeof target === "string") {
      const { writeFolder } = await import("../files/folder_writer.ts");
      await using folder = await writeFolder(target);
      await this.savePretrained(folder, options);
      return await folder.commit();
    }
    const { dtype, signal } = options;
    checkChoice({ task: "save the model", name: "dtype" }, dtype, WEIGHT_DTYPES);
    const source = this.#parameters.toSave(this.checkpoint);
    const loaded = source === this.checkpoint ? this.#heldDType : "fp32";
    const held = dtype === undefined ? loaded : undefined;
    const { configText } = await import("./saved_config.ts");
    const config = configText(this.config.json, dtype ?? held, this.#parameters.preciseLinears);
    await target.writeText("config.json", config);
    const quantize = (name: string) => this.#parameters.quantizable.has(name);
    const names = this.#parameters.savedNames(this.checkpoint);
    const types = held === undefined
      ? dtype
      : (name: string) => this.#parameters.heldAs(name, held);
    const { saveWeights } = await import("../checkpoints/save_weights.ts");
    const how = { dtype: types, quantize, names, signal };
    await saveWeights(source, target, this.#weightsFile, how);
  }

  /** Does what `dispose` does. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.dispose();
  }
}

/** Loading the weights of models. */
function weightsTrial(models: readonly Model[]): MemoryTrial {
  return {
    what: "its weights",
    mostBytes: mostWeightBytes(models),
    run: async (backend, dtype) => {
      for (const model of models) await model.dryCopy(backend, dtype);
    },
  };
}
