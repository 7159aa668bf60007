/**
 * Training an image autoencoder, step by step.
 *
 * @module
 */

import { checkInteger, checkNumber, checkOptions } from "../base/check.ts";
import type { RasterImage } from "../images/raster_image.ts";
import type { VQModel } from "../models/vq_model.ts";
import type { Seed } from "../random/seed.ts";
import { TorchGenerator } from "../random/torch_generator.ts";
import { AdamW } from "./adamw.ts";
import { CriticTrainer } from "./critic_trainer.ts";
import { EmaCodebook } from "./ema_codebook.ts";
import { type CosineLearningRate, warmedCosine } from "./learning_rate.ts";
import type { PatchCritic } from "./patch_critic.ts";
import type { TrainableParameters, TrainableTensor } from "./trainable_parameters.ts";
import {
  floats,
  missing,
  numbers,
  readTensorState,
  type StateArrays,
  tensorState,
} from "./trainer_state.ts";
import { ExampleOrder } from "./training_examples.ts";
import { VQLoss } from "./vq_loss.ts";

/** Options of a {@linkcode VQTrainer}. */
export interface VQTrainerOptions {
  /** Steps in all, over which the learning rate falls. Default 2000. */
  readonly steps?: number | undefined;
  /** Pictures of a batch. Default 8. */
  readonly batch?: number | undefined;
  /** The greatest learning rate. Default 6e-4. */
  readonly learningRate?: number | undefined;
  /**
   * Weight of a {@linkcode PatchCritic}'s terms beside the mean of |x̂ − x|, in the second half of the steps. With
   * 0.1 pictures are crisper. Default 0: there is no critic.
   */
  readonly criticWeight?: number | undefined;
  /** Seed of the order of pictures, of codes that begin anew and of the critic. Default 0. */
  readonly seed?: Seed | undefined;
}

/** The options with their defaults. */
export type VQTrainerSettings = {
  readonly [K in keyof VQTrainerOptions]-?: NonNullable<VQTrainerOptions[K]>;
};

/** What is known of a step. */
export interface VQTrainingStep {
  /** Its number, from 1 on. */
  readonly step: number;
  /** Mean of |x̂ − x|, with colours in −1 … 1. */
  readonly reconstruction: number;
  /** How many codes are in use. */
  readonly codes: number;
  /**
   * How well the critic tells pictures from reconstructions: the mean square of its errors, 0.25 if not at all.
   * Undefined while there is none.
   */
  readonly critic: number | undefined;
}

/** Steps after which codes that nothing falls to begin anew, until more than half of all steps are done. */
const RESTART_EVERY = 20;

/**
 * Shares of all steps after which the critic learns, and after which it counts. Before that reconstructions are
 * so rough that there is nothing to learn of it.
 */
const [CRITIC_LEARNS, CRITIC_COUNTS] = [0.5, 0.55];

/** Learning rate of the critic. */
const CRITIC_RATE = 1e-3;

/** Most steps in which the learning rate rises. */
const MOST_WARM_UP = 100;

/**
 * Trains an image autoencoder on pictures of one size: by the mean of |x̂ − x|, with a codebook of moving
 * averages (van den Oord et al., arXiv 1711.00937, appendix A), whose codes begin at latents of the first
 * batch. If that is wanted, a critic counts as in VQGAN (Esser et al., arXiv 2012.09841, equation 6).
 */
export class VQTrainer implements Disposable {
  /** The options with their defaults. */
  readonly settings: VQTrainerSettings;
  readonly #pictures: readonly Uint8Array[];
  readonly #order: ExampleOrder;
  readonly #tensors: ReadonlyMap<string, TrainableTensor>;
  readonly #makeLoss: (critic: PatchCritic | undefined) => VQLoss;
  #critic: CriticTrainer | undefined;
  #loss: VQLoss;
  #judged = false;
  readonly #codebook: EmaCodebook;
  readonly #optimizer = new AdamW({ betas: [0.9, 0.95], weightDecay: 1e-4, maxGradNorm: 1 });
  readonly #rate: CosineLearningRate;
  readonly #generator: TorchGenerator;

  private constructor(
    model: VQModel,
    parameters: TrainableParameters,
    pictures: readonly Uint8Array[],
    side: number,
    settings: VQTrainerSettings,
    codebook: EmaCodebook,
  ) {
    const { steps, batch, learningRate, criticWeight, seed } = settings;
    this.settings = settings;
    this.#pictures = pictures;
    this.#order = new ExampleOrder(pictures.length, seed);
    this.#tensors = new Map(
      parameters.tensors.map((tensor) => [`vqvae.${tensor.arrays[0]![0]}`, tensor]),
    );
    const sizes = { batch, height: side, width: side };
    const options = { ...sizes, reconstruction: "l1", codebookWeight: 0 } as const;
    this.#makeLoss = (judge) =>
      new VQLoss(model, parameters, options, judge && { critic: judge, weight: criticWeight });
    this.#loss = this.#makeLoss(undefined);
    this.#codebook = codebook;
    const warmUp = Math.min(MOST_WARM_UP, Math.floor(steps / 20));
    this.#rate = warmedCosine(learningRate, warmUp, steps);
    this.#generator = new TorchGenerator(seed);
  }

  /**
   * Makes a trainer of a model with `parameters`, which change with every step.
   *
   * @param pictures At least one, squares of one size.
   * @throws {TypeError} If an option is of the wrong type.
   * @throws {RangeError} If one is out of range.
   */
  static async create(
    model: VQModel,
    parameters: TrainableParameters,
    pictures: readonly RasterImage[],
    options: VQTrainerOptions = {},
  ): Promise<VQTrainer> {
    const settings = vqTrainerSettings(options);
    const [first] = pictures;
    if (first === undefined) {
      throw new RangeError("Cannot train: there are no pictures, expected at least one");
    }
    const codebook = await EmaCodebook.start(parameters);
    // As bytes, which take a sixteenth of what floats with alpha would.
    const colors = pictures.map(colorBytes);
    const trainer = new VQTrainer(model, parameters, colors, first.width, settings, codebook);
    if (settings.criticWeight === 0) return trainer;
    const shape = [settings.batch, model.config.inChannels, first.height, first.width];
    try {
      trainer.#critic = await CriticTrainer.create(model.backend, shape, settings.seed);
      return trainer;
    } catch (error) {
      trainer.dispose();
      throw error;
    }
  }

  /** How many steps were done. */
  get steps(): number {
    return this.#optimizer.steps;
  }

  /**
   * Does a step.
   *
   * @throws {RangeError} If the loss or the norm of the gradients is not finite.
   */
  async step(): Promise<VQTrainingStep> {
    const done = this.steps;
    const images = this.#batch(done);
    if (done === 0) {
      const { latents } = await this.#loss.compute(images);
      this.#codebook.restart(latents, this.#generator, [...this.#codebook.clusterSizes.keys()]);
    }
    this.#judge(done);
    const result = await this.#loss.compute(images);
    await this.#optimizer.step(this.#loss.gradients, this.#rate.value);
    const critic = done < CRITIC_LEARNS * this.settings.steps
      ? undefined
      : await this.#critic?.step(images, result.decoded, CRITIC_RATE);
    this.#codebook.update(result);
    if (done % RESTART_EVERY === RESTART_EVERY - 1 && done < this.settings.steps / 2) {
      this.#codebook.restart(result.latents, this.#generator);
    }
    this.#rate.advance();
    const { clusterSizes, deadCodes } = this.#codebook;
    const codes = clusterSizes.length - deadCodes.length;
    return { step: done + 1, reconstruction: result.reconstruction, codes, critic };
  }

  /** All that the next steps depend on, but model, pictures and options; to be given to `restore`. */
  async state(): Promise<StateArrays> {
    const state = await tensorState(this.#tensors, this.#optimizer);
    for (const [name, array] of await this.#critic?.state() ?? []) state.set(name, array);
    return state
      .set("codebook.clusterSizes", this.#codebook.clusterSizes.slice())
      .set("codebook.sums", this.#codebook.sums.slice())
      .set("learningRate", Float64Array.from(this.#rate.state))
      .set("generator", this.#generator.getState());
  }

  /**
   * Goes on from the state of a trainer with the same model, pictures and options.
   *
   * @throws {TypeError} If an array is missing or of another size.
   */
  restore(state: StateArrays): void {
    const { clusterSizes, sums } = this.#codebook;
    const restoreTensors = readTensorState(this.#tensors, state);
    const restoreCritic = this.#critic?.read(state);
    const rate = numbers(state, "learningRate");
    const sizes = floats(state, "codebook.clusterSizes", clusterSizes.length);
    const totals = floats(state, "codebook.sums", sums.length);
    const words = state.get("generator");
    if (!(words instanceof Uint32Array)) throw missing("generator");
    this.#generator.setState(words);
    restoreTensors(this.#optimizer);
    restoreCritic?.();
    this.#rate.state = [...rate];
    clusterSizes.set(sizes);
    sums.set(totals);
  }

  /** Gives the memory back. */
  dispose(): void {
    this.#loss.dispose();
    this.#critic?.dispose();
  }

  /** Gives the memory back. */
  [Symbol.dispose](): void {
    this.dispose();
  }

  /** Lets the critic count from a step on. */
  #judge(done: number): void {
    const judged = this.#critic !== undefined && done >= CRITIC_COUNTS * this.settings.steps;
    if (judged === this.#judged) return;
    this.#loss.dispose();
    this.#loss = this.#makeLoss(judged ? this.#critic?.critic : undefined);
    this.#judged = judged;
  }

  /** The pictures of a step, (batch, 3, height, width) from −1 to 1. */
  #batch(step: number): Float32Array {
    const { batch } = this.settings;
    const size = this.#pictures[0]!.length;
    const images = new Float32Array(batch * size);
    for (let i = 0; i < batch; i++) {
      const bytes = this.#pictures[this.#order.at(step * batch + i)]!;
      for (let j = 0; j < size; j++) images[i * size + j] = bytes[j]! / 127.5 - 1;
    }
    return images;
  }
}

/** Options with their defaults. */
export function vqTrainerSettings(options: VQTrainerOptions): VQTrainerSettings {
  const task = "train the vqvae";
  const { steps = 2000, batch = 8, learningRate = 6e-4, criticWeight = 0, seed = 0 } = options;
  checkOptions(task, options, ["steps", "batch", "learningRate", "criticWeight", "seed"]);
  checkInteger({ task, name: "steps" }, steps, { min: 1 });
  checkInteger({ task, name: "batch" }, batch, { min: 1 });
  checkNumber({ task, name: "learningRate" }, learningRate, { min: 0 });
  checkNumber({ task, name: "criticWeight" }, criticWeight, { min: 0 });
  return { steps, batch, learningRate, criticWeight, seed };
}

/** The colours of a picture, on white where it is transparent: (3, height, width). */
function colorBytes(picture: RasterImage): Uint8Array {
  const colors = picture.toFloat32();
  const pixels = colors.length / 3;
  return Uint8Array.from({ length: colors.length }, (_, i) => {
    return Math.round(255 * colors[3 * (i % pixels) + Math.floor(i / pixels)]!);
  });
}
