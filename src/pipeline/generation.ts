/**
 * A generation: from the first tokens to those of an image, step by step.
 *
 * @module
 */

import type { RunOptions, Tensor } from "../backends/backend.ts";
import { type Conditioning, encodeCondition, recordCondition } from "../conditioning/condition.ts";
import type { SamplingStep } from "../schedulers/sampling_plan.ts";
import type { RecordedStep } from "../schedulers/scheduler.ts";
import type { ComponentUser, PipelineParts } from "./components.ts";
import { type GenerationRequest, isGuided } from "./generation_request.ts";
import type { InitialTokens } from "./starting_point.ts";
import { type HeldTokens, hold } from "./held_tokens.ts";
import { type NoisePosition, NoiseSource } from "./noise_source.ts";

/** The state after a step. */
export interface GenerationState {
  /** Index of the step, from 0. */
  readonly step: number;
  /** The timestep that the network was given. */
  readonly timestep: number;
  /** Reads the tokens (images · pixels) into an array of the caller's; only before the next step. */
  tokens(): Promise<Int32Array>;
}

/**
 * Goes through the steps of a plan. A step predicts log p(x_0), applies guidance, truncation and the
 * posterior, and draws the tokens that it leads to (Gu et al., algorithm 2).
 *
 * If the device is lost, goes on with the session's other components from the tokens that were read
 * last, with the same noise: the result is the same.
 */
export async function* generateTokens(
  session: ComponentUser,
  request: GenerationRequest,
  initial: InitialTokens,
): AsyncGenerator<GenerationState, void, void> {
  const conditioning = await session.use((components) => {
    return encodeCondition(components, request.condition);
  });
  using generation = new Generation(session, request, initial, conditioning);
  for (const [step, { timestep }] of request.plan.steps.entries()) {
    await generation.goTo(step + 1);
    yield { step, timestep, tokens: () => generation.readTokens(step + 1) };
  }
}

/** A generation in progress, on whichever components the session has. */
class Generation implements Disposable {
  readonly #session: ComponentUser;
  readonly #request: GenerationRequest;
  readonly #held: HeldTokens | undefined;
  readonly #conditioning: Conditioning;
  readonly #noise: NoiseSource;
  /** The last tokens that were read, after so many steps, and where the noise of the next step begins. */
  #known: { done: number; tokens: Int32Array; position: NoisePosition };
  /** The steps on a device. */
  #run: DenoisingRun | undefined;
  /** Frees the memory, also of a generation that nobody goes on with: an abort may come from elsewhere. */
  readonly #free = () => {
    this.#run?.[Symbol.dispose]();
    this.#run = undefined;
  };

  constructor(
    session: ComponentUser,
    request: GenerationRequest,
    { tokens, held }: InitialTokens,
    conditioning: Conditioning,
  ) {
    const { scheduler, plan: { steps }, generator, batch, pixels } = request;
    this.#session = session;
    this.#request = request;
    this.#held = held;
    this.#conditioning = conditioning;
    const sizes = { batch, pixels };
    this.#noise = new NoiseSource({ scheduler, steps, sizes, generator });
    this.#known = { done: 0, tokens, position: this.#noise.position(0) };
    request.signal?.addEventListener("abort", this.#free);
  }

  /** Goes on until so many steps are done. */
  async goTo(done: number): Promise<void> {
    await this.#session.use((components) => this.#advance(components, done));
  }

  /** Tokens after so many steps, which are the last that were done. */
  async readTokens(done: number): Promise<Int32Array> {
    if (this.#known.done !== done) {
      await this.#session.use(async (components) => {
        await this.#remember(await this.#advance(components, done));
      });
    }
    return this.#known.tokens.slice();
  }

  [Symbol.dispose](): void {
    this.#request.signal?.removeEventListener("abort", this.#free);
    this.#free();
  }

  /** Goes on on these components. What a failed run leaves in their memory is not used again. */
  async #advance(components: PipelineParts, done: number): Promise<DenoisingRun> {
    try {
      return await this.#stepTo(components, done);
    } catch (error) {
      this.#run?.[Symbol.dispose]();
      this.#run = undefined;
      throw error;
    }
  }

  async #stepTo(components: PipelineParts, done: number): Promise<DenoisingRun> {
    const { signal, plan } = this.#request;
    let run = await this.#runOn(components);
    while (run.done < done) {
      signal?.throwIfAborted();
      const index = run.done;
      if (run.guided !== this.#isGuided(index)) {
        await this.#remember(run);
        run = await this.#begin(components);
      }
      const running = run.step(plan.steps[index]!, this.#noise.take(index), { signal });
      try {
        // While the device computes, the noise of the next step is drawn here.
        this.#noise.drawAhead(index + 1);
      } finally {
        await running;
      }
      // A generator that cannot be set back leaves no way to repeat steps.
      if (!this.#noise.canRewind) await this.#remember(run);
    }
    return run;
  }

  /** The run on these components. */
  async #runOn(components: PipelineParts): Promise<DenoisingRun> {
    this.#request.signal?.throwIfAborted();
    if (this.#run?.components === components) return this.#run;
    this.#noise.rewind(this.#known.position);
    return await this.#begin(components);
  }

  /** Begins a run where the tokens are known. */
  async #begin(components: PipelineParts): Promise<DenoisingRun> {
    const { tokens, done } = this.#known;
    // Its memory is free before the other one takes any.
    this.#run?.[Symbol.dispose]();
    const conditioning = this.#conditioning;
    const options = { held: this.#held, conditioning, guided: this.#isGuided(done) };
    const run = new DenoisingRun(components, this.#request, options);
    this.#run = run;
    await run.begin(tokens, done, { signal: this.#request.signal });
    return run;
  }

  #isGuided(index: number): boolean {
    const step = this.#request.plan.steps[index];
    return step !== undefined && isGuided(this.#request, step);
  }

  async #remember(run: DenoisingRun): Promise<void> {
    this.#request.signal?.throwIfAborted();
    const { done } = run;
    const tokens = await run.tokens.data();
    this.#known = { done, tokens, position: this.#noise.position(done) };
  }
}

/** What a run is like. */
interface RunKind {
  /** Tokens that no step changes. */
  readonly held: HeldTokens | undefined;
  /** What images are drawn from, and with guidance in any step what stands for none before it. */
  readonly conditioning: Conditioning;
  /** Whether its steps are guided. */
  readonly guided: boolean;
}

/** Steps as they are recorded on the device of some components: either guided or not. */
class DenoisingRun implements Disposable {
  readonly components: PipelineParts;
  /** Tokens (images, pixels), replaced by every step. */
  readonly tokens: Tensor<"i32">;
  /** Whether its steps are guided. */
  readonly guided: boolean;
  /** Tokens that no step changes. */
  readonly #held: HeldTokens | undefined;
  readonly #frames: DisposableStack;
  readonly #timestep: Tensor<"i32">;
  readonly #step: RecordedStep;
  readonly #prepare: (options: RunOptions) => Promise<void>;
  #done = 0;

  constructor(
    components: PipelineParts,
    request: GenerationRequest,
    { held, conditioning, guided }: RunKind,
  ) {
    const { batch, pixels, scheduler, plan, truncationRate, topK } = request;
    const guidanceScale = guided ? request.guidanceScale : undefined;
    const { transformer } = components;
    this.components = components;
    this.guided = guided;
    this.#held = held;
    using frames = new DisposableStack();
    // What all steps share is computed once, on a frame of its own.
    const shared = frames.use(transformer.backend.frame());
    // The conditional ones are the last.
    const sequences = guided ? 2 * batch : batch;
    const context = recordCondition(shared, transformer, { conditioning, sequences });
    this.#prepare = (options) => shared.run(options);

    const frame = frames.use(transformer.backend.frame());
    const sample = frame.empty([batch, pixels], "i32");
    const timestep = frame.empty([1], "i32");
    const logProbs = transformer.record(frame, { sample, context, timestep });
    const inputs = { plan, logProbs, tokens: sample, guidanceScale, truncationRate, topK };
    this.#step = scheduler.recordStep(frame, inputs);
    this.tokens = sample;
    this.#timestep = timestep;
    this.#frames = frames.move();
  }

  /** Number of steps that are done. */
  get done(): number {
    return this.#done;
  }

  /** Begins with tokens that are there after so many steps. */
  async begin(tokens: Int32Array, done: number, options: RunOptions): Promise<void> {
    await this.#prepare(options);
    options.signal?.throwIfAborted();
    this.tokens.write(tokens);
    this.#done = done;
  }

  /** Takes a step. Submits it before the first wait. */
  async step(step: SamplingStep, noise: Float32Array, options: RunOptions): Promise<void> {
    this.#timestep.write(Int32Array.of(step.timestep));
    this.#step.write(step, noise);
    await this.#step.run(options);
    if (this.#held !== undefined) {
      const tokens = await this.tokens.data();
      hold(tokens, this.#held);
      this.tokens.write(tokens);
    }
    this.#done++;
  }

  [Symbol.dispose](): void {
    this.#frames.dispose();
  }
}
