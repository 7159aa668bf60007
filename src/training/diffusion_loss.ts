/**
 * The loss that the transformer is trained with, and its gradients.
 *
 * @module
 */

import { backward } from "../autograd/backward.ts";
import { TapeFrame } from "../autograd/tape_frame.ts";
import { type Frame, SCHEDULE_COLUMNS, type Tensor } from "../backends/backend.ts";
import { checkBoolean, checkInteger, checkNumber } from "../base/check.ts";
import { elementCount } from "../base/shapes.ts";
import type { Transformer2DModel } from "../models/transformer_2d.ts";
import { type NoiseSchedules, scheduleRows } from "../schedulers/noise_schedules.ts";
import {
  type CaptionBatch,
  CaptionEmbeddings,
  type CaptionSources,
  type TrainableTextEncoder,
  type UnconditionalEmbeddings,
} from "./caption_embeddings.ts";
import { checkValues } from "./check_values.ts";
import type { ParameterGradient } from "./optimizer.ts";
import type { TrainableParameters } from "./trainable_parameters.ts";

/** What cannot be done if a batch does not fit. */
const TASK = "compute DiffusionLoss";

/** Options of {@linkcode DiffusionLoss}. */
export interface DiffusionLossOptions {
  /** Images of a batch. */
  readonly batch: number;
  /** Length of the sequences that the images are conditioned on. */
  readonly length: number;
  /** Weight λ of the auxiliary term, −log p(x_0 | x_t). Default 5e-4, Microsoft's. */
  readonly auxiliaryLossWeight?: number | undefined;
  /** Whether that weight is multiplied by 2 − t/T. Default true. */
  readonly adaptiveAuxiliaryLoss?: boolean | undefined;
  /** Weights of pixels whose x_t is the mask, and of others. Default 1 and 1. */
  readonly maskWeight?: readonly [masked: number, others: number] | undefined;
  /**
   * Whether what blocks and layers compute is forgotten, and computed again for gradients (Chen et al., arXiv
   * 1604.06174): less memory, more time, the same numbers. Default false.
   */
  readonly recompute?: boolean | undefined;
  /** What is trained to take the place of captions that are dropped. Default: none are. */
  readonly unconditional?: UnconditionalEmbeddings | undefined;
  /** The text encoder, to be trained along. Default: it stays as it is, and batches hold what it made. */
  readonly textEncoder?: TrainableTextEncoder | undefined;
}

/** The options that are values, with their defaults. */
type Settings = {
  readonly [K in Exclude<keyof DiffusionLossOptions, keyof CaptionSources>]-?: NonNullable<
    DiffusionLossOptions[K]
  >;
};

/** A batch of images with noise. */
export interface DiffusionBatch extends CaptionBatch {
  /** Images (batch, pixels), ids 0 … classes − 2. */
  readonly x0: Int32Array;
  /** The same with noise (batch, pixels), ids 0 … classes − 1: `noisedTokens`. */
  readonly xt: Int32Array;
  /** (batch): the timestep of each image. */
  readonly timesteps: Int32Array;
  /** (batch): the probability that this timestep was drawn with. */
  readonly probabilities: Float64Array;
}

/** Result of {@linkcode DiffusionLoss.compute}; the terms are sums over pixels, one for each image. */
export interface DiffusionLossResult {
  /** The loss of the batch, per token. */
  readonly loss: number;
  /** The variational bound's term of the timestep: NLL at t = 0, else KL. */
  readonly bounds: Float64Array;
  /** KL(q(x_{t−1} | x_t, x_0) ‖ p(x_{t−1} | x_t)), weighted by `maskWeight`. */
  readonly kl: Float64Array;
  /** −log p(x_{t−1} = x_0 | x_t). */
  readonly nll: Float64Array;
  /** The auxiliary term without its weight: NLL at t = 0, else −log p(x_0 | x_t) by `maskWeight`. */
  readonly auxiliary: Float64Array;
}

/** A parameter and the gradient of the loss by it, in the memory of the {@linkcode DiffusionLoss}. */
export interface TensorGradient extends ParameterGradient {
  /** The gradient. */
  readonly gradient: Tensor;
}

/** Tensors of a recorded loss that each batch fills. */
interface BatchTensors {
  readonly x0: Tensor<"i32">;
  readonly xt: Tensor<"i32">;
  readonly captions: CaptionEmbeddings;
  readonly timesteps: Tensor<"i32">;
  readonly weights: Tensor;
}

/**
 * The training loss of VQ-Diffusion and its gradients (Gu et al., arXiv 2111.14822, algorithm 1), as in
 * Microsoft's `_train_loss`: for an image at timestep t, drawn with probability p_t,
 *
 *   (L + f λ A) / p_t / pixels, averaged over the batch,
 *
 * where L is the term of the variational bound, A the auxiliary one and f = 2 − t/T or 1.
 *
 * Forward and backward pass are recorded once, for batches of one size, and run for each batch.
 */
export class DiffusionLoss implements Disposable {
  /** The gradients of the last batch; parameters that the loss does not depend on are left out. */
  readonly gradients: readonly TensorGradient[];
  readonly #frame: Frame;
  readonly #terms: Tensor;
  readonly #tensors: BatchTensors;
  readonly #options: Settings;
  readonly #numTrainTimesteps: number;
  readonly #mask: number;

  /**
   * Records forward and backward pass.
   *
   * @param transformer A model made with `parameters`.
   * @param schedules Those of the scheduler that the model is to be sampled with.
   * @throws {TypeError} If an option is of the wrong type.
   * @throws {RangeError} If an option is out of range.
   */
  constructor(
    transformer: Transformer2DModel,
    parameters: TrainableParameters,
    schedules: NoiseSchedules,
    options: DiffusionLossOptions,
  ) {
    this.#options = checkOptions(options);
    expectText(transformer);
    this.#numTrainTimesteps = schedules.logAt.length;
    this.#mask = transformer.config.numVectorEmbeds - 1;
    this.#frame = transformer.backend.frame();
    try {
      const tape = new TapeFrame(this.#frame, this.#options);
      const { unconditional, textEncoder } = options;
      const trained = [parameters, unconditional?.parameters, textEncoder?.parameters]
        .filter((parameters) => parameters !== undefined);
      for (const parameters of trained) parameters.record(tape);
      this.#tensors = batchTensors(tape, transformer, this.#options, options);
      this.#terms = recordTerms(tape, transformer, schedules, this.#tensors);
      const tensors = trained.flatMap(({ tensors }) => tensors);
      const gradients = backward(
        tape,
        { result: this.#terms, gradient: this.#tensors.weights },
        tensors.map(({ tensor }) => tensor),
      );
      this.gradients = tensors.flatMap((parameter, i) => {
        const gradient = gradients[i];
        return gradient ? [{ parameter, gradient }] : [];
      });
    } catch (error) {
      this.#frame.dispose();
      throw error;
    }
  }

  /**
   * Computes the loss of a batch and, into `gradients`, its gradients.
   *
   * @throws {TypeError} If an array is missing.
   * @throws {RangeError} If an array is not as long as it has to be, a token or a timestep is out of
   *   range, or a probability is not positive.
   */
  async compute(
    batch: DiffusionBatch,
    { signal }: { readonly signal?: AbortSignal | undefined } = {},
  ): Promise<DiffusionLossResult> {
    this.#check(batch);
    const weights = this.#weights(batch);
    const { x0, xt, captions, timesteps } = this.#tensors;
    captions.write(batch);
    x0.write(batch.x0);
    xt.write(batch.xt);
    timesteps.write(batch.timesteps);
    this.#tensors.weights.write(weights);
    await this.#frame.run({ signal });
    return this.#result(batch, await this.#terms.data());
  }

  /** Gives the memory back, that of the gradients too. */
  dispose(): void {
    this.#frame.dispose();
  }

  /** Gives the memory back, that of the gradients too. */
  [Symbol.dispose](): void {
    this.dispose();
  }

  #check(batch: DiffusionBatch): void {
    const { x0, captions, timesteps } = this.#tensors;
    const [tokens, images] = [elementCount(x0.shape), elementCount(timesteps.shape)];
    const lastTimestep = this.#numTrainTimesteps - 1;
    checkValues(TASK, "x0", batch.x0, tokens, { min: 0, max: this.#mask - 1 });
    checkValues(TASK, "xt", batch.xt, tokens, { min: 0, max: this.#mask });
    captions.check(batch);
    checkValues(TASK, "timesteps", batch.timesteps, images, { min: 0, max: lastTimestep });
    const positive = { min: Number.MIN_VALUE, max: 1 };
    checkValues(TASK, "probabilities", batch.probabilities, images, positive);
  }

  /** What each term counts in the loss: (batch, pixels, 3), in the order of `Frame.diffusionLoss`. */
  #weights({ xt, timesteps, probabilities }: DiffusionBatch): Float32Array {
    const [, pixels] = this.#tensors.xt.shape as [number, number];
    const weights = new Float32Array(3 * xt.length);
    xt.forEach((token, i) => {
      const image = Math.floor(i / pixels);
      const t = timesteps[image]!;
      const scale = 1 / (probabilities[image]! * xt.length);
      const auxiliary = this.#auxiliaryWeight(t) * scale;
      const pixelWeight = this.#pixelWeight(token);
      weights.set(
        t === 0 ? [0, scale + auxiliary, 0] : [scale * pixelWeight, 0, auxiliary * pixelWeight],
        3 * i,
      );
    });
    return weights;
  }

  #pixelWeight(token: number): number {
    return this.#options.maskWeight[token === this.#mask ? 0 : 1];
  }

  #auxiliaryWeight(t: number): number {
    const { auxiliaryLossWeight, adaptiveAuxiliaryLoss } = this.#options;
    return auxiliaryLossWeight * (adaptiveAuxiliaryLoss ? 2 - t / this.#numTrainTimesteps : 1);
  }

  #result(
    { xt, timesteps, probabilities }: DiffusionBatch,
    terms: Float32Array,
  ): DiffusionLossResult {
    const { batch } = this.#options;
    const pixels = xt.length / batch;
    const sums = (term: number, weighted: boolean) => {
      const out = new Float64Array(batch);
      xt.forEach((token, i) => {
        const weight = weighted ? this.#pixelWeight(token) : 1;
        out[Math.floor(i / pixels)]! += weight * terms[3 * i + term]!;
      });
      return out;
    };
    const [kl, nll, direct] = [sums(0, true), sums(1, false), sums(2, true)];
    const atEnd = (other: Float64Array) =>
      other.map((value, image) => timesteps[image] === 0 ? nll[image]! : value);
    const [bounds, auxiliary] = [atEnd(kl), atEnd(direct)];
    const loss = bounds.reduce((sum, bound, image) => {
      const term = bound + this.#auxiliaryWeight(timesteps[image]!) * auxiliary[image]!;
      return sum + term / (probabilities[image]! * xt.length);
    }, 0);
    return { loss, bounds, kl, nll, auxiliary };
  }
}

/** Options with their defaults. */
function checkOptions(options: DiffusionLossOptions): Settings {
  const {
    batch,
    length,
    auxiliaryLossWeight = 5e-4,
    adaptiveAuxiliaryLoss = true,
    maskWeight = [1, 1],
    recompute = false,
  } = options;
  const subject = (name: string) => ({ task: "make DiffusionLoss", name });
  checkInteger(subject("batch"), batch, { min: 1 });
  checkInteger(subject("length"), length, { min: 1 });
  checkNumber(subject("auxiliaryLossWeight"), auxiliaryLossWeight, { min: 0 });
  checkBoolean(subject("adaptiveAuxiliaryLoss"), adaptiveAuxiliaryLoss);
  for (const weight of maskWeight) checkNumber(subject("maskWeight"), weight, { min: 0 });
  checkBoolean(subject("recompute"), recompute);
  return { batch, length, auxiliaryLossWeight, adaptiveAuxiliaryLoss, maskWeight, recompute };
}

/** Refuses models of Microsoft's that draw from something else. */
function expectText({ config: { conditionType } }: Transformer2DModel): void {
  if (conditionType === "text") return;
  const kind = conditionType === "class" ? "draws from classes" : "is unconditional";
  throw new TypeError(
    `Cannot make DiffusionLoss: the transformer ${kind}, expected one that draws from text`,
  );
}

function batchTensors(
  frame: Frame,
  { config }: Transformer2DModel,
  { batch, length }: Settings,
  sources: CaptionSources,
): BatchTensors {
  const pixels = config.sampleSize ** 2;
  const context = [batch, length, config.crossAttentionDim] as const;
  return {
    x0: frame.empty([batch, pixels], "i32"),
    xt: frame.empty([batch, pixels], "i32"),
    captions: new CaptionEmbeddings(frame, context, sources),
    timesteps: frame.empty([batch], "i32"),
    weights: frame.empty([batch, pixels, 3], "f32"),
  };
}

/** The terms of the loss, (batch, pixels, 3). */
function recordTerms(
  frame: Frame,
  transformer: Transformer2DModel,
  schedules: NoiseSchedules,
  { x0, xt, captions, timesteps }: BatchTensors,
): Tensor {
  const table = scheduleRows(schedules);
  const schedule = frame.empty(
    [table.length / SCHEDULE_COLUMNS.length, SCHEDULE_COLUMNS.length],
    "f32",
  );
  schedule.write(table);
  const context = transformer.recordContext(frame, captions.context);
  const logProbs = transformer.record(frame, { sample: xt, context, timestep: timesteps });
  return frame.diffusionLoss(logProbs, { x0, xt, schedule, row: timesteps });
}
