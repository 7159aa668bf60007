/**
 * A codebook that follows the latents by moving averages.
 *
 * @module
 */

import type { TrainableParameters } from "./trainable_parameters.ts";
import type { RawGenerator } from "./timestep_sampler.ts";
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

  private constructor(clusterSizes: Float32Array<ArrayBuffer>, sums: Float32Array<ArrayBuffer>) {
    this.clusterSizes = clusterSizes;
    this.sums = sums;
  }

  /**
   * Begins with the codebook of a model that is loaded with `parameters`.
   *
   * @throws {TypeError} If an option is not a number, or there is no codebook.
   * @throws {RangeError} If an option is out of range.
   */
  static start(
    _parameters: TrainableParameters,
    _options: EmaCodebookOptions = {},
  ): Promise<EmaCodebook> {
    return Promise.reject(new TypeError("not there yet"));
  }

  /** Codes that hardly any latents have fallen to. */
  get deadCodes(): readonly number[] {
    return [];
  }

  /** Takes the latents of a batch in, and writes the codebook that follows to the model. */
  update(_batch: Pick<VQLossResult, "latents" | "indices">): Promise<void> {
    return Promise.resolve();
  }

  /**
   * Puts codes where latents are (Dhariwal et al., arXiv 2005.00341, section 3.1), and writes the codebook to
   * the model.
   *
   * @param latents Those of a batch, of which each code gets one that is drawn.
   * @param codes Default: the dead ones. All of them, at the start of training, spread the codebook.
   */
  restart(
    _latents: Float32Array,
    _generator: RawGenerator,
    _codes: readonly number[] = this.deadCodes,
  ): void {
  }
}
