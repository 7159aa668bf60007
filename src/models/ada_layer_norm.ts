/**
 * Layer norm whose scale and shift depend on the timestep.
 *
 * @module
 */

import type { Backend, Frame, HostArray, Tensor } from "../backends/backend.ts";
import { float32Values } from "../backends/host_arrays.ts";
import type { WeightScope } from "./layers.ts";
import type { Parameter } from "./model_weights.ts";

/** Epsilon of the norm, fixed in diffusers. */
const EPS = 1e-5;

/** Sizes of an {@linkcode AdaLayerNorm}. */
export interface AdaLayerNormSizes {
  /** Columns of the argument. */
  readonly columns: number;
  /** Number of timesteps. */
  readonly timesteps: number;
}

/**
 * norm(x) · (1 + scale) + shift with (scale, shift) = linear(silu(emb(t))), as in diffusers'
 * `AdaLayerNorm`. There are few timesteps, so that all scales and shifts are computed while loading,
 * and embedding and projection need not be kept.
 */
export class AdaLayerNorm {
  /** (timesteps, 2 · columns): scales and shifts. */
  readonly #table: Parameter<Tensor>;

  constructor({ weights, name }: WeightScope, { columns, timesteps }: AdaLayerNormSizes) {
    weights.keepPrecise(`${name}.linear`);
    this.#table = weights.derived(
      [
        [`${name}.emb.weight`, [timesteps, columns]],
        [`${name}.linear.weight`, [2 * columns, columns]],
        [`${name}.linear.bias`, [2 * columns]],
      ],
      (backend, [embedding, weight, bias]) => makeTable(backend, embedding!, weight!, bias!),
      () => 4 * timesteps * 2 * columns,
    );
  }

  /**
   * Normalises the rows of x.
   *
   * @param timestep One element: the timestep of all rows.
   */
  forward(frame: Frame, x: Tensor, timestep: Tensor<"i32">): Tensor {
    return frame.adaLayerNorm(x, { table: this.#table.value, timestep, eps: EPS });
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
