/**
 * A job: pictures that somebody has asked for, from the queue to the result.
 *
 * @module
 */

import type { RasterImage } from "../images/raster_image.ts";
import type { GenerationValues } from "../pipeline/generation_parameters.ts";
import type { PictureOptions } from "../pipeline/picture_options.ts";

/** What a job is to draw. */
export interface JobRequest {
  /** What the pictures show; undefined for variations of `picture`. */
  readonly prompt: string | undefined;
  /** The picture to start from and its mask, as small as they are drawn. Default: none. */
  readonly picture?: PictureOptions | undefined;
  /** All parameters of the generation, the seed of the first picture included. */
  readonly values: GenerationValues & { readonly seed: bigint };
  /** Steps from one preview to the next; 0 for none. */
  readonly previewSteps: number;
}

/** Pictures as they are after a step. */
export interface Preview {
  /** The step, the first being 1. */
  readonly step: number;
  /** One for each picture of the job. */
  readonly images: readonly RasterImage[];
}

/** How far a job is. */
export type JobState =
  | { readonly status: "queued"; readonly ahead: number }
  | {
    readonly status: "running";
    /** Steps that are done. */
    readonly step: number;
    /** Steps in all. */
    readonly steps: number;
    /** The newest preview. */
    readonly preview: Preview | undefined;
  }
  | { readonly status: "done"; readonly images: readonly RasterImage[] }
  | { readonly status: "failed"; readonly error: unknown }
  | { readonly status: "cancelled" };

/** Whether nothing more will happen to a job in this state. */
export function isOver({ status }: JobState): boolean {
  return status !== "queued" && status !== "running";
}

/**
 * A job in a queue. It holds its newest state and no others, so that its memory is bounded however slowly
 * somebody watches.
 */
export class Job {
  /** What to draw. */
  readonly request: JobRequest;
  /** Whose job it is; clients are served in turn. */
  readonly client: string;
  readonly #cancelled = new AbortController();
  readonly #onCancel: (job: Job) => void;
  #state: JobState = { status: "queued", ahead: 0 };
  #changed: PromiseWithResolvers<void> = Promise.withResolvers();

  /** @param onCancel Called when the job is cancelled before it is over. */
  constructor(request: JobRequest, client: string, onCancel: (job: Job) => void) {
    this.request = request;
    this.client = client;
    this.#onCancel = onCancel;
  }

  /** How far it is. */
  get state(): JobState {
    return this.#state;
  }

  /** Aborted when the job is cancelled. */
  get signal(): AbortSignal {
    return this.#cancelled.signal;
  }

  /** Sets the state, unless the job is over. */
  report(state: JobState): void {
    if (isOver(this.#state)) return;
    this.#state = state;
    const changed = this.#changed;
    this.#changed = Promise.withResolvers();
    changed.resolve();
  }

  /** Gives the job up: nobody waits for it. Its place is free at once. */
  cancel(): void {
    if (isOver(this.#state)) return;
    this.report({ status: "cancelled" });
    this.#cancelled.abort();
    this.#onCancel(this);
  }

  /**
   * Gives the state and each new one, the last being the one in which the job is over. States that come
   * and go while nobody asks are left out.
   */
  async *states(): AsyncGenerator<JobState, void, void> {
    for (;;) {
      const state = this.#state;
      yield state;
      if (isOver(state)) return;
      if (this.#state === state) await this.#changed.promise;
    }
  }

  /** Waits until the job is over. */
  async finished(): Promise<JobState> {
    for await (const _ of this.states());
    return this.#state;
  }
}
