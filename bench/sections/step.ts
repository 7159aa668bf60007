// Evaluations of a small transformer: the whole network as peers run it, and a guided step of the
// embedded model as the pipeline runs it.

import type { WeightDType } from "../../src/base/dtypes.ts";
import type { Backend } from "../../src/backends/backend.ts";
import type { ArraySource } from "../../src/checkpoints/arrays.ts";
import { Transformer2DModel } from "../../src/models/transformer_2d.ts";
import { tableShape } from "../../src/schedulers/sampling_plan.ts";
import { VQDiffusionScheduler } from "../../src/schedulers/vq_diffusion_scheduler.ts";
import { type Bench, entries, measure, type Runnable } from "../bench.ts";
import { stepModel } from "../peers/onnx_transformer.ts";
import { floats, integers, type PeerTask } from "../peers/peer.ts";
import { peerEntries } from "../peers/peer_entries.ts";
import {
  CONTEXT_LENGTH,
  guidedWork,
  SMALL,
  transformerConfig,
  transformerShapes,
  transformerWork,
} from "../random_transformer.ts";
import { randomNumbers, randomWeights } from "../random_weights.ts";

const { side, classes, contextLength = CONTEXT_LENGTH } = SMALL;
const PIXELS = side ** 2;
const BATCH = 2;
const TIMESTEP = 50;

/** Measures a small transformer. */
export async function step(bench: Bench): Promise<void> {
  await wholeNetwork(bench);
  await guidedStep(bench);
}

async function wholeNetwork(bench: Bench): Promise<void> {
  await using stack = new AsyncDisposableStack();
  const weights = randomWeights(transformerShapes(SMALL));
  const sample = Int32Array.from({ length: BATCH * PIXELS }, (_, i) => (i * 37) % classes);
  const context = randomContext();
  const ours = await entries(bench, async (backend, dtype) => {
    const model = stack.use(await smallTransformer(backend, weights, dtype));
    return await ourNetwork(model, sample, context, stack);
  });
  const task: PeerTask = {
    kind: "step",
    sizes: { ...SMALL, batch: BATCH },
    weights,
    inputs: [
      integers("sample", sample, [BATCH * PIXELS]),
      floats("context", context, [BATCH * contextLength, SMALL.context]),
      integers("timestep", Int32Array.of(TIMESTEP), [1]),
    ],
    onnx: () => stepModel(SMALL, BATCH, weights),
  };
  const peers = await peerEntries(bench, task, stack);
  const what = `step: small model, batch ${BATCH}`;
  await measure(bench, what, transformerWork(SMALL, BATCH), [...ours, ...peers]);
}

function randomContext(): Float32Array {
  return randomNumbers("context", BATCH * contextLength * SMALL.context, Math.sqrt(3));
}

function smallTransformer(
  backend: Backend,
  weights: ArraySource,
  dtype: WeightDType,
): Promise<Transformer2DModel> {
  return Transformer2DModel.create(backend, transformerConfig(SMALL), weights, { dtype });
}

/** Keys and values of the context are computed once, before the steps, as in the pipeline. */
async function ourNetwork(
  model: Transformer2DModel,
  tokens: Int32Array,
  contextValues: Float32Array,
  stack: AsyncDisposableStack,
): Promise<Runnable> {
  const { backend } = model;
  const timestep = stack.use(backend.tensor(Int32Array.of(TIMESTEP), [1]));
  const shape = [BATCH, contextLength, SMALL.context];
  const encoderHiddenStates = stack.use(backend.tensor(contextValues, shape));
  const contextFrame = stack.use(backend.frame());
  const context = model.recordContext(contextFrame, encoderHiddenStates);
  await contextFrame.run();
  const frame = stack.use(backend.frame());
  const sample = stack.use(backend.tensor(tokens, [BATCH, PIXELS]));
  const logProbs = model.record(frame, { sample, context, timestep });
  return { run: () => frame.run(), output: () => logProbs.data() };
}

async function guidedStep(bench: Bench): Promise<void> {
  await using stack = new AsyncDisposableStack();
  const weights = new URL("../../weights/", import.meta.url);
  const scheduler = await VQDiffusionScheduler.fromPretrained(weights, { subfolder: "scheduler" });
  const ours = await entries(bench, async (backend, dtype) => {
    const options = { backend, dtype, subfolder: "transformer" };
    const model = stack.use(await Transformer2DModel.fromPretrained(weights, options));
    return await ourGuidedStep(model, scheduler, stack);
  });
  await measure(bench, "step: embedded model, guided, sampled", guidedWork(SMALL), ours);
}

/** A step as the pipeline records it, on given noise. */
async function ourGuidedStep(
  model: Transformer2DModel,
  scheduler: VQDiffusionScheduler,
  stack: AsyncDisposableStack,
): Promise<Runnable> {
  const { backend } = model;
  const timestep = stack.use(backend.tensor(Int32Array.of(TIMESTEP), [1]));
  const contextFrame = stack.use(backend.frame());
  const encoderHiddenStates = stack.use(
    backend.tensor(randomContext(), [BATCH, contextLength, SMALL.context]),
  );
  const context = model.recordContext(contextFrame, encoderHiddenStates);
  await contextFrame.run();

  const frame = stack.use(backend.frame());
  const masks = new Int32Array(PIXELS).fill(scheduler.maskClass);
  const latents = stack.use(backend.tensor(masks, [1, PIXELS]));
  const uniforms = randomNumbers("noise", classes * PIXELS).map(Math.abs);
  const logProbs = model.record(frame, { sample: latents, context, timestep });
  const plan = scheduler.plan(TIMESTEP + 1);
  frame.sampleStep(logProbs, {
    latents,
    noise: stack.use(backend.tensor(uniforms, [1, classes, PIXELS])),
    schedule: stack.use(backend.tensor(plan.table, tableShape(plan))),
    row: timestep,
    guidanceScale: 5,
    truncationRate: 0.86,
  });
  return { run: () => frame.run() };
}
