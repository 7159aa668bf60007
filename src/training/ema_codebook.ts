/**
 * A codebook that follows the latents by moving averages.
 *
 * @module
 */

import { checkNumber, refuseType } from "../base/check.ts";
import { checkValues } from "./check_values.ts";
import type { RawGenerator } from "./timestep_sampler.ts";
import type { TrainableParameters, TrainableTensor } from "./trainable_parameters.ts";
import type { VQLossResult } from "./vq_loss.ts";

/** Options of {@linkcode EmaCodebook}. */
export interface EmaCodebookOptions {
  /** Share of the old in an update. Default 0.99, Microsoft's. */
  readonly decay?: number | undefined;
  /** What each code's number of latents begins with. Default 1; Microsoft's 0 makes codes explode. */
  readonly clusterSize?: number | undefined;
  /** A code is dead that has less than this share of the latents of an average code. Default 0.03. */
  readonly deadShare?: number | undefined;
}

/**
 * The codebook of a VQ model as moving averages of the latents that fall to each code (van den Oord et al.,
 * arXiv 1711.00937, appendix A), as Microsoft's `EMAVectorQuantizer`. It takes the place of the codebook's
 * gradient: make the {@linkcode VQLoss} with `codebookWeight: 0`.
 */
export class EmaCodebook {
  /** N: for each code the moving average of the number of its latents. To be stored with a checkpoint. */
  readonly clusterSizes: Float32Array<ArrayBuffer>;
  /** A (codes, vqEmbedDim): that of the sum of its latents. To be stored with a checkpoint. */
  readonly sums: Float32Array<ArrayBuffer>;
  readonly #codebook: TrainableTensor;
  readonly #decay: number;
  readonly #deadShare: number;

  private constructor(codebook: TrainableTensor, values: Float32Array, options: Settings) {
    const { decay, clusterSize, deadShare } = options;
    const [codes] = codebook.tensor.shape as [number, number];
    this.#codebook = codebook;
    this.#decay = decay;
    this.#deadShare = deadShare;
    this.clusterSizes = new Float32Array(codes).fill(clusterSize);
    // Microsoft's begins with the codes themselves, whatever the number is.
    this.sums = Float32Array.from(values, (value) => (clusterSize || 1) * value);
  }

  /**
   * Begins with the codebook of a VQ model that is loaded with `parameters`.
   *
   * @throws {TypeError} If an option is not a number, or there is no codebook.
   * @throws {RangeError} If an option is out of range.
   */
  static async start(
    parameters: TrainableParameters,
    { decay = 0.99, clusterSize = 1, deadShare = 0.03 }: EmaCodebookOptions = {},
  ): Promise<EmaCodebook> {
    const subject = (name: string) => ({ task: "make EmaCodebook", name });
    checkNumber(subject("decay"), decay, { min: 0, max: 1 });
    checkNumber(subject("clusterSize"), clusterSize, { min: 0 });
    checkNumber(subject("deadShare"), deadShare, { min: 0, max: 1 });
    const codebook = parameters.tensors.find(({ arrays }) => arrays[0]?.[0] === CODEBOOK);
    if (codebook === undefined) {
      refuseType(subject("parameters"), parameters, "those of a VQ model that is loaded");
    }
    const values = await codebook.tensor.data();
    return new EmaCodebook(codebook, values, { decay, clusterSize, deadShare });
  }

  /** Codes that hardly any latents have fallen to. */
  get deadCodes(): readonly number[] {
    const least = this.#deadShare * sumOf(this.clusterSizes) / this.clusterSizes.length;
    return [...this.clusterSizes.keys()].filter((code) => this.clusterSizes[code]! < least);
  }

  /**
   * Takes the latents of a batch in, and writes the codebook that follows to the model.
   *
   * @throws {RangeError} If latents and indices are not those of this codebook.
   */
  update({ latents, indices }: Pick<VQLossResult, "latents" | "indices">): void {
    const task = "update EmaCodebook";
    const [codes, dim] = this.#codebook.tensor.shape as [number, number];
    checkValues(task, "indices", indices, indices.length, { min: 0, max: codes - 1 });
    checkValues(task, "latents", latents, indices.length * dim);
    const counts = new Float64Array(codes);
    const sums = new Float64Array(codes * dim);
    indices.forEach((code, i) => {
      counts[code]! += 1;
      for (let c = 0; c < dim; c++) sums[code * dim + c]! += latents[i * dim + c]!;
    });
    const average = (old: number, value: number) => this.#decay * old + (1 - this.#decay) * value;
    counts.forEach((count, k) => this.clusterSizes[k] = average(this.clusterSizes[k]!, count));
    sums.forEach((sum, i) => this.sums[i] = average(this.sums[i]!, sum));
    this.#write();
  }

  /**
   * Puts codes where latents are (Dhariwal et al., arXiv 2005.00341, section 3.1), and writes the codebook to
   * the model.
   *
   * @param latents Those of a batch, of which each code gets one that is drawn.
   * @param codes Default: the dead ones. All of them, at the start of training, spread the codebook.
   * @throws {RangeError} If latents or codes are not those of this codebook.
   */
  restart(
    latents: Float32Array,
    generator: RawGenerator,
    codes: readonly number[] = this.deadCodes,
  ): void {
    const task = "restart codes of EmaCodebook";
    const [count, dim] = this.#codebook.tensor.shape as [number, number];
    checkValues(task, "codes", Int32Array.from(codes), codes.length, { min: 0, max: count - 1 });
    const rows = Math.floor(latents.length / dim);
    checkValues(task, "latents", latents, Math.max(1, rows) * dim);
    // As many latents as an average code has, so that what follows moves it no faster than others.
    const size = sumOf(this.clusterSizes) / count || 1;
    for (const code of codes) {
      const row = generator.random32() % rows;
      this.clusterSizes[code] = size;
      for (let c = 0; c < dim; c++) this.sums[code * dim + c] = size * latents[row * dim + c]!;
    }
    this.#write();
  }

  /** The codebook is A / N, with N smoothed so that it is nowhere 0 and has the same sum. */
  #write(): void {
    const [codes, dim] = this.#codebook.tensor.shape as [number, number];
    const total = sumOf(this.clusterSizes);
    const smoothed = Array.from(
      this.clusterSizes,
      (size) => (size + SMOOTHING) / (total + codes * SMOOTHING) * total,
    );
    const values = this.sums.map((sum, i) => sum / smoothed[Math.floor(i / dim)]!);
    this.#codebook.tensor.write(values);
  }
}

/** Name of the codebook's array. */
const CODEBOOK = "quantize.embedding.weight";

/** Added to the number of latents of each code. */
const SMOOTHING = 1e-5;

type Settings = { readonly [K in keyof EmaCodebookOptions]-?: NonNullable<EmaCodebookOptions[K]> };

function sumOf(values: Float32Array): number {
  return values.reduce((sum, value) => sum + value, 0);
}
