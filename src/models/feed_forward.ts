/**
 * The feed-forward part of a transformer block.
 *
 * @module
 */

import type { Frame, LinearWeight, Tensor } from "../backends/backend.ts";
import type { ModelWeights, Parameter } from "./model_weights.ts";

/** Activation functions that diffusers 0.9.0 knows for transformer blocks. */
export const FEED_FORWARD_ACTIVATIONS: readonly FeedForwardActivation[] = [
  "geglu",
  "geglu-approximate",
];

/**
 * `"geglu"` gates one projection by the exact GELU of another; `"geglu-approximate"` has no gate, in
 * spite of its name: it is x · sigmoid(1.702 x) of one projection.
 */
export type FeedForwardActivation = "geglu" | "geglu-approximate";

/** Factor from the columns of the argument to those in between. */
const EXPANSION = 4;

/** Two linear layers with an activation in between; diffusers' `FeedForward`. */
export class FeedForward {
  readonly #proj: Parameter<LinearWeight>;
  readonly #out: Parameter<LinearWeight>;
  readonly #gated: boolean;

  /** Declares the weights, whose names begin with `name`. */
  constructor(
    weights: ModelWeights,
    name: string,
    columns: number,
    activation: FeedForwardActivation,
  ) {
    const inner = EXPANSION * columns;
    this.#gated = activation === "geglu";
    const width = this.#gated ? 2 * inner : inner;
    this.#proj = weights.linear([`${name}.net.0.proj`], width, columns);
    this.#out = weights.linear([`${name}.net.2`], columns, inner);
  }

  /** Adds the result for x to `addTo`, of the same size. */
  record(frame: Frame, x: Tensor, addTo: Tensor): void {
    using _scope = frame.scope();
    const inner = this.#gated
      ? frame.geglu(frame.linear(x, this.#proj.value))
      : frame.linear(x, this.#proj.value, { activation: "quickGelu" });
    frame.linear(inner, this.#out.value, { addTo });
  }
}
