/**
 * What all models share: loading from a folder, and who owns what.
 *
 * @module
 */

import { WEIGHT_DTYPES, type WeightDType } from "../base/dtypes.ts";
import type { Backend, DeviceType } from "../backends/backend.ts";
import { createBackend } from "../backends/select.ts";
import { type Config, readConfig } from "../checkpoints/config.ts";
import type { ArraySource } from "../checkpoints/arrays.ts";
import { type FolderWriter, writeFolder } from "../files/folder_writer.ts";
import { openFolder, type OpenFolderOptions } from "../checkpoints/folders.ts";
import { quantizationConfig } from "../checkpoints/quantization_config.ts";
import type { ModelFolder } from "../files/source.ts";
import { openWeights } from "../checkpoints/weights.ts";
import { checkMemory } from "./memory_check.ts";
import { ModelWeights } from "./model_weights.ts";

/** Options of every model's `create`. */
export interface CreateModelOptions {
  /**
   * How the weights of linear layers are held: float32, float16, or int8 with one scale for each
   * row. Default: as stored. Convolutions, embeddings and norms are always held in float32.
   */
  readonly dtype?: WeightDType | undefined;
  /**
   * Whether to load the weights at once. Default true. Without them the model can tell its size and be
   * saved; {@linkcode Model.load} loads them later.
   */
  readonly load?: boolean | undefined;
  /** Stops loading. */
  readonly signal?: AbortSignal | undefined;
}

/** Options of {@linkcode Model.load}. */
export type LoadModelOptions = Pick<CreateModelOptions, "dtype" | "signal">;

/** Options of every model's `fromPretrained`: those of opening a folder, and these. */
export interface ModelFromPretrainedOptions extends CreateModelOptions, OpenFolderOptions {
  /** Stops loading. */
  readonly signal?: AbortSignal | undefined;
  /** Where to compute; stays the caller's. Default: one that the model makes and owns. */
  readonly backend?: Backend | undefined;
  /** Device of the backend that is made. Default `"auto"`. */
  readonly device?: DeviceType | "auto" | undefined;
  /** Threads of the backend that is made. Default: as many as there are processors. */
  readonly threads?: number | undefined;
  /** Folder inside `source`, such as `"transformer"`. Default: `source` itself. */
  readonly subfolder?: string | undefined;
}

/** Options of every model's `savePretrained`. */
export interface SaveModelOptions {
  /** How to store the weights; int8 is for those linear layers only that tolerate it. Default: as loaded. */
  readonly dtype?: WeightDType | undefined;
  /** Stops saving; nothing is written then. */
  readonly signal?: AbortSignal | undefined;
}

/** A config that was read. */
export interface ModelConfig {
  /** The config as it was read. */
  readonly json: Readonly<Record<string, unknown>>;
}

/** A network with its config and weights. */
export abstract class Model<C extends ModelConfig = ModelConfig> implements AsyncDisposable {
  /** Where it computes. */
  readonly backend: Backend;
  /** The checked config. */
  readonly config: C;
  /** The checkpoint it was loaded from, whose arrays can be read again. */
  readonly weights: ArraySource;
  /**
   * The weights on the device.
   *
   * @ignore For the models only.
   */
  protected readonly memory: ModelWeights = new ModelWeights();
  /**
   * Name of the file that weights are saved in.
   *
   * @ignore For the models only.
   */
  protected abstract readonly weightsFile: string;
  #ownedBackend: Backend | undefined;
  #ignored: RegExp | undefined;
  #loading: Promise<void> | undefined;
  #disposal: Promise<void> | undefined;

  /** @ignore Models are made by `create` and `fromPretrained`. */
  constructor(backend: Backend, config: C, weights: ArraySource) {
    this.backend = backend;
    this.config = config;
    this.weights = weights;
  }

  /** Number of parameters. */
  get parameters(): number {
    return this.memory.parameters;
  }

  /**
   * Bytes of the device's memory that the weights take, about.
   *
   * @param dtype How those of linear layers are held. Default: as stored.
   */
  memoryBytes(dtype?: WeightDType): number {
    return this.memory.bytes(this.weights, dtype);
  }

  /**
   * Loads the weights, if the model was made without. Does nothing if they are loaded.
   *
   * @throws {RangeError} If they do not fit in the memory of the device, before any is taken.
   * @throws {ReferenceError} If the model was disposed of.
   */
  async load(options: LoadModelOptions = {}): Promise<void> {
    if (this.#disposal) throw new ReferenceError("Cannot load the model: it was disposed of");
    this.#loading ??= this.#load(options);
    try {
      await this.#loading;
    } catch (error) {
      this.#loading = undefined;
      throw error;
    }
  }

  async #load({ dtype, signal }: LoadModelOptions): Promise<void> {
    checkDType(dtype);
    checkMemory(this.weights.description, this.backend, dtype, (type) => this.memoryBytes(type));
    await this.memory.load(this.backend, this.weights, { dtype, signal }, this.#ignored);
    this.weights.release();
  }

  /**
   * Gives back the memory of the weights, closes the checkpoint, and frees the backend if the model
   * made it. Calls after the first wait for the first.
   */
  dispose(): Promise<void> {
    return this.#disposal ??= this.#dispose();
  }

  async #dispose(): Promise<void> {
    this.memory.dispose();
    await this.weights[Symbol.asyncDispose]();
    await this.#ownedBackend?.dispose();
  }

  /**
   * Saves config and weights in the layout they are loaded from. The weights are those of the
   * checkpoint, read again array by array.
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
      await using folder = await writeFolder(target);
      await this.savePretrained(folder, options);
      return await folder.commit();
    }
    const { dtype, signal } = options;
    checkDType(dtype);
    const config = configToSave(this.config.json, dtype, this.memory.preciseLinears);
    await target.writeText("config.json", `${JSON.stringify(config, null, 2)}\n`);
    const quantize = (name: string) => this.memory.quantizable.has(name);
    const { saveWeights } = await import("../checkpoints/save_weights.ts");
    await saveWeights(this.weights, target, this.weightsFile, { dtype, quantize, signal });
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
  protected static async open<M extends Model>(
    source: string | URL | ModelFolder,
    options: ModelFromPretrainedOptions,
    names: readonly string[],
    create: (backend: Backend, config: Config, weights: ArraySource) => Promise<M>,
  ): Promise<M> {
    const { subfolder, device, threads } = options;
    const root = await openFolder(source, options);
    const folder = subfolder === undefined ? root : root.folder(subfolder);
    const config = await readConfig(folder, "config.json");
    const owned = options.backend ? undefined : await createBackend({
      ...(device !== undefined && { device }),
      ...(threads !== undefined && { threads }),
    });
    try {
      const weights = await openWeights(folder, names);
      const model = await create(options.backend ?? owned!, config, weights);
      model.#ownedBackend = owned;
      options.onProgress?.({ type: "ready" });
      return model;
    } catch (error) {
      await owned?.dispose();
      throw error;
    }
  }

  /**
   * Loads the weights that a model's constructor declared, or only checks that they are there; closes
   * the checkpoint if that fails.
   *
   * @param make Calls the constructor.
   * @param ignored Names of arrays that the checkpoint may hold without need.
   */
  protected static async loaded<M extends Model>(
    weights: ArraySource,
    make: () => M,
    options: CreateModelOptions,
    ignored?: RegExp,
  ): Promise<M> {
    try {
      checkDType(options.dtype);
      const model = make();
      model.#ignored = ignored;
      model.memory.check(weights, ignored);
      if (options.load !== false) await model.load(options);
      return model;
    } catch (error) {
      await weights[Symbol.asyncDispose]();
      throw error;
    }
  }
}

function checkDType(dtype: WeightDType | undefined): void {
  if (dtype === undefined || WEIGHT_DTYPES.includes(dtype)) return;
  throw new RangeError(`dtype is ${JSON.stringify(dtype)}, expected "fp32", "fp16" or "q8"`);
}

/** @param ignored Names of linear layers that are not stored in int8. */
function configToSave(
  json: Readonly<Record<string, unknown>>,
  dtype: WeightDType | undefined,
  ignored: readonly string[],
): Record<string, unknown> {
  const { quantization_config: stored, ...config } = json;
  if (dtype === "q8") return { ...config, quantization_config: quantizationConfig(ignored) };
  return dtype === undefined && stored !== undefined ? { ...json } : config;
}
