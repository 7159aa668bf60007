/**
 * Layer norm whose scale and shift depend on the timestep.
 *
 * @module
 */

import type { Backend, Frame, HostArray, Tensor } from "../backends/backend.ts";
import { float32Values } from "../backends/host_arrays.ts";
import { LAYER_NORM_EPS } from "./layers.ts";
import type { Parameter } from "./parameter_slot.ts";
import type { ParameterScope } from "./parameters.ts";

/**
 * norm(x) · (1 + scale) + shift with (scale, shift) = linear(silu(emb(t))), as in diffusers'
 * `AdaLayerNorm`. There are few timesteps, so that all scales and shifts are computed while loading,
 * and embedding and projection need not be kept.
 */
export class AdaLayerNorm {
  /** (timesteps, 2 · columns): scales and shifts. */
  readonly #table: Parameter<Tensor>;

  /** @param numEmbeddings Number of timesteps. */
  constructor({ parameters, name }: ParameterScope, embeddingDim: number, numEmbeddings: number) {
    parameters.keepPrecise(`${name}.linear`);
    this.#table = parameters.derived(
      [
        [`${name}.emb.weight`, [numEmbeddings, embeddingDim]],
        [`${name}.linear.weight`, [2 * embeddingDim, embeddingDim]],
        [`${name}.linear.bias`, [2 * embeddingDim]],
      ],
      (backend, [embedding, weight, bias]) => makeTable(backend, embedding!, weight!, bias!),
    );
  }

  /**
   * Normalises the rows of x (…, embeddingDim).
   *
   * @param timestep One element: the timestep of all rows.
   */
  forward(frame: Frame, x: Tensor, timestep: Tensor<"i32">): Tensor {
    return frame.adaLayerNorm(x, { table: this.#table.value, timestep, eps: LAYER_NORM_EPS });
  }
}

async function makeTable(
  backend: Backend,
  embedding: HostArray,
  weight: HostArray,
  bias: HostArray,
): Promise<Tensor> {
  // The product is taken once, so that it may as well be exact.
  using linear = backend.linearWeight([weight], [bias], "fp32");
  using input = backend.tensor(float32Values(embedding).map(silu), embedding.shape);
  using frame = backend.frame();
  const table = frame.keep(frame.linear(input, linear));
  try {
    await frame.run();
    return table;
  } catch (error) {
    table.dispose();
    throw error;
  }
}

function silu(x: number): number {
  return x / (1 + Math.exp(-x));
}
