// What an image costs: by an autoregressive transformer, with and without a cache of keys and values,
// and by ours of the same size.

import type { WeightDType } from "../src/base/dtypes.ts";
import type { Backend, Tensor } from "../src/backends/backend.ts";
import { Transformer2DModel } from "../src/models/transformer_2d.ts";
import { TorchGenerator } from "../src/random/torch_generator.ts";
import type { RecordedStep } from "../src/schedulers/scheduler.ts";
import { VQDiffusionScheduler } from "../src/schedulers/vq_diffusion_scheduler.ts";
import { Autoregressive, autoregressiveShapes } from "./autoregressive.ts";
import {
  CONTEXT_LENGTH,
  randomTransformer,
  TIMESTEPS,
  transformerConfig,
  type TransformerSize,
} from "./random_transformer.ts";
import { randomNumbers, randomWeights } from "./random_weights.ts";
import { samplePoints, sumOf } from "./simpson.ts";
import { type Contestant, contestant, race } from "./timing.ts";
import { WasmFrame } from "./wasm_frame.ts";

/** Milliseconds for a batch of images. */
export interface Costs {
  /** All tokens one by one, each from a pass over all before it. */
  readonly withoutCache: number;
  /** All tokens one by one, each from a pass over itself and the cache. */
  readonly withCache: number;
  /** The same if all tokens cost as little as the first, whose cache is empty. */
  readonly withEmptyCache: number;
  /** One step of ours, for all tokens. */
  readonly step: number;
}

/** What is measured. */
export interface Work {
  readonly size: TransformerSize;
  /** Images at a time. */
  readonly batch: number;
  readonly dtype: WeightDType;
}

/** A timestep in the middle. */
const TIMESTEP = TIMESTEPS / 2;

/** Measures a size; the tokens of the autoregressive model at a few positions, from which the sum follows. */
export async function measureCosts(backend: Backend, work: Work, rounds: number): Promise<Costs> {
  await using stack = new AsyncDisposableStack();
  const tokens = work.size.side ** 2;
  const positions = samplePoints(tokens).map((length) => length - 1);
  const step = await ourStep(backend, work, stack);
  const { withCache, withoutCache } = await nextTokens(backend, work, positions, stack);
  const times = await race([step, ...withCache, ...withoutCache], rounds);
  const [cached, uncached] = [times.slice(1, 1 + positions.length), times.slice(-positions.length)];
  return {
    withoutCache: sumOf(tokens, uncached),
    withCache: sumOf(tokens, cached),
    withEmptyCache: tokens * cached[0]!,
    step: times[0]!,
  };
}

/**
 * The costs of a model of many layers, as all of them cost the same: from those of models with a few.
 *
 * @param rounds See {@linkcode measureCosts}.
 */
export async function estimateCosts(
  backend: Backend,
  work: Work,
  rounds: number,
  [few, more]: readonly [number, number],
): Promise<Costs> {
  const measure = (layers: number) => {
    return measureCosts(backend, { ...work, size: { ...work.size, layers } }, rounds);
  };
  const [a, b] = [await measure(few), await measure(more)];
  const all = (name: keyof Costs) => {
    return a[name] + (b[name] - a[name]) / (more - few) * (work.size.layers - few);
  };
  return {
    withoutCache: all("withoutCache"),
    withCache: all("withCache"),
    withEmptyCache: all("withEmptyCache"),
    step: all("step"),
  };
}

/** A step of ours as the pipeline takes it, without guidance. */
async function ourStep(
  backend: Backend,
  { size, batch, dtype }: Work,
  stack: AsyncDisposableStack,
): Promise<Contestant> {
  const config = transformerConfig(size);
  const weights = randomTransformer(size);
  const model = stack.use(await Transformer2DModel.create(backend, config, weights, { dtype }));
  const contextFrame = stack.use(backend.frame());
  const states = contextOf(backend, size, batch, stack);
  const context = model.recordContext(contextFrame, states);
  await contextFrame.run();

  const scheduler = new VQDiffusionScheduler({ numVecClasses: size.classes });
  const frame = stack.use(backend.frame());
  const pixels = size.side ** 2;
  const masks = new Int32Array(batch * pixels).fill(scheduler.maskClass);
  const latents = stack.use(backend.tensor(masks, [batch, pixels]));
  const timestep = stack.use(backend.tensor(Int32Array.of(TIMESTEP), [1]));
  const logProbs = model.record(frame, { sample: latents, context, timestep });
  const plan = scheduler.plan(TIMESTEPS);
  const recorded = scheduler.recordStep(frame, { plan, logProbs, tokens: latents });
  const row = { timestep: TIMESTEP, row: TIMESTEP };
  return contestant(sampling(scheduler, recorded, row, { batch, pixels }));
}

/** The next token at each of some positions, frames being recorded beforehand. */
async function nextTokens(
  backend: Backend,
  { size, batch, dtype }: Work,
  positions: readonly number[],
  stack: AsyncDisposableStack,
): Promise<Record<"withCache" | "withoutCache", Contestant[]>> {
  const weights = randomWeights(autoregressiveShapes(size));
  const model = stack.use(await Autoregressive.create(backend, size, weights, dtype));
  const contextFrame = stack.use(backend.frame());
  const context = model.recordContext(contextFrame, contextOf(backend, size, batch, stack));
  await contextFrame.run();

  const scheduler = new VQDiffusionScheduler({ numVecClasses: size.classes });
  const cache = model.cache(batch, stack);
  const plan = scheduler.plan(1);
  const start = () => new Int32Array(batch).fill(model.start);
  const withCache = positions.map((position) => {
    const to = stack.use(new WasmFrame(backend));
    // Replaced by the token that is drawn, which is what the next position takes.
    const token = stack.use(backend.tensor(start(), [batch, 1]));
    const logProbs = model.recordNext(to, token, position, cache, context);
    const recorded = scheduler.recordStep(to.frame, { plan, logProbs, tokens: token });
    return contestant(sampling(scheduler, recorded, plan.steps[0]!, { batch, pixels: 1 }));
  });
  const withoutCache = positions.map((position) => {
    const frame = stack.use(backend.frame());
    const length = position + 1;
    const values = new Int32Array(batch * length).fill(model.start);
    const prefix = stack.use(backend.tensor(values, [batch, length]));
    const token = stack.use(backend.tensor(start(), [batch, 1]));
    const logProbs = model.recordPrefix(frame, prefix, context);
    const recorded = scheduler.recordStep(frame, { plan, logProbs, tokens: token });
    const sample = sampling(scheduler, recorded, plan.steps[0]!, { batch, pixels: 1 });
    return contestant(async () => {
      prefix.write(values);
      await sample();
      await token.data();
    });
  });
  return { withCache, withoutCache };
}

/** A run of a recorded step, while which the noise of the next one is drawn, as in the pipeline. */
function sampling(
  scheduler: VQDiffusionScheduler,
  recorded: RecordedStep,
  step: { readonly timestep: number; readonly row: number },
  sizes: { readonly batch: number; readonly pixels: number },
): () => Promise<void> {
  const generator = new TorchGenerator(0);
  const noise = scheduler.drawNoise(step, sizes, generator);
  return async () => {
    recorded.write(step, noise);
    const running = recorded.run();
    scheduler.drawNoise(step, sizes, generator, noise);
    await running;
  };
}

function contextOf(
  backend: Backend,
  { context, contextLength = CONTEXT_LENGTH }: TransformerSize,
  batch: number,
  stack: AsyncDisposableStack,
): Tensor {
  const shape = [batch, contextLength, context];
  const values = randomNumbers("context", shape.reduce((a, b) => a * b), Math.sqrt(3));
  return stack.use(backend.tensor(values, shape));
}
