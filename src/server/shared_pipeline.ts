/**
 * The pipeline that all requests share, loaded by the first of them.
 *
 * @module
 */

import type { VQDiffusionPipeline } from "../pipeline/vq_diffusion_pipeline.ts";
import { Lease } from "./lease.ts";

/** Loads the pipeline, with what the runtime hands to a request. */
export type LoadPipeline<Environment> = (environment: Environment) => Promise<VQDiffusionPipeline>;

/** Milliseconds between two looks at what another request loads. */
const LOOK = 20;

/** A loading in progress, or how it ended. */
interface Loading {
  readonly lease: Lease;
  result?: { readonly pipeline: VQDiffusionPipeline } | { readonly error: unknown };
}

/** Loads a pipeline once. A loading that failed, or whose request died, is begun again by the next request. */
export class SharedPipeline<Environment> {
  readonly #load: LoadPipeline<Environment>;
  #loading: Loading | undefined;

  /** Loads nothing yet. */
  constructor(load: LoadPipeline<Environment>) {
    this.#load = load;
  }

  /**
   * The pipeline. Requests that come while it is loaded look for it from time to time, as a promise of
   * another request may never be settled.
   */
  async get(environment: Environment): Promise<VQDiffusionPipeline> {
    let loading = this.#loading ??= this.#begin(environment);
    while (loading.result === undefined) {
      await new Promise((resolve) => setTimeout(resolve, LOOK));
      if (loading.result !== undefined || !await loading.lease.isDead()) continue;
      if (this.#loading === loading) this.#loading = undefined;
      loading = this.#loading ??= this.#begin(environment);
    }
    if ("error" in loading.result) throw loading.result.error;
    return loading.result.pipeline;
  }

  #begin(environment: Environment): Loading {
    const loading: Loading = { lease: new Lease() };
    void this.#finish(loading, environment);
    return loading;
  }

  async #finish(loading: Loading, environment: Environment): Promise<void> {
    try {
      loading.result = { pipeline: await this.#load(environment) };
    } catch (error) {
      loading.result = { error };
      if (this.#loading === loading) this.#loading = undefined;
    } finally {
      loading.lease.end();
    }
  }
}
