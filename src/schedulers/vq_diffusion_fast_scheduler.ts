/**
 * Fewer steps by Microsoft's fast inference.
 *
 * @module
 */

import type { Frame } from "../backends/backend.ts";
import { SCHEDULE_COLUMNS } from "../backends/backend.ts";
import { checkNumber, checkOptions, refuseType } from "../base/check.ts";
import type { RandomGenerator } from "../random/random_generator.ts";
import { recordPrediction } from "./microsoft_sampling.ts";
import { MicrosoftScheduler } from "./microsoft_scheduler.ts";
import { scheduleRows } from "./noise_schedules.ts";
import { checkSteps, type SamplingPlan, type SamplingStep } from "./sampling_plan.ts";
import type { NoiseSizes, RecordedStep, StepInputs } from "./scheduler.ts";
import {
  schedulerConfigOf,
  type VQDiffusionSchedulerConfig,
  type VQDiffusionSchedulerOptions,
} from "./vq_diffusion_config.ts";

/** What a `VQDiffusionFastScheduler` has beside the options of an ordinary scheduler. */
export interface VQDiffusionFastOptions {
  /**
   * How many times faster, from 2 to the timesteps of the training: Microsoft's `infer_speed`, of which
   * the whole part counts.
   */
  readonly inferSpeed: number;
}

const TASK = "make a VQDiffusionFastScheduler";

/**
 * The fast inference of Tang et al., "Improved Vector Quantized Diffusion Models" (arXiv 2205.16007), as
 * in Microsoft's code (`sample_fast`). With s = ⌊inferSpeed⌋ the network is asked at the timesteps
 * T − 1, T − 1 − s, … and 0, and each time the posterior of one step is applied that is s − 1 timesteps
 * earlier. For the same number of steps with the exact posterior, see `timestepSpacing: "strided"` of
 * {@linkcode VQDiffusionScheduler}.
 *
 * @example
 * ```ts
 * import { VQDiffusionPipeline } from "@vq-diffusion/vq-diffusion";
 * import { VQDiffusionFastScheduler } from "@vq-diffusion/vq-diffusion/schedulers";
 *
 * await using pipe = await VQDiffusionPipeline.fromPretrained();
 * const { config } = pipe.components.scheduler;
 * const scheduler = VQDiffusionFastScheduler.fromConfig(config, { inferSpeed: 3 });
 * await using fast = new VQDiffusionPipeline({ ...pipe.components, scheduler });
 * const { images } = await fast.generate("a red apple", { seed: 1 }); // in 34 steps
 * ```
 */
export class VQDiffusionFastScheduler extends MicrosoftScheduler {
  /** How many times faster it is. */
  readonly inferSpeed: number;

  /**
   * Makes the scheduler.
   *
   * @throws {TypeError} If an option is missing or of the wrong type.
   * @throws {RangeError} If an option is out of range.
   */
  constructor(
    options: (VQDiffusionSchedulerOptions | VQDiffusionSchedulerConfig) & VQDiffusionFastOptions,
  ) {
    const { inferSpeed, ...ordinary } = options;
    super(ordinary);
    const subject = { task: TASK, name: "inferSpeed" };
    if (inferSpeed === undefined) refuseType(subject, inferSpeed, "a number");
    const { numTrainTimesteps } = this.config;
    checkNumber(subject, inferSpeed, { min: 2, max: numTrainTimesteps, why: "the timesteps" });
    this.inferSpeed = inferSpeed;
  }

  /**
   * Makes the scheduler of the config of an ordinary one, or of the fields of its file.
   *
   * @throws {TypeError} If a field is missing or of the wrong type, or there is another option.
   * @throws {RangeError} If a field is out of range.
   */
  static fromConfig(
    values: Readonly<Record<string, unknown>> | VQDiffusionSchedulerConfig,
    options: VQDiffusionFastOptions,
    description?: string,
  ): VQDiffusionFastScheduler {
    checkOptions(TASK, options, ["inferSpeed"]);
    return new VQDiffusionFastScheduler({ ...schedulerConfigOf(values, description), ...options });
  }

  /** The number of steps, which follows from the speed. */
  get fixedSteps(): number {
    return this.#timesteps().length;
  }

  /**
   * Plans a run, whose number of steps follows from the speed. The table has two rows for a step: where
   * it leads, and where it goes from.
   *
   * @param n That number, or the number of timesteps of the training.
   * @throws {RangeError} If it is another one.
   */
  plan(n: number): SamplingPlan {
    const { numTrainTimesteps } = this.config;
    const timesteps = this.#timesteps();
    if (n !== timesteps.length) {
      checkSteps(n, numTrainTimesteps);
      if (n !== numTrainTimesteps) {
        throw new RangeError(
          `Cannot plan the steps: their number is ${n}, expected ${timesteps.length}, which follows ` +
            `from the speed ${this.inferSpeed}, or all ${numTrainTimesteps}`,
        );
      }
    }
    const width = SCHEDULE_COLUMNS.length;
    const all = scheduleRows(this.ordinary);
    const rowOf = (t: number) => [...all.subarray(t * width, (t + 1) * width)];
    const skipped = Math.floor(this.inferSpeed) - 1;
    const rows = timesteps.flatMap((t) => {
      const from = t > skipped ? t - skipped : t;
      return [rowOf(from === 0 ? numTrainTimesteps : from - 1), rowOf(from)];
    });
    return {
      table: Float32Array.from([...rows, rowOf(numTrainTimesteps)].flat()),
      steps: timesteps.map((timestep, i) => ({ timestep, row: 2 * i + 1 })),
    };
  }

  /**
   * Records a step on a frame: guidance and truncation as in Microsoft's code, posterior, Gumbel noise
   * and argmax.
   *
   * @throws {TypeError} If an argument is of the wrong type.
   * @throws {RangeError} If an argument is of the wrong shape or out of range.
   */
  recordStep(frame: Frame, inputs: StepInputs): RecordedStep {
    return this.ordinary.recordStep(frame, recordPrediction(frame, inputs));
  }

  /**
   * Draws the noise of a step: one uniform number for each class of a token, the mask included.
   *
   * @returns (batch, classes, pixels).
   */
  drawNoise(
    step: SamplingStep,
    sizes: NoiseSizes,
    generator: RandomGenerator,
    out?: Float32Array,
  ): Float32Array {
    return this.ordinary.drawNoise(step, sizes, generator, out);
  }

  /** T − 1, T − 1 − s, … and 0. */
  #timesteps(): number[] {
    const timesteps: number[] = [];
    const stride = Math.floor(this.inferSpeed);
    for (let t = this.config.numTrainTimesteps - 1; t > 0; t -= stride) timesteps.push(t);
    return [...timesteps, 0];
  }
}
