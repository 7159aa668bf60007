/**
 * What the samplers of Microsoft's code have in common.
 *
 * @module
 */

import type { Frame } from "../backends/backend.ts";
import type { FolderWriter } from "../files/folder_writer.ts";
import type { RandomGenerator } from "../random/random_generator.ts";
import { guidesAtScale } from "./microsoft_sampling.ts";
import type { SamplingPlan, SamplingStep } from "./sampling_plan.ts";
import type { NoiseSizes, RecordedStep, Scheduler, StepInputs } from "./scheduler.ts";
import {
  schedulerConfig,
  type VQDiffusionSchedulerConfig,
  type VQDiffusionSchedulerOptions,
} from "./vq_diffusion_config.ts";
import { VQDiffusionScheduler } from "./vq_diffusion_scheduler.ts";

/** A sampler of Microsoft's code, on the noise schedules of an ordinary scheduler. */
export abstract class MicrosoftScheduler implements Scheduler {
  /** The checked config of the ordinary scheduler; its `timestepSpacing` and `samplingReference` have no effect. */
  readonly config: VQDiffusionSchedulerConfig;
  /** The ordinary scheduler, which takes what has been predicted as it is. */
  protected readonly ordinary: VQDiffusionScheduler;

  /** Makes the ordinary scheduler. */
  constructor(options: VQDiffusionSchedulerOptions | VQDiffusionSchedulerConfig) {
    this.config = schedulerConfig(options);
    this.ordinary = new VQDiffusionScheduler({ ...options, samplingReference: "diffusers" });
  }

  /** The class of masked tokens: the last one. */
  get maskClass(): number {
    return this.ordinary.maskClass;
  }

  /** Plans a run. */
  abstract plan(numInferenceSteps: number, image: Pick<NoiseSizes, "pixels">): SamplingPlan;

  /** Records a step, which all steps of the plan share. */
  abstract recordStep(frame: Frame, inputs: StepInputs): RecordedStep;

  /** Draws the random numbers of a step. */
  abstract drawNoise(
    step: SamplingStep,
    sizes: NoiseSizes,
    generator: RandomGenerator,
    out?: Float32Array,
  ): Float32Array;

  /** Draws tokens as they are at a timestep, as the ordinary scheduler does. */
  addNoise(
    tokens: Int32Array,
    timestep: number,
    sizes: NoiseSizes,
    generator: RandomGenerator,
  ): Int32Array {
    return this.ordinary.addNoise(tokens, timestep, sizes, generator);
  }

  /** Whether there is guidance at this scale: unlike in diffusers also below 1. */
  guides(guidanceScale: number): boolean {
    return guidesAtScale(guidanceScale);
  }

  /**
   * Saves the config of the ordinary scheduler as diffusers' `scheduler_config.json`, which has no fields
   * for this sampler.
   *
   * @param target Path of a folder, which is made if need be; or a folder that is being written.
   */
  async savePretrained(target: string | FolderWriter): Promise<void> {
    await new VQDiffusionScheduler(this.config).savePretrained(target);
  }
}
