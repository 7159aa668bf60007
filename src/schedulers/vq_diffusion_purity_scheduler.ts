/**
 * Better pictures by Microsoft's high-quality inference and purity prior.
 *
 * @module
 */

import type { Frame, Tensor } from "../backends/backend.ts";
import { checkInteger, checkNumber, checkOptions, refuseRange, refuseType } from "../base/check.ts";
import { chooseByWeight, fillExponential } from "../random/multinomial.ts";
import { BatchGenerator } from "../random/batch_generator.ts";
import type { RandomGenerator } from "../random/random_generator.ts";
import { recordPrediction } from "./microsoft_sampling.ts";
import { MicrosoftScheduler } from "./microsoft_scheduler.ts";
import { scheduleRows } from "./noise_schedules.ts";
import { mostPerCall, revealCounts } from "./reveal_counts.ts";
import {
  checkSteps,
  recordSchedule,
  type SamplingPlan,
  type SamplingStep,
  spreadTimesteps,
} from "./sampling_plan.ts";
import type { NoiseSizes, RecordedStep, StepInputs } from "./scheduler.ts";
import {
  schedulerConfigOf,
  type VQDiffusionSchedulerConfig,
  type VQDiffusionSchedulerOptions,
} from "./vq_diffusion_config.ts";

/** What a `VQDiffusionPurityScheduler` has beside the options of an ordinary scheduler. */
export interface VQDiffusionPurityOptions {
  /**
   * Which tokens are revealed first, `prior_rule` of Microsoft's code: 1 any, 2 rather those that the
   * prediction is sure of. Default 2.
   */
  readonly priorRule?: 1 | 2 | undefined;
  /**
   * How much more often the likelier classes are drawn for pure tokens, from 0 on: `prior_weight`, r in
   * the paper. Counts with rule 2 only. Default 1.
   */
  readonly priorWeight?: number | undefined;
  /**
   * High-quality inference, `infer_speed` below 1: a step takes several calls, of which each reveals
   * ⌊⌊1024/steps⌋ · inferSpeed⌋ tokens. Default: each step is one call.
   */
  readonly inferSpeed?: number | undefined;
  /**
   * Tokens to reveal in each step, from the last step to the first (`n_sample`); the last step draws all
   * tokens anew whatever its number is. Default: Microsoft's for 1024 tokens in 100, 50, 25 or 10 steps,
   * else one for the last step and the others in equal parts.
   */
  readonly nSample?: readonly number[] | undefined;
}

const TASK = "make a VQDiffusionPurityScheduler";

/** The names of the options. */
const OPTIONS: Readonly<Record<keyof VQDiffusionPurityOptions, true>> = {
  priorRule: true,
  priorWeight: true,
  inferSpeed: true,
  nSample: true,
};

/**
 * The high-quality inference and the purity prior of Tang et al., "Improved Vector Quantized Diffusion
 * Models" (arXiv 2205.16007), as in Microsoft's code: each step reveals a fixed number of masked tokens,
 * by the classes that are drawn from the prediction; which ones, is drawn in proportion to the purity of
 * the prediction.
 *
 * @example
 * ```ts
 * import { VQDiffusionPipeline } from "@vq-diffusion/vq-diffusion";
 * import { VQDiffusionPurityScheduler } from "@vq-diffusion/vq-diffusion/schedulers";
 *
 * await using pipe = await VQDiffusionPipeline.fromPretrained();
 * const { config } = pipe.components.scheduler;
 * const scheduler = VQDiffusionPurityScheduler.fromConfig(config, { priorRule: 2, priorWeight: 1 });
 * await using better = new VQDiffusionPipeline({ ...pipe.components, scheduler });
 * const { images } = await better.generate("a red apple", { seed: 1, numInferenceSteps: 25 });
 * ```
 */
export class VQDiffusionPurityScheduler extends MicrosoftScheduler {
  /** Which tokens are revealed first. */
  readonly priorRule: 1 | 2;
  /** How much more often the likelier classes are drawn for pure tokens. */
  readonly priorWeight: number;
  /** Below 1, if steps take several calls. */
  readonly inferSpeed: number | undefined;
  /** Tokens to reveal in each step, from the last to the first, if they were given. */
  readonly nSample: readonly number[] | undefined;

  /**
   * Makes the scheduler.
   *
   * @throws {TypeError} If an option is missing or of the wrong type.
   * @throws {RangeError} If an option is out of range.
   */
  constructor(
    options:
      & (VQDiffusionSchedulerOptions | VQDiffusionSchedulerConfig)
      & VQDiffusionPurityOptions,
  ) {
    const { priorRule = 2, priorWeight = 1, inferSpeed, nSample, ...ordinary } = options;
    super(ordinary);
    if (priorRule !== 1 && priorRule !== 2) {
      refuseRange({ task: TASK, name: "priorRule" }, priorRule, "1 or 2");
    }
    checkNumber({ task: TASK, name: "priorWeight" }, priorWeight, { min: 0 });
    const { numTrainTimesteps } = this.config;
    checkSpeed(inferSpeed, numTrainTimesteps);
    checkCounts(nSample, numTrainTimesteps);
    this.priorRule = priorRule;
    this.priorWeight = priorWeight;
    this.inferSpeed = inferSpeed;
    this.nSample = nSample && [...nSample];
  }

  /**
   * Makes the scheduler of the config of an ordinary one, or of the fields of its file.
   *
   * @throws {TypeError} If a field is missing or of the wrong type, or there is another option.
   * @throws {RangeError} If a field is out of range.
   */
  static fromConfig(
    values: Readonly<Record<string, unknown>> | VQDiffusionSchedulerConfig,
    options: VQDiffusionPurityOptions = {},
    description?: string,
  ): VQDiffusionPurityScheduler {
    checkOptions(TASK, options, Object.keys(OPTIONS));
    return new VQDiffusionPurityScheduler({
      ...schedulerConfigOf(values, description),
      ...options,
    });
  }

  /**
   * Plans a run of n steps, at timesteps spread over all of the training. A step that takes several calls
   * stands in the plan as often, one that reveals nothing not at all.
   *
   * @throws {RangeError} If n is not an integer from 1 to the number of timesteps of the training, or
   * `nSample` does not fit it or the number of tokens.
   */
  plan(n: number, { pixels }: Pick<NoiseSizes, "pixels">): SamplingPlan {
    const { numTrainTimesteps } = this.config;
    checkSteps(n, numTrainTimesteps);
    const { inferSpeed, nSample } = this;
    checkFit(nSample, n, pixels);
    const timesteps = spreadTimesteps(n, numTrainTimesteps);
    const revealing = revealCounts({ steps: n, pixels, inferSpeed, nSample }).flatMap(
      (calls, i) => {
        const step = { timestep: timesteps[i + 1]!, row: timesteps[i + 1]! };
        // Backwards, like the steps, until the whole list is turned round.
        return calls.toReversed().map((reveal) => ({ ...step, reveal }));
      },
    );
    const last = { timestep: timesteps[0]!, row: 0 };
    return { table: scheduleRows(this.ordinary), steps: [last, ...revealing].reverse() };
  }

  /**
   * Records a step: the device predicts and draws a class for each token, the host chooses which ones
   * are revealed.
   *
   * @throws {TypeError} If an argument is of the wrong type.
   * @throws {RangeError} If an argument is of the wrong shape or out of range.
   */
  recordStep(frame: Frame, inputs: StepInputs): RecordedStep {
    const drawing = this.#recordDrawing(frame, inputs);
    const { tokens } = inputs;
    const [batch, pixels] = tokens.shape as [number, number];
    const { maskClass } = this;
    const uniform = new Float32Array(batch * (maskClass + 1) * pixels);
    const exponential = new Float32Array(batch * pixels);
    let current: SamplingStep | undefined;
    return {
      write: (step, noise) => {
        current = step;
        splitNoise(noise, { batch, pixels }, maskClass, uniform, exponential);
        drawing.noise.write(uniform);
        // The last step draws from the prediction as it is.
        drawing.weight.write(Float32Array.of(step.reveal === undefined ? 0 : this.priorWeight));
      },
      run: async (options) => {
        await frame.run(options);
        const drawn = await drawing.classes.data();
        const count = current?.reveal;
        if (count === undefined) return tokens.write(drawn);
        const [known, best] = await Promise.all([tokens.data(), drawing.best?.data()]);
        for (let first = 0; first < known.length; first += pixels) {
          const part = <A extends Float32Array | Int32Array>(all: A) =>
            all.subarray(first, first + pixels) as A;
          const weights = weightsOf(part(known), maskClass, best && part(best));
          for (const i of chooseByWeight(weights, part(exponential), count)) {
            known[first + i] = drawn[first + i]!;
          }
        }
        tokens.write(known);
      },
    };
  }

  /**
   * Draws the random numbers of a step in the order of Microsoft's code: uniform ones for each class of a
   * token, the mask included, and then, if tokens are to be revealed, an exponential one for each token.
   *
   * @returns For each image its (classes, pixels) uniform and its (pixels) exponential numbers.
   */
  drawNoise(
    { reveal }: SamplingStep,
    { batch, pixels }: NoiseSizes,
    generator: RandomGenerator,
    out: Float32Array = new Float32Array(batch * (this.maskClass + 2) * pixels),
  ): Float32Array {
    const size = (this.maskClass + 2) * pixels;
    const each = (fill: (noise: Float32Array, stream: RandomGenerator) => void) => {
      for (let image = 0; image < batch; image++) {
        const stream = generator instanceof BatchGenerator ? generator.stream(image) : generator;
        fill(out.subarray(image * size, (image + 1) * size), stream);
      }
    };
    each((noise, stream) => stream.fill(noise.subarray(0, size - pixels)));
    if (reveal !== undefined) {
      each((noise, stream) => fillExponential(stream, noise.subarray(size - pixels)));
    }
    return out;
  }

  /** Records what the device does: a class drawn for every token, and the greatest log p of each. */
  #recordDrawing(frame: Frame, inputs: StepInputs): Drawing {
    const { plan, tokens } = inputs;
    const [batch, pixels] = tokens.shape as [number, number];
    const noise = frame.empty([batch, this.maskClass + 1, pixels], "f32");
    const weight = frame.empty([1], "f32");
    const { logProbs: predicted } = recordPrediction(frame, inputs);
    const best = this.priorRule === 2 ? frame.rowMax(predicted) : undefined;
    const isSharpened = best !== undefined && this.priorWeight > 0;
    const drawnFrom = isSharpened ? frame.sharpen(predicted, best, weight) : predicted;
    // At row 0 classes are drawn from the prediction itself. The noise of the mask, whose log p is −70,
    // is never great enough to count.
    const { schedule, row } = recordSchedule(frame, plan);
    row.write(Int32Array.of(0));
    const classes = frame.empty([batch, pixels], "i32");
    frame.sampleStep(drawnFrom, { latents: classes, noise, schedule, row });
    return { noise, weight, classes, best };
  }
}

/** What is written to the device in a step, and read from it. */
interface Drawing {
  readonly noise: Tensor;
  readonly weight: Tensor;
  readonly classes: Tensor<"i32">;
  readonly best: Tensor | undefined;
}

/** Separates what `drawNoise` drew; of the uniform numbers those of the mask are left out. */
function splitNoise(
  noise: Float32Array,
  { batch, pixels }: NoiseSizes,
  maskClass: number,
  uniform: Float32Array,
  exponential: Float32Array,
): void {
  const size = (maskClass + 2) * pixels;
  const used = maskClass * pixels;
  for (let image = 0; image < batch; image++) {
    const own = noise.subarray(image * size, (image + 1) * size);
    uniform.set(own.subarray(0, used), image * used);
    exponential.set(own.subarray(size - pixels), image * pixels);
  }
}

/**
 * Weights of the tokens of an image: of masked ones the greatest probability, divided by the greatest of
 * the image, or 1 if there are no probabilities. In float32, as in Microsoft's code.
 */
function weightsOf(
  tokens: Int32Array,
  maskClass: number,
  best: Float32Array | undefined,
): Float32Array {
  const scores = best?.map((logProb) => Math.min(Math.exp(logProb), 1)) ??
    new Float32Array(tokens.length).fill(1);
  const highest = best ? Math.fround(scores.reduce((a, b) => Math.max(a, b)) + 1e-10) : 1;
  return scores.map((score, i) => tokens[i] === maskClass ? score / highest : 0);
}

function checkSpeed(inferSpeed: number | undefined, numTrainTimesteps: number): void {
  if (inferSpeed === undefined) return;
  const subject = { task: TASK, name: "inferSpeed" };
  checkNumber(subject, inferSpeed);
  if (inferSpeed < 1 && mostPerCall(numTrainTimesteps, inferSpeed) >= 1) return;
  const expected = `a number below 1 that leaves a call of ${numTrainTimesteps} steps a token`;
  refuseRange(subject, inferSpeed, expected);
}

function checkCounts(nSample: readonly number[] | undefined, numTrainTimesteps: number): void {
  if (nSample === undefined) return;
  const subject = { task: TASK, name: "nSample" };
  if (!Array.isArray(nSample)) refuseType(subject, nSample, "an array of whole numbers");
  checkInteger({ task: TASK, name: "nSample.length" }, nSample.length, {
    ...{ min: 1, max: numTrainTimesteps, why: "the timesteps of the training" },
  });
  for (const [i, count] of nSample.entries()) {
    const name = `nSample[${i}]`;
    if (count === undefined) refuseType({ task: TASK, name }, count, "a whole number");
    checkInteger({ task: TASK, name }, count, { min: 0 });
  }
}

function checkFit(nSample: readonly number[] | undefined, n: number, pixels: number): void {
  if (nSample === undefined) return;
  const task = "plan the steps";
  if (nSample.length !== n) {
    refuseRange({ task, name: "n" }, n, `${nSample.length}, as many as nSample has numbers`);
  }
  const sum = nSample.slice(1).reduce((a, b) => a + b, 0);
  if (sum > pixels) {
    const name = "the sum of nSample without its first number";
    refuseRange({ task, name }, sum, `at most ${pixels}, the tokens of an image`);
  }
}
