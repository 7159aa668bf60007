/**
 * A model that is trained: its components, and which of their parameters change.
 *
 * @module
 */

import type { Backend } from "../backends/backend.ts";
import { createBackend, type CreateBackendOptions } from "../backends/select.ts";
import { openFolder, type OpenFolderOptions } from "../checkpoints/folders.ts";
import { KnownNames, NAMES_FILE, readKnownNames } from "../conditioning/known_names.ts";
import type { FolderWriter } from "../files/folder_writer.ts";
import type { ModelFolder } from "../files/source.ts";
import type { SaveModelOptions } from "../models/model.ts";
import {
  disposeComponents,
  type LoadedComponents,
  type PipelineComponents,
} from "../pipeline/components.ts";
import { withoutStyles } from "../pipeline/generation_config.ts";
import { loadComponents } from "../pipeline/load_components.ts";
import { savePipeline } from "../pipeline/save_pipeline.ts";
import { embeddedModelUrl } from "../pipeline/embedded_model.ts";
import { TrainableParameters, type TrainableTensor } from "./trainable_parameters.ts";

/** Options of {@linkcode TrainableModel.fromPretrained}. */
export interface TrainableModelOptions extends OpenFolderOptions, CreateBackendOptions {
  /** Where to compute, if that is there already; it stays the caller's. */
  readonly backend?: Backend | undefined;
  /** Whether the text encoder is trained along. Default false: it stays as it is. */
  readonly trainTextEncoder?: boolean | undefined;
}

/** The parameters that change, by component. */
export interface TrainedComponents {
  /** Those of the transformer. */
  readonly transformer: TrainableParameters;
  /** Those of what stands for no prompt; none where nothing is learned for that. */
  readonly learnedClassifierFreeSamplingEmbeddings: TrainableParameters;
  /** Those of the text encoder, if it is trained along. */
  readonly textEncoder?: TrainableParameters | undefined;
}

/** What a model consists of. */
interface Parts {
  readonly components: PipelineComponents;
  readonly parameters: TrainedComponents;
  readonly names: KnownNames | undefined;
  readonly description: string;
  readonly owned: AsyncDisposableStack;
}

/**
 * A pipeline whose transformer is trained, and with it what it has learned for no prompt; the text encoder
 * too, if that is asked for. The autoencoder stays as it is.
 */
export class TrainableModel implements AsyncDisposable {
  /** The components, to record losses of; to draw with them, save them and load what was saved. */
  readonly components: PipelineComponents;
  /** Parameters of the components that are trained. */
  readonly parameters: TrainedComponents;
  /** What it was loaded from: a path or URL. */
  readonly description: string;
  readonly #names: KnownNames | undefined;
  readonly #owned: AsyncDisposableStack;

  private constructor({ components, parameters, names, description, owned }: Parts) {
    this.components = components;
    this.parameters = parameters;
    this.description = description;
    this.#names = names;
    this.#owned = owned;
  }

  /**
   * Loads a model in the layout of diffusers, in float32.
   *
   * @param source A folder, URL, hub id or open folder, as of `VQDiffusionPipeline.fromPretrained`.
   *   Default: the embedded model.
   * @throws {MissingFileError} If a file is not there.
   * @throws {TypeError} If a file is damaged or not that of a VQ-Diffusion pipeline.
   * @throws {RangeError} If components do not fit each other, or the memory of the device.
   */
  static async fromPretrained(
    source: string | URL | ModelFolder = embeddedModelUrl(),
    options: TrainableModelOptions = {},
  ): Promise<TrainableModel> {
    const { signal, onProgress } = options;
    await using owned = new AsyncDisposableStack();
    const folder = await openFolder(source, options);
    const backend = options.backend ?? owned.use(await createBackend(options));
    const parameters = {
      transformer: new TrainableParameters(),
      learnedClassifierFreeSamplingEmbeddings: new TrainableParameters(),
      ...(options.trainTextEncoder && { textEncoder: new TrainableParameters() }),
    };
    const how = { dtype: "fp32", parameters, onProgress, signal } as const;
    const loaded = await loadComponents(folder, backend, how);
    owned.defer(() => disposeComponents(loaded));
    // Captions are learned as they stand, and so are prompts to be drawn.
    const { generationConfig } = loaded;
    const components = generationConfig?.styles === undefined
      ? loaded
      : { ...loaded, generationConfig: withoutStyles(generationConfig) };
    if (!drawsFromText(components)) {
      throw new TypeError(
        `Cannot train ${folder.description}: it does not draw from text, expected a model that does`,
      );
    }
    const names = await readKnownNames(folder);
    const { description } = folder;
    return new TrainableModel({ components, parameters, names, description, owned: owned.move() });
  }

  /** Where it computes. */
  get backend(): Backend {
    return this.components.transformer.backend;
  }

  /** All parameters that are trained, by names that no two have in common. */
  get tensors(): ReadonlyMap<string, TrainableTensor> {
    const named = (component: string, { tensors }: TrainableParameters) =>
      tensors.map((tensor) => [`${component}.${tensor.arrays[0]![0]}`, tensor] as const);
    return new Map(Object.entries(this.parameters).flatMap(([name, own]) => named(name, own)));
  }

  /**
   * Saves all components in the layout of diffusers, with the parameters as they are.
   *
   * @param target Path of a folder, in which files are replaced when all are complete; or a new folder that
   *   is being written, such as one in memory.
   * @param learned What the model has learned to draw beside the names that it knew, if it has such.
   */
  async savePretrained(
    target: string | FolderWriter,
    { learned = [], ...options }: SaveModelOptions & { readonly learned?: readonly string[] } = {},
  ): Promise<void> {
    const names = this.#names && withNames(this.#names, learned);
    await savePipeline({ components: this.components, names }, target, options);
  }

  /** Frees the memory. */
  async dispose(): Promise<void> {
    await this.#owned.disposeAsync();
  }

  /** Frees the memory. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.dispose();
  }
}

function drawsFromText(components: LoadedComponents): components is PipelineComponents {
  const { tokenizer, textEncoder, learnedClassifierFreeSamplingEmbeddings: learned } = components;
  return [tokenizer, textEncoder, learned].every((component) => component !== undefined);
}

/** Category of the names that were learned. */
const LEARNED = "Trained";

/** Most names that are learned: more would make a long file. */
const MOST_LEARNED = 10_000;

/** Names and those that were learned. */
function withNames(names: KnownNames, learned: readonly string[]): KnownNames {
  const all = new Set([...names.categories[LEARNED] ?? [], ...learned.slice(0, MOST_LEARNED)]);
  const lists = { ...names.categories, [LEARNED]: [...all] };
  return new KnownNames({ description: NAMES_FILE, values: { ...names.json, names: lists } });
}
