/**
 * The scheduler: noise schedules and the denoising step.
 *
 * @module
 */

import type { Frame, Tensor } from "../backends/backend.ts";
import { expectTensor } from "../backends/expect_tensor.ts";
import { evaluate } from "../backends/evaluate.ts";
import { checkInteger, refuseRange } from "../base/check.ts";
import { readConfig } from "../checkpoints/config.ts";
import type { FolderWriter } from "../files/folder_writer.ts";
import { openFolder, type OpenFolderOptions } from "../checkpoints/folders.ts";
import type { ModelFolder } from "../files/source.ts";
import type { RandomGenerator } from "../random/random_generator.ts";
import { randomSeed } from "../random/seed.ts";
import { TorchGenerator } from "../random/torch_generator.ts";
import { addNoise } from "./add_noise.ts";
import { guidesAtScale, recordPrediction, withoutRow0 } from "./microsoft_sampling.ts";
import {
  type NoiseSchedules,
  noiseSchedules,
  scheduleRows,
  stridedRows,
} from "./noise_schedules.ts";
import {
  checkSteps,
  recordSchedule,
  type SamplingPlan,
  type SamplingStep,
  timestepsOf,
} from "./sampling_plan.ts";
import type { NoiseSizes, RecordedStep, Scheduler, StepInputs } from "./scheduler.ts";
import {
  schedulerConfig,
  schedulerConfigOf,
  type VQDiffusionSchedulerConfig,
  type VQDiffusionSchedulerOptions,
} from "./vq_diffusion_config.ts";

/** Name of the config in a scheduler's folder. */
const CONFIG_FILE = "scheduler_config.json";

/** Options of {@linkcode VQDiffusionScheduler.fromPretrained}. */
export interface SchedulerFromPretrainedOptions extends OpenFolderOptions {
  /** Folder inside `source`, such as `"scheduler"`. Default: `source` itself. */
  readonly subfolder?: string | undefined;
}

/** Options of {@linkcode VQDiffusionScheduler.step}. */
export interface SchedulerStepOptions {
  /** Where the noise comes from. Default: one with a random seed. */
  readonly generator?: RandomGenerator | undefined;
}

/** Result of {@linkcode VQDiffusionScheduler.step}. */
export interface VQDiffusionSchedulerOutput {
  /** Tokens x_{t−1} (batch, pixels), to be disposed of by the caller. */
  readonly prevSample: Tensor<"i32">;
}

/**
 * The mask-and-replace diffusion of Gu et al. (arXiv 2111.14822): diffusers' `VQDiffusionScheduler`.
 * A token is kept with probability α_t, masked with γ_t and replaced by each of the other classes
 * with β_t.
 *
 * @example
 * ```ts
 * import {
 *   type Tensor,
 *   TorchGenerator,
 *   type Transformer2DModel,
 *   VQDiffusionScheduler,
 * } from "@vq-diffusion/vq-diffusion";
 *
 * // Denoises tokens without guidance, and disposes of those it is given.
 * function denoise(
 *   transformer: Transformer2DModel,
 *   encoderHiddenStates: Tensor,
 *   sample: Tensor<"i32">,
 * ): Tensor<"i32"> {
 *   const scheduler = new VQDiffusionScheduler({ numVecClasses: 4097 });
 *   const generator = new TorchGenerator(1);
 *   scheduler.setTimesteps(50);
 *   for (const timestep of scheduler.timesteps) {
 *     using xT = sample;
 *     using logPX0 = transformer.forward({ sample: xT, encoderHiddenStates, timestep });
 *     sample = scheduler.step(logPX0, timestep, xT, { generator }).prevSample;
 *   }
 *   return sample;
 * }
 * ```
 */
export class VQDiffusionScheduler implements NoiseSchedules, Scheduler {
  /** The checked config. */
  readonly config: VQDiffusionSchedulerConfig;
  /** log α_t of every timestep. */
  readonly logAt: Float32Array;
  /** log β_t of every timestep. */
  readonly logBt: Float32Array;
  /** log γ_t of every timestep. */
  readonly logCt: Float32Array;
  /** log ᾱ_t of every timestep, then that of no noise: 0. */
  readonly logCumprodAt: Float32Array;
  /** log β̄_t of every timestep, then that of no noise: −∞. */
  readonly logCumprodBt: Float32Array;
  /** log γ̄_t of every timestep, then that of no noise: −∞. */
  readonly logCumprodCt: Float32Array;
  /** The plan that `setTimesteps` made; without, that of all timesteps. */
  #plan: SamplingPlan | undefined;

  /**
   * Makes the scheduler and its schedules.
   *
   * @throws {TypeError} If an option is missing or not a number.
   * @throws {RangeError} If an option is out of range, or the options do not make probabilities.
   */
  constructor(options: VQDiffusionSchedulerOptions | VQDiffusionSchedulerConfig) {
    this.config = schedulerConfig(options);
    const schedules = noiseSchedules(this.config);
    if (Object.values(schedules).some((values: Float32Array) => values.some(Number.isNaN))) {
      const { alphaCumStart, alphaCumEnd, gammaCumStart, gammaCumEnd } = this.config;
      throw new RangeError(
        `Cannot make a noise schedule that keeps ${alphaCumStart} to ${alphaCumEnd} and masks ` +
          `${gammaCumStart} to ${gammaCumEnd}: expected the one to fall, the other to rise and ` +
          `their sum to be at most 1`,
      );
    }
    this.logAt = schedules.logAt;
    this.logBt = schedules.logBt;
    this.logCt = schedules.logCt;
    this.logCumprodAt = schedules.logCumprodAt;
    this.logCumprodBt = schedules.logCumprodBt;
    this.logCumprodCt = schedules.logCumprodCt;
  }

  /**
   * Makes the scheduler of a config as in diffusers' `scheduler_config.json`, or of another scheduler's.
   *
   * @throws {TypeError} If a field is missing or not a number.
   * @throws {RangeError} If a field is out of range.
   */
  static fromConfig(
    values: Readonly<Record<string, unknown>> | VQDiffusionSchedulerConfig,
    description?: string,
  ): VQDiffusionScheduler {
    const config = schedulerConfigOf(values, description);
    try {
      return new VQDiffusionScheduler(config);
    } catch (error) {
      // What does not fit each other names no file by itself.
      if (!(error instanceof RangeError)) throw error;
      const place = description === undefined ? "" : `, in ${description}`;
      throw new RangeError(`${error.message}${place}`, { cause: error });
    }
  }

  /**
   * Loads the scheduler from a folder in the layout of diffusers.
   *
   * @param source Path, `file:` or `http(s):` URL, or an open folder.
   * @throws {TypeError} If a field is missing or not a number.
   * @throws {RangeError} If a field is out of range.
   */
  static async fromPretrained(
    source: string | URL | ModelFolder,
    options: SchedulerFromPretrainedOptions = {},
  ): Promise<VQDiffusionScheduler> {
    const root = await openFolder(source, options);
    const folder = options.subfolder === undefined ? root : root.folder(options.subfolder);
    const { values, description } = await readConfig(folder, CONFIG_FILE);
    return VQDiffusionScheduler.fromConfig(values, description);
  }

  /**
   * Saves the config as diffusers' `scheduler_config.json`.
   *
   * @param target Path of a folder, which is made if need be; or a folder that is being written.
   */
  async savePretrained(target: string | FolderWriter): Promise<void> {
    if (typeof target !== "string") {
      return await target.writeText(CONFIG_FILE, `${JSON.stringify(this.config.json, null, 2)}\n`);
    }
    const { writeFolder } = await import("../files/folder_writer.ts");
    await using folder = await writeFolder(target);
    await this.savePretrained(folder);
    await folder.commit();
  }

  /** The timesteps of a run, in order: at first all of the training, from the last to 0. */
  get timesteps(): Int32Array {
    return Int32Array.from(this.#currentPlan.steps, ({ timestep }) => timestep);
  }

  /** The class of masked tokens: the last one. */
  get maskClass(): number {
    return this.config.numVecClasses - 1;
  }

  /**
   * Sets the number of timesteps of a run. As in diffusers they are n − 1, …, 0, unless the config asks
   * for strided ones, which are spread over those of the training.
   *
   * @throws {RangeError} If n is not an integer from 1 to the number of timesteps of the training.
   */
  setTimesteps(n: number): void {
    this.#plan = this.plan(n);
  }

  /**
   * Plans a run of n steps. Leading ones are at the timesteps n − 1, …, 0 as in diffusers, where the
   * table is the whole schedule and the row of a step its timestep. Strided and cosine ones are spread over
   * all timesteps, where the table has the exact transition from each to the next; T of T are the same
   * steps as leading ones.
   *
   * @throws {RangeError} If n is not an integer from 1 to the number of timesteps of the training.
   */
  plan(n: number): SamplingPlan {
    const { numTrainTimesteps, timestepSpacing } = this.config;
    checkSteps(n, numTrainTimesteps);
    const timesteps = timestepsOf(timestepSpacing, n, numTrainTimesteps);
    const table = timestepSpacing === "leading"
      ? scheduleRows(this)
      : stridedRows(this.config, this, timesteps);
    const steps = timesteps.map((timestep, row) => ({ timestep, row })).reverse();
    return this.#isMicrosofts ? withoutRow0({ table, steps }) : { table, steps };
  }

  /** Whether there is guidance at this scale: as in diffusers above 1, as in Microsoft's code at all but 1. */
  guides(guidanceScale: number): boolean {
    return this.#isMicrosofts ? guidesAtScale(guidanceScale) : guidanceScale > 1;
  }

  /**
   * Records a step on a frame: guidance, truncation, posterior, Gumbel noise and argmax.
   *
   * @throws {TypeError} If an argument is of the wrong type.
   * @throws {RangeError} If an argument is of the wrong shape or out of range.
   */
  recordStep(frame: Frame, inputs: StepInputs): RecordedStep {
    const { plan, logProbs, tokens, guidanceScale, truncationRate, topK } = this.#isMicrosofts
      ? recordPrediction(frame, inputs)
      : inputs;
    const [batch, pixels] = tokens.shape as [number, number];
    const noise = frame.empty([batch, this.config.numVecClasses, pixels], "f32");
    const { schedule, row } = recordSchedule(frame, plan);
    frame.sampleStep(logProbs, {
      latents: tokens,
      noise,
      schedule,
      row,
      guidanceScale,
      truncationRate,
      topK,
    });
    return {
      write: (step, values) => {
        row.write(Int32Array.of(step.row));
        noise.write(values);
      },
      run: (options) => frame.run(options),
    };
  }

  /**
   * Draws the noise of a step: one uniform number for each class of a token, at row 0, which is the last
   * step of diffusers, for each but the mask.
   *
   * @returns (batch, classes, pixels); at row 0 (batch, classes − 1, pixels) and elements without meaning.
   */
  drawNoise(
    { row }: SamplingStep,
    { batch, pixels }: NoiseSizes,
    generator: RandomGenerator,
    out: Float32Array = new Float32Array(batch * this.config.numVecClasses * pixels),
  ): Float32Array {
    const classes = row === 0 ? this.maskClass : this.maskClass + 1;
    generator.fill(out.subarray(0, batch * classes * pixels));
    return out;
  }

  /**
   * Draws tokens as they are at a timestep: x_t from q(x_t | x_0) (equation 8 of the paper).
   *
   * @param tokens x_0 (batch · pixels), which stay as they are; masked ones stay masked.
   * @returns x_t (batch · pixels).
   * @throws {RangeError} If the timestep is none of the training, or the number of tokens does not fit.
   */
  addNoise(
    tokens: Int32Array,
    timestep: number,
    sizes: NoiseSizes,
    generator: RandomGenerator,
  ): Int32Array {
    const task = "add noise";
    const max = this.config.numTrainTimesteps - 1;
    checkInteger({ task, name: "timestep" }, timestep, { min: 0, max });
    if (tokens.length !== sizes.batch * sizes.pixels) {
      const expected = `${sizes.batch} · ${sizes.pixels}`;
      refuseRange({ task, name: "tokens.length" }, tokens.length, expected);
    }
    return addNoise(tokens, timestep, {
      schedules: this,
      maskClass: this.maskClass,
      sizes,
      generator,
    });
  }

  /**
   * log q(x_{t−1} | x_t, x_0), weighted by the prediction of x_0 (equation 11 of the paper).
   *
   * @param logPX0 log p(x0) (batch, classes − 1, pixels).
   * @param xT Tokens x_t (batch, pixels).
   * @param t Timestep. At 0, x_{t−1} is taken to be without noise.
   * @returns (batch, classes, pixels), to be disposed of by the caller.
   * @throws {TypeError} If an argument is of the wrong type.
   * @throws {RangeError} If an argument is of the wrong shape or out of range.
   */
  qPosterior(logPX0: Tensor, xT: Tensor<"i32">, t: number): Tensor {
    this.#check("VQDiffusionScheduler.qPosterior()", logPX0, xT, t);
    const record = (frame: Frame) => {
      const plan = this.#ordinaryStep(t);
      const options = recordSchedule(frame, plan);
      options.row.write(Int32Array.of(plan.steps[0]!.row));
      const logProbs = frame.posterior(frame.transpose(logPX0), xT, options);
      return frame.keep(frame.transpose(logProbs));
    };
    return evaluate(logPX0.backend, record);
  }

  /**
   * Takes the step that the plan has at a timestep: draws x_{t−1}, adding Gumbel noise to the posterior,
   * or at timestep 0 to the prediction itself, and taking the class of the greatest sum.
   *
   * @param logPX0 log p(x0) (batch, classes − 1, pixels).
   * @param t One of `timesteps`; from another one of the training an ordinary step is taken.
   * @param xT Tokens x_t (batch, pixels), which stay as they are.
   * @throws {TypeError} If an argument is of the wrong type.
   * @throws {RangeError} If an argument is of the wrong shape or out of range.
   */
  step(
    logPX0: Tensor,
    t: number,
    xT: Tensor<"i32">,
    { generator = randomGenerator() }: SchedulerStepOptions = {},
  ): VQDiffusionSchedulerOutput {
    const what = "VQDiffusionScheduler.step()";
    this.#check(what, logPX0, xT, t);
    if (typeof generator?.fill !== "function") {
      throw new TypeError(`${what}: generator has no method fill, expected a RandomGenerator`);
    }
    const [batch, pixels] = xT.shape as [number, number];
    const ofRun = this.#currentPlan;
    const plan = ofRun.steps.some(({ timestep }) => timestep === t) ? ofRun : this.#ordinaryStep(t);
    const step = plan.steps.find(({ timestep }) => timestep === t)!;
    const record = (frame: Frame) => {
      const prevSample = frame.repeat(xT, 1);
      const logProbs = frame.transpose(logPX0);
      const recorded = this.recordStep(frame, { plan, logProbs, tokens: prevSample });
      recorded.write(step, this.drawNoise(step, { batch, pixels }, generator));
      return { prevSample: frame.keep(prevSample) };
    };
    return evaluate(logPX0.backend, record);
  }

  get #isMicrosofts(): boolean {
    return this.config.samplingReference === "microsoft";
  }

  get #currentPlan(): SamplingPlan {
    return this.#plan ??= this.plan(this.config.numTrainTimesteps);
  }

  /** The plan of one step at any timestep of the training, by the whole schedule. */
  #ordinaryStep(t: number): SamplingPlan {
    const plan = { table: scheduleRows(this), steps: [{ timestep: t, row: t }] };
    return this.#isMicrosofts ? withoutRow0(plan) : plan;
  }

  #check(what: string, logPX0: Tensor, xT: Tensor<"i32">, t: number): void {
    expectTensor(`${what}: xT`, xT, "i32", ["batch", "pixels"]);
    const [batch, pixels] = xT.shape as [number, number];
    expectTensor(`${what}: logPX0`, logPX0, "f32", [batch, this.maskClass, pixels]);
    const last = this.config.numTrainTimesteps - 1;
    if (!Number.isSafeInteger(t) || t < 0 || t > last) {
      throw new RangeError(`${what}: t is ${t}, expected an integer from 0 to ${last}`);
    }
  }
}

function randomGenerator(): RandomGenerator {
  return new TorchGenerator(randomSeed());
}
