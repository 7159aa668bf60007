// The sampling step for one image of the ithq model: truncation, posterior, noise and argmax, with and
// without drawing the noise. The transformer and its weights have no part in it.

import { type Backend, SCHEDULE_COLUMNS, type Tensor } from "../../src/backends/backend.ts";
import { TorchGenerator } from "../../src/random/torch_generator.ts";
import { scheduleRows } from "../../src/schedulers/noise_schedules.ts";
import { VQDiffusionScheduler } from "../../src/schedulers/vq_diffusion_scheduler.ts";
import { type Bench, entries, measure, type Runnable } from "../bench.ts";
import { floats, integers, type PeerTask } from "../peers/peer.ts";
import { peerEntries } from "../peers/peer_entries.ts";
import { ITHQ } from "../random_transformer.ts";
import { randomNumbers } from "../random_weights.ts";

const { classes, side } = ITHQ;
const PIXELS = side ** 2;
const SIZE = `${PIXELS} × ${classes - 1}`;
const COLUMNS = SCHEDULE_COLUMNS.length;
const TIMESTEP = 50;
const TRUNCATION_RATE = 0.86;
const SEED = 1;

/** What a step needs. */
interface StepInputs {
  /** log p(x0), (1, pixels, classes − 1). */
  readonly logProbs: Float32Array;
  readonly latents: Int32Array;
  /** Rows of the schedules. */
  readonly schedule: Float32Array;
  readonly truncationRate: number | undefined;
}

/** Measures the sampling step. */
export async function scheduler(bench: Bench): Promise<void> {
  const fp32 = { ...bench, dtypes: ["fp32"] as const };
  const schedule = scheduleRows(new VQDiffusionScheduler({ numVecClasses: classes }));
  const inputs = { logProbs: randomLogProbs(), latents: randomTokens(), schedule };
  await onGivenNoise(fp32, "sampling", { ...inputs, truncationRate: undefined });
  await onGivenNoise(fp32, "truncated", { ...inputs, truncationRate: TRUNCATION_RATE });
  await withNoise(fp32, { ...inputs, truncationRate: TRUNCATION_RATE });
}

async function onGivenNoise(bench: Bench, name: string, inputs: StepInputs): Promise<void> {
  await using stack = new AsyncDisposableStack();
  const noise = randomNumbers("noise", classes * PIXELS).map(Math.abs);
  const ours = await entries(bench, (backend) => {
    const step = ourStep(backend, inputs, stack);
    step.noise.write(noise);
    return { run: step.run };
  });
  await measure(bench, `scheduler: ${SIZE}, ${name}`, undefined, ours);
}

/** The whole step, which draws its noise too; peers do the same and get the same tokens. */
async function withNoise(bench: Bench, inputs: StepInputs): Promise<void> {
  await using stack = new AsyncDisposableStack();
  const ours = await entries(bench, (backend) => ourStepWithNoise(backend, inputs, stack));
  const task: PeerTask = {
    kind: "scheduler",
    sizes: { classes, timestep: TIMESTEP, truncationRate: TRUNCATION_RATE, seed: SEED },
    inputs: [
      floats("logProbs", inputs.logProbs, [1, PIXELS, classes - 1]),
      integers("latents", inputs.latents, [1, PIXELS]),
      floats("schedule", inputs.schedule, [inputs.schedule.length / COLUMNS, COLUMNS]),
    ],
  };
  const peers = await peerEntries(bench, task, stack);
  const entriesOfAll = [...ours, ...peers];
  await measure(bench, `scheduler: ${SIZE}, truncated, noise drawn`, undefined, entriesOfAll);
}

function ourStepWithNoise(
  backend: Backend,
  inputs: StepInputs,
  stack: AsyncDisposableStack,
): Runnable {
  const step = ourStep(backend, inputs, stack);
  const uniforms = new Float32Array(classes * PIXELS);
  let generator = new TorchGenerator(SEED);
  const run = () => {
    generator.fill(uniforms);
    step.noise.write(uniforms);
    return step.run();
  };
  const output = async () => {
    generator = new TorchGenerator(SEED);
    await run();
    return Float32Array.from(await step.latents.data());
  };
  return { run, output };
}

/** A recorded step: its run starts from the same tokens every time. */
interface RecordedStep {
  readonly latents: Tensor<"i32">;
  readonly noise: Tensor;
  run(): Promise<void>;
}

function ourStep(
  backend: Backend,
  { logProbs, latents, schedule, truncationRate }: StepInputs,
  stack: AsyncDisposableStack,
): RecordedStep {
  const frame = stack.use(backend.frame());
  const tokens = frame.empty([1, PIXELS], "i32");
  const noise = frame.empty([1, classes, PIXELS], "f32");
  const prediction = stack.use(backend.tensor(logProbs, [1, PIXELS, classes - 1]));
  frame.sampleStep(prediction, {
    latents: tokens,
    noise,
    schedule: stack.use(backend.tensor(schedule, [schedule.length / COLUMNS, COLUMNS])),
    row: stack.use(backend.tensor(Int32Array.of(TIMESTEP), [1])),
    ...(truncationRate !== undefined && { truncationRate }),
  });
  const run = () => {
    tokens.write(latents);
    return frame.run();
  };
  return { latents: tokens, noise, run };
}

/** Predictions of which some are rather sure: logits spread evenly over twelve units. */
function randomLogProbs(): Float32Array {
  const logits = randomNumbers("logits", PIXELS * (classes - 1), 6);
  for (let row = 0; row < logits.length; row += classes - 1) {
    const values = logits.subarray(row, row + classes - 1);
    const logSum = Math.log(values.reduce((sum, value) => sum + Math.exp(value), 0));
    values.forEach((value, i) => values[i] = value - logSum);
  }
  return logits;
}

/** Tokens of which every other is the mask. */
function randomTokens(): Int32Array {
  return Int32Array.from(
    { length: PIXELS },
    (_, i) => i % 2 === 0 ? classes - 1 : (i * 37) % classes,
  );
}
