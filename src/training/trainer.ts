/**
 * Training, step by step.
 *
 * @module
 */

import {
  checkBoolean,
  checkChoice,
  checkInteger,
  checkNumber,
  checkOptions,
  type Range,
} from "../base/check.ts";
import { promptIds } from "../conditioning/text.ts";
import { TorchGenerator } from "../random/torch_generator.ts";
import type { Seed } from "../random/seed.ts";
import { AdamW } from "./adamw.ts";
import { DiffusionLoss } from "./diffusion_loss.ts";
import { ExponentialMovingAverage } from "./ema.ts";
import { GradientSum } from "./gradient_sum.ts";
import { warmedCosine } from "./learning_rate.ts";
import { Muon } from "./muon.ts";
import { GradientNormError } from "./optimizer.ts";
import { noisedTokens } from "./noised_tokens.ts";
import { TimestepSampler } from "./timestep_sampler.ts";
import type { TrainableModel } from "./trainable_model.ts";
import { CaptionEncoder, ExampleOrder, type TrainingExample } from "./training_examples.ts";
import {
  restoreTrainer,
  type StateArrays,
  stateOf,
  type TrainerParts,
  type TrainingStep,
} from "./trainer_state.ts";

/** Options of a {@linkcode Trainer}. */
export interface TrainerOptions {
  /** Steps in all, over which the learning rate falls. Default 600. */
  readonly steps?: number | undefined;
  /** Pictures of a batch. Default 32. */
  readonly batch?: number | undefined;
  /** Batches of a step, whose gradients are added up: as more pictures would be, with less memory. Default 1. */
  readonly accumulate?: number | undefined;
  /**
   * Whether what blocks and layers compute is forgotten, and computed again for gradients: less memory, more
   * time, the same numbers. Default false.
   */
  readonly recompute?: boolean | undefined;
  /** `"muon"` or `"adamw"`. Default `"muon"`, which learns more per picture. */
  readonly optimizer?: "muon" | "adamw" | undefined;
  /** The greatest learning rate. Default 1.5e-3, for Muon. */
  readonly learningRate?: number | undefined;
  /** Steps in which it rises to that. Default: a twentieth of all, at most 100. */
  readonly warmUp?: number | undefined;
  /** Share of captions that are dropped, so that guidance has something to start from. Default 0.1. */
  readonly captionDropout?: number | undefined;
  /**
   * Weight of −log p(x_0 | x_t) beside the variational bound. It counts masked tokens of all timesteps alike,
   * where the bound's terms are small at late ones, which draw the whole of a picture. Default 0.05;
   * Microsoft's is 5e-4.
   */
  readonly auxiliaryLossWeight?: number | undefined;
  /** Share of the old in the moving average of parameters, which is what is saved. Default 0.99. */
  readonly emaDecay?: number | undefined;
  /** Seed of the order of examples, of timesteps, noise and dropped captions. Default 0. */
  readonly seed?: Seed | undefined;
}

/** What to do where numbers are not finite. */
const ADVICE = "a lower learning rate may help";

/** The options with their defaults. */
export type TrainerSettings = {
  readonly [K in keyof TrainerOptions]-?: NonNullable<TrainerOptions[K]>;
};

/**
 * Trains a model on examples: algorithm 1 of Gu et al. (arXiv 2111.14822), with learned embeddings for
 * dropped captions (Tang et al., arXiv 2205.16007).
 *
 * Two runs with the same examples and options are the same bit for bit on a CPU, on any number of threads; so
 * is one that goes on from the {@linkcode Trainer.state} of another.
 */
export class Trainer implements Disposable {
  /** What is trained. */
  readonly model: TrainableModel;
  /** The options with their defaults. */
  readonly settings: TrainerSettings;
  readonly #examples: readonly TrainingExample[];
  readonly #order: ExampleOrder;
  readonly #captions: CaptionEncoder;
  readonly #parts: TrainerParts;
  readonly #owned: DisposableStack;
  readonly #loss: DiffusionLoss;

  private constructor(
    model: TrainableModel,
    examples: readonly TrainingExample[],
    settings: TrainerSettings,
    average: ExponentialMovingAverage,
  ) {
    this.model = model;
    this.settings = settings;
    this.#examples = examples;
    this.#order = new ExampleOrder(examples.length, settings.seed);
    this.#captions = new CaptionEncoder(model.components);
    using owned = new DisposableStack();
    this.#loss = owned.use(makeLoss(model, settings, this.#captions.length));
    const { learningRate, warmUp, steps } = settings;
    this.#parts = {
      average,
      optimizer: settings.optimizer === "muon" ? owned.use(new Muon(model.backend)) : new AdamW(),
      timesteps: new TimestepSampler(model.components.scheduler.config.numTrainTimesteps),
      learningRate: warmedCosine(learningRate, warmUp, steps),
      generator: new TorchGenerator(settings.seed),
      history: [],
    };
    this.#owned = owned.move();
  }

  /**
   * Makes a trainer of a model, whose parameters change with every step.
   *
   * @param examples At least one, of the model's `vqvae`: `encodePictures`.
   * @throws {TypeError} If an option is of the wrong type.
   * @throws {RangeError} If one is out of range, there is no example, or the memory does not suffice.
   */
  static async create(
    model: TrainableModel,
    examples: readonly TrainingExample[],
    options: TrainerOptions = {},
  ): Promise<Trainer> {
    const settings = trainerSettings(options);
    if (examples.length === 0) {
      throw new RangeError("Cannot train: there are no examples, expected at least one");
    }
    const { emaDecay: decay } = settings;
    const tensors = [...model.tensors.values()];
    const average = await ExponentialMovingAverage.start({ tensors }, { decay });
    return new Trainer(model, examples, settings, average);
  }

  /** What is known of all steps that were done. */
  get history(): readonly TrainingStep[] {
    return this.#parts.history;
  }

  /**
   * Does a step.
   *
   * @throws {RangeError} If the loss or the norm of the gradients is not finite. The trainer is of no use
   *   then: go on from an earlier state.
   */
  async step(): Promise<TrainingStep> {
    const { optimizer, learningRate, average, history } = this.#parts;
    const step = history.length + 1;
    const { accumulate } = this.settings;
    const sum = new GradientSum();
    let loss = 0;
    for (let part = 0; part < accumulate; part++) {
      loss += await this.#computeGradients((step - 1) * accumulate + part) / accumulate;
      checkFinite(step, "loss", loss);
      await sum.add(this.#loss.gradients);
    }
    const rate = learningRate.value;
    const gradNorm = await optimizer.step(sum.gradients, rate).catch((cause: unknown) => {
      if (!(cause instanceof GradientNormError)) throw cause;
      throw new RangeError(`Cannot train: in step ${step}: ${cause.message}; ${ADVICE}`, { cause });
    });
    await average.update();
    learningRate.advance(loss);
    const done = { step, loss, gradNorm, learningRate: rate };
    history.push(done);
    return done;
  }

  /** Computes the loss of a batch and its gradients: the lines of algorithm 1. */
  async #computeGradients(batchNumber: number): Promise<number> {
    const { generator, timesteps: sampler } = this.#parts;
    const { scheduler, transformer } = this.model.components;
    // Pairs of images x_0 and texts y.
    const { x0, ...captions } = await this.#drawExamples(batchNumber);
    // t, of which the losses so far say how likely each is.
    const { timesteps, probabilities } = sampler.draw(generator, this.settings.batch);
    // x_t ~ q(x_t | x_0).
    const classes = transformer.config.numVectorEmbeds;
    const noise = new Float32Array(x0.length * classes);
    generator.fill(noise);
    const xt = noisedTokens(scheduler, { x0, timesteps, noise, classes });
    // L_0 if t = 1 (here 0), else L_(t−1), and λ L_x0; with their gradients.
    const batch = { x0, xt, ...captions, timesteps, probabilities };
    const { loss, bounds } = await this.#loss.compute(batch);
    sampler.update(timesteps, bounds);
    return loss;
  }

  /** Draws images and their captions, of which some are dropped. */
  async #drawExamples(batchNumber: number) {
    const { batch, captionDropout } = this.settings;
    const { learnable } = this.model.components.learnedClassifierFreeSamplingEmbeddings;
    const drawn = Array.from({ length: batch }, (_, i) => {
      return this.#examples[this.#order.at(batchNumber * batch + i)]!;
    });
    const uniform = new Float32Array(batch);
    this.#parts.generator.fill(uniform);
    const dropped = Array.from(uniform, (u) => u < captionDropout);
    // Where nothing is learned for it, the empty caption stands for none.
    const captions = drawn.map(({ caption }, i) => dropped[i] && !learnable ? "" : caption);
    const pixels = drawn[0]!.tokens.length;
    const x0 = new Int32Array(batch * pixels);
    drawn.forEach(({ tokens }, i) => x0.set(tokens, i * pixels));
    const encoded = this.model.parameters.textEncoder
      ? { inputIds: promptIds(this.model.components.tokenizer, captions) }
      : { encoderHiddenStates: await this.#captions.encode(captions) };
    return { x0, ...encoded, dropped: learnable ? dropped : undefined };
  }

  /** Exchanges parameters and their averages, to save or draw with the averages; and back again. */
  async exchangeAverages(): Promise<void> {
    await this.#parts.average.exchange();
  }

  /** All that the next steps depend on, but model, examples and options; to be given to `restore`. */
  async state(): Promise<StateArrays> {
    return await stateOf(this.model, this.#parts);
  }

  /**
   * Goes on from the state of a trainer with the same model, examples and options.
   *
   * @throws {TypeError} If an array is missing or of another size.
   */
  restore(state: StateArrays): void {
    restoreTrainer(this.model, this.#parts, state);
  }

  /** Gives the memory back. */
  dispose(): void {
    this.#owned.dispose();
  }

  /** Gives the memory back. */
  [Symbol.dispose](): void {
    this.dispose();
  }
}

/** Options with their defaults. */
export function trainerSettings(options: TrainerOptions): TrainerSettings {
  const { steps = 600 } = options;
  const settings: TrainerSettings = {
    steps,
    batch: options.batch ?? 32,
    accumulate: options.accumulate ?? 1,
    recompute: options.recompute ?? false,
    optimizer: options.optimizer ?? "muon",
    learningRate: options.learningRate ?? 1.5e-3,
    warmUp: options.warmUp ?? Math.min(100, Math.floor(steps / 20)),
    captionDropout: options.captionDropout ?? 0.1,
    auxiliaryLossWeight: options.auxiliaryLossWeight ?? 0.05,
    emaDecay: options.emaDecay ?? 0.99,
    seed: options.seed ?? 0,
  };
  const task = "train";
  checkOptions(task, options, Object.keys(settings));
  const whole: readonly (readonly [keyof TrainerSettings, Range])[] = [
    ["steps", { min: 1 }],
    ["batch", { min: 1 }],
    ["accumulate", { min: 1 }],
    ["warmUp", { min: 0, max: settings.steps - 1 }],
  ];
  for (const [name, range] of whole) checkInteger({ task, name }, settings[name], range);
  checkBoolean({ task, name: "recompute" }, settings.recompute);
  // Refuses what is no seed.
  new TorchGenerator(settings.seed);
  checkChoice({ task, name: "optimizer" }, settings.optimizer, ["muon", "adamw"]);
  const share = { min: 0, max: 1 };
  checkNumber({ task, name: "learningRate" }, settings.learningRate, { min: 0 });
  checkNumber({ task, name: "captionDropout" }, settings.captionDropout, share);
  checkNumber({ task, name: "auxiliaryLossWeight" }, settings.auxiliaryLossWeight, { min: 0 });
  checkNumber({ task, name: "emaDecay" }, settings.emaDecay, share);
  return settings;
}

/** @throws {RangeError} If the memory does not suffice. */
function makeLoss(
  { components, parameters }: TrainableModel,
  { batch, auxiliaryLossWeight, recompute }: TrainerSettings,
  length: number,
): DiffusionLoss {
  const { transformer, scheduler, learnedClassifierFreeSamplingEmbeddings: embeddings } =
    components;
  const textEncoder = parameters.textEncoder &&
    { model: components.textEncoder, parameters: parameters.textEncoder };
  const unconditional = embeddings.learnable
    ? { embeddings, parameters: parameters.learnedClassifierFreeSamplingEmbeddings }
    : undefined;
  const options = { batch, length, auxiliaryLossWeight, recompute, unconditional, textEncoder };
  try {
    return new DiffusionLoss(transformer, parameters.transformer, scheduler, options);
  } catch (cause) {
    // The options were checked.
    if (!(cause instanceof RangeError)) throw cause;
    const wanted = `fewer pictures, as with accumulate${recompute ? "" : ", or recompute"}`;
    const message = `Cannot train: batch is ${batch}, expected ${wanted}: ${cause.message}`;
    throw new RangeError(message, { cause });
  }
}

function checkFinite(step: number, name: string, value: number): void {
  if (Number.isFinite(value)) return;
  throw new RangeError(
    `Cannot train: the ${name} of step ${step} is ${value}, expected a finite number; ${ADVICE}`,
  );
}
