/**
 * The feed-forward part of a transformer block.
 *
 * @module
 */

import type { Frame, Tensor } from "../backends/backend.ts";
import { Conv2d, Linear, type Residual } from "./layers.ts";
import type { ParameterScope } from "./parameters.ts";

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

/** What the feed-forward part of a block can be made of. */
export const FEED_FORWARD_TYPES: readonly FeedForwardType[] = ["linear", "conv"];

/** `"linear"` layers see each pixel alone, `"conv"` are 3×3 convolutions over the square of pixels. */
export type FeedForwardType = "linear" | "conv";

/** Factor from the size of the argument to that in between. */
const MULT = 4;

/** Two linear layers with an activation in between; diffusers' `FeedForward`. */
export class FeedForward {
  readonly #proj: Linear;
  readonly #out: Linear;
  readonly #gated: boolean;

  constructor(scope: ParameterScope, dim: number, activationFn: FeedForwardActivation) {
    const innerDim = MULT * dim;
    this.#gated = activationFn === "geglu";
    this.#proj = new Linear(scope.at("net.0.proj"), dim, this.#gated ? 2 * innerDim : innerDim);
    this.#out = new Linear(scope.at("net.2"), innerDim, dim);
  }

  /** x (…, dim) → `addTo` (used up) plus the result for x. */
  forward(frame: Frame, x: Tensor, { addTo }: Residual): Tensor {
    using _scope = frame.scope();
    const hidden = this.#gated
      ? frame.geglu(this.#proj.forward(frame, x))
      : this.#proj.forward(frame, x, { activation: "quickGelu" });
    return this.#out.forward(frame, hidden, { addTo });
  }
}

/**
 * Two 3×3 convolutions of the square of pixels with x · sigmoid(1.702 x) in between; `Conv_MLP` in
 * Microsoft's code.
 */
export class ConvFeedForward {
  readonly #proj: Conv2d;
  readonly #out: Conv2d;

  constructor(scope: ParameterScope, dim: number) {
    this.#proj = new Conv2d(scope.at("net.0.proj"), dim, MULT * dim, 3);
    this.#out = new Conv2d(scope.at("net.2"), MULT * dim, dim, 3);
  }

  /** x (batch, height, width, dim) → `addTo` (used up) plus the result for x. */
  forward(frame: Frame, x: Tensor, { addTo }: Residual): Tensor {
    using _scope = frame.scope();
    const hidden = frame.activate(this.#proj.forward(frame, x), "quickGelu");
    return this.#out.forward(frame, hidden, { addTo });
  }
}
