/**
 * The feed-forward part of a transformer block.
 *
 * @module
 */

import type { Frame, Tensor } from "../backends/backend.ts";
import type { Residual } from "./attention.ts";
import { Linear, type WeightScope } from "./layers.ts";

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
  readonly #proj: Linear;
  readonly #out: Linear;
  readonly #gated: boolean;

  constructor(weights: WeightScope, columns: number, activation: FeedForwardActivation) {
    const inner = EXPANSION * columns;
    this.#gated = activation === "geglu";
    this.#proj = new Linear(weights.at("net.0.proj"), this.#gated ? 2 * inner : inner, columns);
    this.#out = new Linear(weights.at("net.2"), columns, inner);
  }

  /** x (…, columns) → `addTo` plus the result for x. */
  forward(frame: Frame, x: Tensor, { addTo }: Residual): Tensor {
    using _scope = frame.scope();
    const inner = this.#gated
      ? frame.geglu(this.#proj.forward(frame, x))
      : this.#proj.forward(frame, x, { activation: "quickGelu" });
    return this.#out.forward(frame, inner, { addTo });
  }
}
