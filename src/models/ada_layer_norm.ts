/**
 * Layer norm whose scale and shift depend on the timestep.
 *
 * @module
 */

import type { Backend, Frame, HostArray, Tensor } from "../backends/backend.ts";
import { float32Values } from "../backends/host_arrays.ts";
import { LAYER_NORM_EPS } from "./layers.ts";
import type { Parameter, ParameterScope } from "./parameters.ts";

/**
 * norm(x) · (1 + scale) + shift with (scale, shift) = linear(silu(emb(t))), as in diffusers'
 * `AdaLayerNorm`. There are few timesteps, so that all scales and shifts are computed while loading,
 * and embedding and projection need not be kept.
 */
export class AdaLayerNorm {
  readonly #table: Parameter<Table>;

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
      () => 4 * numEmbeddings * 2 * embeddingDim,
    );
  }

  /**
   * Normalises the rows of x (…, embeddingDim).
   *
   * @param timestep One element: the timestep of all rows.
   */
  forward(frame: Frame, x: Tensor, timestep: Tensor<"i32">): Tensor {
    return frame.adaLayerNorm(x, {
      table: this.#table.value.tensor,
      timestep,
      eps: LAYER_NORM_EPS,
    });
  }
}

/** (numEmbeddings, 2 · embeddingDim): scales and shifts, in the memory of a frame. */
interface Table extends Disposable {
  readonly tensor: Tensor;
}

async function makeTable(
  backend: Backend,
  embedding: HostArray,
  weight: HostArray,
  bias: HostArray,
): Promise<Table> {
  // The product is taken once, so that it may as well be exact.
  using linear = backend.linearWeight([weight], [bias], "fp32");
  using input = backend.tensor(float32Values(embedding).map(silu), embedding.shape);
  const frame = backend.frame();
  try {
    const tensor = frame.linear(input, linear);
    await frame.run();
    return { tensor, [Symbol.dispose]: () => frame.dispose() };
  } catch (error) {
    frame.dispose();
    throw error;
  }
}

function silu(x: number): number {
  return x / (1 + Math.exp(-x));
}
