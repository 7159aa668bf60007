/**
 * The components that a pipeline works with: who owns them, and what takes their place when a GPU is lost.
 *
 * @module
 */

import type { Backend } from "../backends/backend.ts";
import { DeviceLostError } from "../backends/errors.ts";
import { createBackend } from "../backends/select.ts";
import { openFolder } from "../checkpoints/folders.ts";
import type { ModelFolder } from "../files/source.ts";
import { disposeComponents, type PipelineComponents, type PipelineParts } from "./components.ts";
import { loadComponents } from "./load_components.ts";
import {
  checkLoadOptions,
  linkedSignal,
  type PipelineFromPretrainedOptions,
} from "./load_options.ts";

/** The embedded model, below the code; as a constant, so that bundlers take it for no file of theirs. */
const EMBEDDED_MODEL = "../../weights/";
/** It is stored as int8 to be small; computing in float32 gives one image for a seed on every device. */
const EMBEDDED_DTYPE = "fp32";

/**
 * Where the embedded model lies: beside the code, whether that is on disk or behind a URL.
 *
 * @throws {TypeError} If the code has no URL, as in runtimes that are given a bundle.
 */
function embeddedModel(): URL {
  const here: string | undefined = import.meta.url;
  if (here !== undefined && URL.canParse(EMBEDDED_MODEL, here)) {
    return new URL(EMBEDDED_MODEL, here);
  }
  throw new TypeError(
    "Cannot load a pipeline: source is undefined, expected a folder or a URL, as the code has no URL " +
      "here that the embedded model could lie beside",
  );
}

/**
 * Loads components on the CPU.
 *
 * @param reason Why, for `device.reason`.
 * @param owned Takes what was made.
 */
type LoadOnCpu<C> = (reason: string, owned: AsyncDisposableStack) => Promise<C>;

/**
 * Components in use. If they were loaded from a folder and their GPU is lost, they are loaded from there
 * again to compute on the CPU; whoever uses them meanwhile goes on with those.
 */
export class Session<C extends PipelineParts = PipelineParts> {
  #components: C;
  /** Frees what the session owns. */
  readonly #owned: AsyncDisposableStack;
  readonly #loadOnCpu: LoadOnCpu<C> | undefined;
  #move: Promise<void> | undefined;
  #disposal: Promise<void> | undefined;

  /**
   * A session with components that stay the caller's.
   *
   * @param owned What is freed with the session.
   * @param loadOnCpu Loads others when the GPU is lost. Default: the error is passed on.
   */
  constructor(
    components: C,
    owned: AsyncDisposableStack = new AsyncDisposableStack(),
    loadOnCpu?: LoadOnCpu<C>,
  ) {
    this.#components = components;
    this.#owned = owned;
    this.#loadOnCpu = loadOnCpu;
  }

  /** Loads components, which the session owns; see `VQDiffusionPipeline.fromPretrained`. */
  static async load(
    given: string | URL | ModelFolder | undefined,
    options: PipelineFromPretrainedOptions = {},
  ): Promise<Session<PipelineComponents>> {
    const source = given === undefined ? embeddedModel() : given;
    checkLoadOptions(source, options);
    if (given === undefined) options = { ...options, dtype: options.dtype ?? EMBEDDED_DTYPE };
    options.signal?.throwIfAborted();
    using loading = linkedSignal(options.signal);
    const { signal } = loading;
    await using owned = new AsyncDisposableStack();
    const opening = openFolder(source, { ...options, signal });
    // Waited for below, or not at all if there is no backend.
    opening.catch(() => {});
    const backend = options.backend ?? owned.use(await createBackend(options));
    const folder = await opening;
    const load = async (backend: Backend, owner: AsyncDisposableStack, signal?: AbortSignal) => {
      const components = await loadComponents(folder, backend, { dtype: options.dtype, signal });
      owner.defer(() => disposeComponents(components));
      return components;
    };
    const components = await load(backend, owned, signal);
    options.onProgress?.({ type: "ready" });
    return new Session(components, owned.move(), async (reason, owner) => {
      const cpu = owner.use(await createBackend({ ...options, device: "wasm", reason }));
      return await load(cpu, owner);
    });
  }

  /**
   * The components to use now.
   *
   * @throws {ReferenceError} If the session was disposed of.
   */
  get components(): C {
    if (this.#disposal) throw new ReferenceError("Cannot use the pipeline: it was disposed of");
    return this.#components;
  }

  /** Where the components compute, also after the session was disposed of. */
  get backend(): Backend {
    return this.#components.transformer.backend;
  }

  /** Calls `task` with the components, and again with others if their device is lost. */
  async use<T>(task: (components: C) => Promise<T>): Promise<T> {
    const { components } = this;
    try {
      return await task(components);
    } catch (error) {
      if (!(error instanceof DeviceLostError) || this.#loadOnCpu === undefined) throw error;
      // Several tasks may notice the loss; the first replaces the components.
      if (components === this.components) this.#move ??= this.#moveToCpu(error, this.#loadOnCpu);
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
  }

  async #moveToCpu(error: DeviceLostError, loadOnCpu: LoadOnCpu<C>): Promise<void> {
    try {
      // What was lost is freed with the rest: other tasks have yet to notice the loss.
      this.#components = await loadOnCpu(error.message.replace(/^The/, "the"), this.#owned);
    } finally {
      this.#move = undefined;
    }
  }
}
