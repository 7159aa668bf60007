/**
 * The components that a pipeline works with: who owns them, and what takes their place when a GPU is lost.
 *
 * @module
 */

import type { Backend } from "../backends/backend.ts";
import { DeviceLostError, WorkerFailedError } from "../backends/errors.ts";
import { createBackend } from "../backends/select.ts";
import { openFolder } from "../checkpoints/folders.ts";
import type { ModelFolder } from "../files/source.ts";
import { embeddedModelUrl, openEmbeddedModel } from "./embedded_model.ts";
import {
  type ComponentUser,
  disposeComponents,
  type LoadedComponents,
  type PipelineParts,
} from "./components.ts";
import {
  checkLoadOptions,
  linkedSignal,
  type PipelineFromPretrainedOptions,
} from "./load_options.ts";

/** It is stored as int8 to be small; computing in float32 gives one image for a seed on every device. */
const EMBEDDED_DTYPE = "fp32";

/**
 * Loads components on the CPU.
 *
 * @param reason Why, for `device.reason`.
 * @param owned Takes what was made.
 */
type LoadOnCpu<C> = (reason: string, owned: AsyncDisposableStack) => Promise<C>;

/** Where the components of a session come from. */
interface Origin<C> {
  /** Their folder. */
  readonly folder: ModelFolder;
  /** Loads others from there when the GPU is lost. */
  readonly loadOnCpu: LoadOnCpu<C>;
}

/**
 * Components in use. If they were loaded from a folder and their GPU is lost, they are loaded from there
 * again to compute on the CPU; whoever uses them meanwhile goes on with those.
 */
export class Session<C extends PipelineParts = PipelineParts> implements ComponentUser<C> {
  /** Undefined once the session was disposed of, which may still be referenced. */
  #components: C | undefined;
  #backend: Backend;
  /** Frees what the session owns. */
  readonly #owned: AsyncDisposableStack;
  #origin: Origin<C> | undefined;
  #move: Promise<void> | undefined;
  #disposal: Promise<void> | undefined;

  /**
   * A session with components that stay the caller's.
   *
   * @param owned What is freed with the session.
   * @param origin Where they come from. Default: nowhere; the loss of a GPU is passed on.
   */
  constructor(
    components: C,
    owned: AsyncDisposableStack = new AsyncDisposableStack(),
    origin?: Origin<C>,
  ) {
    this.#components = components;
    this.#backend = components.transformer.backend;
    this.#owned = owned;
    this.#origin = origin;
  }

  /** Loads components, which the session owns; see `VQDiffusionPipeline.fromPretrained`. */
  static async load(
    given: string | URL | ModelFolder | undefined,
    options: PipelineFromPretrainedOptions = {},
  ): Promise<Session<LoadedComponents>> {
    const source = given === undefined ? embeddedModelUrl() : given;
    checkLoadOptions(source, options);
    if (given === undefined) options = { ...options, dtype: options.dtype ?? EMBEDDED_DTYPE };
    options.signal?.throwIfAborted();
    using loading = linkedSignal(options.signal);
    const { signal } = loading;
    await using owned = new AsyncDisposableStack();
    const how = { ...options, signal };
    const opening = given === undefined ? openEmbeddedModel(how) : openFolder(source, how);
    // Waited for below, or not at all if there is no backend.
    opening.catch(() => {});
    const backend = options.backend ?? owned.use(await createBackend(options));
    const folder = await opening;
    const load = async (backend: Backend, owner: AsyncDisposableStack, signal?: AbortSignal) => {
      const { loadComponents } = await import("./load_components.ts");
      const { dtype, variant, onProgress } = options;
      const how = { dtype, variant, onProgress, signal };
      const components = await loadComponents(folder, backend, how);
      owner.defer(() => disposeComponents(components));
      return components;
    };
    const components = await load(backend, owned, signal);
    options.onProgress?.({ type: "ready" });
    const loadOnCpu = async (reason: string, owner: AsyncDisposableStack) => {
      const cpu = owner.use(await createBackend({ ...options, device: "wasm", reason }));
      return await load(cpu, owner);
    };
    return new Session(components, owned.move(), { folder, loadOnCpu });
  }

  /** The folder that the components were loaded from, if they were. */
  get folder(): ModelFolder | undefined {
    return this.#origin?.folder;
  }

  /**
   * The components to use now.
   *
   * @throws {ReferenceError} If the session was disposed of.
   */
  get components(): C {
    if (this.#disposal || this.#components === undefined) {
      throw new ReferenceError("Cannot use the pipeline: it was disposed of");
    }
    return this.#components;
  }

  /** Where the components compute, also after the session was disposed of. */
  get backend(): Backend {
    return this.#backend;
  }

  /**
   * Calls `task` with the components, and again with others if their device is lost, or with the same if
   * a thread failed. It has to begin anew with what it is given.
   */
  async use<T>(task: (components: C) => Promise<T>): Promise<T> {
    const { components } = this;
    try {
      return await task(components);
    } catch (error) {
      // Its backend has new threads, and nothing of what the task read was lost.
      if (error instanceof WorkerFailedError) return await task(components);
      if (!(error instanceof DeviceLostError) || this.#origin === undefined) throw error;
      // Several tasks may notice the loss; the first replaces the components.
      if (components === this.components) {
        this.#move ??= this.#moveToCpu(error, this.#origin.loadOnCpu);
      }
      await this.#move;
      return await task(this.components);
    }
  }

  /** Frees what the session owns. Calls after the first wait for the first. */
  dispose(): Promise<void> {
    return this.#disposal ??= this.#dispose();
  }

  async #dispose(): Promise<void> {
    await this.#move?.catch(() => {});
    await this.#owned.disposeAsync();
    this.#components = undefined;
    this.#origin = undefined;
  }

  async #moveToCpu(error: DeviceLostError, loadOnCpu: LoadOnCpu<C>): Promise<void> {
    try {
      // What was lost is freed with the rest: other tasks have yet to notice the loss.
      this.#components = await loadOnCpu(error.message.replace(/^The/, "the"), this.#owned);
      this.#backend = this.#components.transformer.backend;
    } finally {
      this.#move = undefined;
    }
  }
}
