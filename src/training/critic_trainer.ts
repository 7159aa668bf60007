/**
 * Training of the critic that an image autoencoder is trained with.
 *
 * @module
 */

import { backward } from "../autograd/backward.ts";
import { TapeFrame } from "../autograd/tape_frame.ts";
import type { Backend, Frame, Tensor } from "../backends/backend.ts";
import { refuseRange } from "../base/check.ts";
import { elementCount } from "../base/shapes.ts";
import { channelsLast } from "../models/image_layout.ts";
import type { Seed } from "../random/seed.ts";
import { AdamW } from "./adamw.ts";
import { checkValues } from "./check_values.ts";
import type { TensorGradient } from "./diffusion_loss.ts";
import { PatchCritic } from "./patch_critic.ts";
import type { TrainableTensor } from "./trainable_parameters.ts";
import {
  readTensorState,
  type StateArray,
  type StateArrays,
  tensorState,
} from "./trainer_state.ts";
import { meanOf } from "./vq_terms.ts";

/** Fewest pixels of a side that there is a score of. */
const LEAST_SIDE = 8;

/** What the names of the critic's arrays in a state begin with. */
const PREFIX = "critic.";

/**
 * Teaches a critic to tell pictures from reconstructions, by least squares: its scores shall be 1 for pictures
 * and 0 for reconstructions (Mao et al., arXiv 1611.04076, equation 9).
 */
export class CriticTrainer implements Disposable {
  /** The critic, whose parameters change with every step. */
  readonly critic: PatchCritic;
  readonly #tensors: ReadonlyMap<string, TrainableTensor>;
  readonly #optimizer = new AdamW({ betas: [0.5, 0.9], weightDecay: 1e-4, maxGradNorm: 1 });
  readonly #frame: Frame;
  readonly #images: Tensor;
  readonly #errors: Tensor;
  /** Those of the last step, before clipping. */
  readonly gradients: readonly TensorGradient[];

  private constructor(frame: Frame, critic: PatchCritic, [batch, ...image]: readonly number[]) {
    this.critic = critic;
    this.#frame = frame;
    const { tensors } = critic.parameters;
    this.#tensors = new Map(tensors.map((tensor) => [tensor.arrays[0]![0], tensor]));
    const tape = new TapeFrame(frame);
    critic.parameters.record(tape);
    // Both in one batch, as no image changes the score of another.
    this.#images = tape.empty([2 * batch!, ...image], "f32");
    const { scores } = critic.record(tape, channelsLast(tape, this.#images));
    const count = elementCount(scores.shape);
    const wanted = tape.empty(scores.shape, "f32");
    wanted.write(new Float32Array(count).fill(1, 0, count / 2));
    this.#errors = tape.distance(scores, wanted, "l2");
    const sources = tensors.map(({ tensor }) => tensor);
    const gradients = backward(tape, meanOf(tape, this.#errors, 1), sources);
    this.gradients = tensors.map((parameter, i) => ({ parameter, gradient: gradients[i]! }));
  }

  /**
   * Makes a critic, and records forward and backward pass.
   *
   * @param shape Of a batch of pictures: (batch, channels, height, width).
   * @param seed Seed of its random weights.
   * @throws {RangeError} If a side is less than 8.
   */
  static async create(
    backend: Backend,
    shape: readonly number[],
    seed: Seed,
  ): Promise<CriticTrainer> {
    const side = Math.min(shape[2]!, shape[3]!);
    if (side < LEAST_SIDE) {
      const subject = { task: "train a critic", name: "the smaller side of pictures" };
      refuseRange(subject, side, `at least ${LEAST_SIDE} pixels`);
    }
    const critic = await PatchCritic.create(backend, shape[1]!, seed);
    const frame = backend.frame();
    try {
      return new CriticTrainer(frame, critic, shape);
    } catch (error) {
      frame.dispose();
      critic.dispose();
      throw error;
    }
  }

  /**
   * Does a step.
   *
   * @param pictures (batch, channels, height, width), values in −1…1.
   * @param reconstructions The same of what the autoencoder makes of them.
   * @returns The mean square of the scores' errors: 0.25 if it cannot tell them apart.
   * @throws {RangeError} If they are not as long as they have to be or have a value that is no number, or the
   *   norm of the gradients is not finite.
   */
  async step(
    pictures: Float32Array,
    reconstructions: Float32Array,
    learningRate: number,
  ): Promise<number> {
    const size = elementCount(this.#images.shape) / 2;
    checkValues("train a critic", "pictures", pictures, size);
    checkValues("train a critic", "reconstructions", reconstructions, size);
    const both = new Float32Array(2 * size);
    both.set(pictures);
    both.set(reconstructions, size);
    this.#images.write(both);
    await this.#frame.run();
    const errors = await this.#errors.data();
    await this.#optimizer.step(this.gradients, learningRate);
    return errors.reduce((sum, error) => sum + error, 0) / errors.length;
  }

  /** All that the next steps depend on. */
  async state(): Promise<[name: string, array: StateArray][]> {
    const state = await tensorState(this.#tensors, this.#optimizer);
    return Array.from(state, ([name, array]) => [PREFIX + name, array]);
  }

  /**
   * Reads what {@linkcode state} gave.
   *
   * @returns Goes on from there.
   * @throws {TypeError} If an array is missing or of another size.
   */
  read(state: StateArrays): () => void {
    const own = [...state].filter(([name]) => name.startsWith(PREFIX))
      .map(([name, array]) => [name.slice(PREFIX.length), array] as const);
    const restore = readTensorState(this.#tensors, new Map(own));
    return () => restore(this.#optimizer);
  }

  /** Gives the memory back, the critic's too. */
  dispose(): void {
    this.#frame.dispose();
    this.critic.dispose();
  }

  /** Gives the memory back, the critic's too. */
  [Symbol.dispose](): void {
    this.dispose();
  }
}
