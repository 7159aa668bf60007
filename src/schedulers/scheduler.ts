/**
 * What a pipeline asks of a scheduler.
 *
 * @module
 */

import type { Frame, RunOptions, Tensor } from "../backends/backend.ts";
import type { FolderWriter } from "../files/folder_writer.ts";
import type { RandomGenerator } from "../random/random_generator.ts";
import type { SamplingPlan, SamplingStep } from "./sampling_plan.ts";

/** What a pipeline has to know of a scheduler's config. */
export interface SchedulerConfig {
  /** Number of classes, the mask included. */
  readonly numVecClasses: number;
  /** Number of timesteps of the training. */
  readonly numTrainTimesteps: number;
}

/** Numbers that the noise of a step depends on. */
export interface NoiseSizes {
  /** Number of images. */
  readonly batch: number;
  /** Tokens of an image. */
  readonly pixels: number;
}

/** Arguments of {@linkcode Scheduler.recordStep}. */
export interface StepInputs {
  /** The plan that the steps belong to. */
  readonly plan: SamplingPlan;
  /** log p(x_0) (batch or, with guidance, 2 · batch, pixels, classes − 1), the unconditional ones first. */
  readonly logProbs: Tensor;
  /** Tokens (batch, pixels), replaced in every run by those that the step leads to. */
  readonly tokens: Tensor<"i32">;
  /** Scale of the guidance. Default: none. */
  readonly guidanceScale?: number | undefined;
  /** Sum of probabilities up to which classes are kept. Default: all, as they are. */
  readonly truncationRate?: number | undefined;
  /** Most classes that are kept, the most probable ones. Default: all. */
  readonly topK?: number | undefined;
}

/** A step that was recorded on a frame, to be run as often as wanted. */
export interface RecordedStep {
  /**
   * Writes what the next run takes for a step.
   *
   * @param noise Result of {@linkcode Scheduler.drawNoise} for the step; may be reused at once.
   */
  write(step: SamplingStep, noise: Float32Array): void;
  /** Runs the whole frame and, where the sampler needs it, does the rest of the step on the host. */
  run(options?: RunOptions): Promise<void>;
}

/**
 * Plans the steps of a run and takes them. A pipeline does for each step of {@linkcode Scheduler.plan}
 * what the scheduler records, draws and runs, and knows nothing else of it.
 */
export interface Scheduler {
  /** The checked config. */
  readonly config: SchedulerConfig;
  /** The class of masked tokens: the last one. */
  readonly maskClass: number;
  /** The number of steps, if it follows from the scheduler alone: the default in place of the model's. */
  readonly fixedSteps?: number | undefined;
  /**
   * Plans a run.
   *
   * @param numInferenceSteps From 1 to the timesteps of the training. The plan may have another number of steps.
   * @param image What the images are like.
   * @throws {RangeError} If it is out of range.
   */
  plan(numInferenceSteps: number, image: Pick<NoiseSizes, "pixels">): SamplingPlan;
  /** Whether there is guidance at this scale: 1 is the scale without an effect. */
  guides(guidanceScale: number): boolean;
  /** Records a step, which all steps of the plan share. */
  recordStep(frame: Frame, inputs: StepInputs): RecordedStep;
  /**
   * Draws the random numbers of a step. Called once for each step, in their order; a step that has to
   * be repeated gets the same numbers.
   *
   * @param out Result for another step of the same sizes, whose memory is used again.
   */
  drawNoise(
    step: SamplingStep,
    sizes: NoiseSizes,
    generator: RandomGenerator,
    out?: Float32Array,
  ): Float32Array;
  /**
   * Draws tokens as they are at a timestep of the training: x_t from q(x_t | x_0).
   *
   * @param tokens x_0 (batch · pixels), which stay as they are.
   * @returns x_t (batch · pixels).
   */
  addNoise(
    tokens: Int32Array,
    timestep: number,
    sizes: NoiseSizes,
    generator: RandomGenerator,
  ): Int32Array;
  /** Saves the config as diffusers' `scheduler_config.json`. */
  savePretrained(target: string | FolderWriter): Promise<void>;
}
