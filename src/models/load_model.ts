/**
 * Making a model of its parts, or of a folder that holds them.
 *
 * @module
 */

import type { Backend } from "../backends/backend.ts";
import type { CreateBackendOptions } from "../backends/select.ts";
import type { ArraySource } from "../checkpoints/arrays.ts";
import { type Config, readConfig } from "../checkpoints/config.ts";
import { openFolder, type OpenFolderOptions } from "../checkpoints/folders.ts";
import { openWeights } from "../checkpoints/weights.ts";
import type { OnProgress } from "../files/progress.ts";
import type { ModelFolder } from "../files/source.ts";
import type { LoadModelOptions, Model, ModelConfig, ModelParts } from "./model.ts";
import { listNames, Parameters, ParameterScope } from "./parameters.ts";

/** Options of every model's `create`. */
export interface CreateModelOptions extends LoadModelOptions {
  /**
   * Whether to load the weights at once. Default true. Without them the model can report its size and be
   * saved; `load` loads them later.
   */
  readonly load?: boolean | undefined;
  /** Receives a notice if the checkpoint holds arrays that the model does not need. */
  readonly onProgress?: OnProgress | undefined;
  /**
   * Where the parameters of the model live. Default: in the form that its operations take. With
   * `TrainableParameters` they can be trained.
   */
  readonly parameters?: Parameters | undefined;
}

/** Options of every model's `fromPretrained`: how to open the folder, where to compute, and these. */
export interface ModelFromPretrainedOptions
  extends CreateModelOptions, OpenFolderOptions, CreateBackendOptions {
  /** Stops loading. */
  readonly signal?: AbortSignal | undefined;
  /**
   * Where to compute; stays the caller's. Default: a backend that the model makes, by the options of
   * `createBackend` among these, and owns.
   */
  readonly backend?: Backend | undefined;
  /** Folder inside `source`, such as `"transformer"`. Default: `source` itself. */
  readonly subfolder?: string | undefined;
  /**
   * Which of several files of weights to take: `"fp16"` for `model.fp16.safetensors`. Where there is no
   * such file, the ordinary one is taken, with a notice.
   */
  readonly variant?: string | undefined;
}

/** A class of models: what to read from a folder, and how to make a model of it. */
export interface ModelClass<M extends Model<C>, C extends ModelConfig> {
  /** Names to look for the weights under, in order of preference; they are saved under the first. */
  readonly weightFiles: readonly string[];
  /** Checks a config. */
  parseConfig(config: Config): C;
  /** The name that an array is declared under, of one that other versions gave it. Default: its own. */
  declaredName?(name: string): string;
  /** Declares the parameters. */
  new (parts: ModelParts<C>): M;
}

/**
 * Makes a model, which owns the checkpoint from then on.
 *
 * @param owned What else goes with the model. All of it is disposed of if this fails.
 * @throws {TypeError} If the config or the arrays of the checkpoint do not fit.
 */
export async function createModel<M extends Model<C>, C extends ModelConfig>(
  modelClass: ModelClass<M, C>,
  backend: Backend,
  config: Config,
  checkpoint: ArraySource,
  { load = true, parameters = new Parameters(), onProgress, ...options }: CreateModelOptions,
  owned: AsyncDisposableStack = new AsyncDisposableStack(),
): Promise<M> {
  owned.use(checkpoint);
  owned.use(parameters);
  try {
    checkpoint = await withDeclaredNames(modelClass, checkpoint);
    parameters.limitTo({ config: config.description, checkpoint });
    const model = new modelClass({
      backend,
      config: modelClass.parseConfig(config),
      checkpoint,
      scope: new ParameterScope(parameters),
      weightsFile: modelClass.weightFiles[0]!,
      owned,
    });
    const unknown = parameters.check(checkpoint);
    if (unknown.length > 0) {
      const message = `${checkpoint.description} holds arrays that are not needed: ` +
        listNames(unknown);
      onProgress?.({ type: "notice", message });
    }
    if (load) await model.load(options);
    return model;
  } catch (error) {
    await owned.disposeAsync();
    throw error;
  }
}

/** The checkpoint with the names that the model declares, whichever version wrote it. */
async function withDeclaredNames(
  { declaredName }: Pick<ModelClass<Model, ModelConfig>, "declaredName">,
  checkpoint: ArraySource,
): Promise<ArraySource> {
  if (!declaredName) return checkpoint;
  if (checkpoint.names().every((name) => declaredName(name) === name)) return checkpoint;
  const { RenamedArrays } = await import("../checkpoints/renamed_arrays.ts");
  return new RenamedArrays(checkpoint, declaredName);
}

/** Opens a folder and makes the model in it, on a backend of its own unless one is given. */
export async function loadModel<M extends Model<C>, C extends ModelConfig>(
  modelClass: ModelClass<M, C>,
  source: string | URL | ModelFolder,
  options: ModelFromPretrainedOptions,
): Promise<M> {
  const { subfolder, onProgress, variant } = options;
  const root = await openFolder(source, options);
  const folder = subfolder === undefined ? root : root.folder(subfolder);
  const config = await readConfig(folder, "config.json");
  const owned = new AsyncDisposableStack();
  try {
    const backend = options.backend ?? owned.use(await makeBackend(options));
    const { weightFiles } = modelClass;
    const checkpoint = await openWeights(folder, weightFiles, { variant, onProgress });
    const model = await createModel(modelClass, backend, config, checkpoint, options, owned);
    if (options.load !== false) onProgress?.({ type: "ready" });
    return model;
  } catch (error) {
    await owned.disposeAsync();
    throw error;
  }
}

/** Imported when it is needed, as models on a backend of the caller's do without. */
async function makeBackend(options: CreateBackendOptions): Promise<Backend> {
  const { createBackend } = await import("../backends/select.ts");
  return await createBackend(options);
}
