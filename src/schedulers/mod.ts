/**
 * Schedulers: which steps a run takes, and how a step draws the next tokens. What a scheduler of one's
 * own has to do is said at {@linkcode Scheduler}.
 *
 * @module
 */

export type {
  NoiseSizes,
  RecordedStep,
  Scheduler,
  SchedulerConfig,
  StepInputs,
} from "./scheduler.ts";
export type { SamplingPlan, SamplingStep } from "./sampling_plan.ts";
export type { NoiseScheduleOptions, NoiseSchedules } from "./noise_schedules.ts";
export type { MicrosoftScheduler } from "./microsoft_scheduler.ts";
export {
  type VQDiffusionFastOptions,
  VQDiffusionFastScheduler,
} from "./vq_diffusion_fast_scheduler.ts";
export {
  type VQDiffusionPurityOptions,
  VQDiffusionPurityScheduler,
} from "./vq_diffusion_purity_scheduler.ts";
export type {
  SamplingReference,
  TimestepSpacing,
  VQDiffusionSchedulerConfig,
  VQDiffusionSchedulerOptions,
} from "./vq_diffusion_config.ts";
export {
  type SchedulerFromPretrainedOptions,
  type SchedulerStepOptions,
  VQDiffusionScheduler,
  type VQDiffusionSchedulerOutput,
} from "./vq_diffusion_scheduler.ts";
