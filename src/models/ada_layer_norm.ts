/**
 * Layer norm whose scale and shift depend on the timestep, or on the class.
 *
 * @module
 */

import type { Frame, Tensor } from "../backends/backend.ts";
import { LAYER_NORM_EPS } from "./layers.ts";
import type { Parameter } from "./parameter_slot.ts";
import type { ParameterScope } from "./parameters.ts";

/**
 * norm(x) · (1 + scale) + shift with (scale, shift) = linear(silu(emb(t))), as in diffusers'
 * `AdaLayerNorm`; t may be the label of a class as well. There are few of them, so that all scales and
 * shifts are computed while loading, and embedding and projection need not be kept.
 */
export class AdaLayerNorm {
  /** (embeddings, 2 · columns): scales and shifts. */
  readonly #table: Parameter<Tensor>;

  /** @param numEmbeddings Number of timesteps or classes. */
  constructor({ parameters, name }: ParameterScope, embeddingDim: number, numEmbeddings: number) {
    parameters.keepPrecise(`${name}.linear`);
    this.#table = parameters.computed(
      [
        [`${name}.emb.weight`, [numEmbeddings, embeddingDim]],
        [`${name}.linear.weight`, [2 * embeddingDim, embeddingDim]],
        [`${name}.linear.bias`, [2 * embeddingDim]],
      ],
      (frame, [embedding, weight, bias]) => {
        const linear = frame.pack(weight!, { bias: bias! });
        return frame.linear(frame.activate(embedding!, "silu"), linear);
      },
    );
  }

  /**
   * Normalises the rows of x (…, embeddingDim).
   *
   * @param timestep The timestep or class of all rows, or one for each sequence (first dimension) of x.
   */
  forward(frame: Frame, x: Tensor, timestep: Tensor<"i32">): Tensor {
    return frame.adaLayerNorm(x, { table: this.#table.value, timestep, eps: LAYER_NORM_EPS });
  }
}
