/**
 * The layers that models are made of. Each declares its weights when it is made, and appends its
 * operation to a frame.
 *
 * @module
 */

import type {
  ConvOptions,
  ConvWeight,
  Frame,
  LinearOptions,
  LinearWeight,
  Tensor,
} from "../backends/backend.ts";
import type {
  LinearDeclaration,
  ModelWeights,
  NormParameters,
  Parameter,
} from "./model_weights.ts";

/** The weights below a prefix: `scope.at("attn1").at("to_q")` declares `…attn1.to_q.weight`. */
export class WeightScope {
  constructor(readonly weights: ModelWeights, readonly name: string = "") {}

  /** The weights below a name. */
  at(name: string | number): WeightScope {
    return new WeightScope(this.weights, this.name === "" ? `${name}` : `${this.name}.${name}`);
  }
}

/** y = x·Wᵀ + b; several layers of the same argument are computed as one, side by side. */
export class Linear {
  readonly #weight: Parameter<LinearWeight>;

  constructor(
    scopes: WeightScope | readonly WeightScope[],
    outFeatures: number,
    inFeatures: number,
    options?: LinearDeclaration,
  ) {
    const all = Array.isArray(scopes) ? scopes as readonly WeightScope[] : [scopes as WeightScope];
    const names = all.map(({ name }) => name);
    this.#weight = all[0]!.weights.linear(names, outFeatures, inFeatures, options);
  }

  /** (…, inFeatures) → (…, outFeatures). */
  forward(frame: Frame, x: Tensor, options?: LinearOptions): Tensor {
    return frame.linear(x, this.#weight.value, options);
  }
}

/** Layer norm with a factor and a shift for each column. */
export class LayerNorm {
  readonly #parameters: NormParameters;
  readonly #eps: number;

  constructor(scope: WeightScope, columns: number, eps = 1e-5) {
    this.#parameters = scope.weights.norm(scope.name, columns);
    this.#eps = eps;
  }

  /** (…, columns) → (…, columns). */
  forward(frame: Frame, x: Tensor): Tensor {
    const { weight, bias } = this.#parameters;
    return frame.layerNorm(x, { weight, bias, eps: this.#eps });
  }
}

/** Group norm over pixels, followed by SiLU if wanted. */
export class GroupNorm {
  readonly #parameters: NormParameters;
  readonly #options: { readonly groups: number; readonly eps: number; readonly silu: boolean };

  constructor(scope: WeightScope, channels: number, groups: number, { silu = false } = {}) {
    this.#parameters = scope.weights.norm(scope.name, channels);
    this.#options = { groups, eps: 1e-6, silu };
  }

  /** (batch, height, width, channels) → the same. */
  forward(frame: Frame, x: Tensor): Tensor {
    const { weight, bias } = this.#parameters;
    return frame.groupNorm(x, { weight, bias, ...this.#options });
  }
}

/** 1×1 or 3×3 convolution. */
export class Conv2d {
  readonly #weight: Parameter<ConvWeight>;
  readonly #options: ConvOptions;

  constructor(
    scope: WeightScope,
    outChannels: number,
    inChannels: number,
    kernelSize: 1 | 3,
    options: ConvOptions = {},
  ) {
    this.#weight = scope.weights.conv(scope.name, outChannels, inChannels, kernelSize);
    this.#options = options;
  }

  /** (batch, height, width, inChannels) → (batch, …, outChannels). */
  forward(frame: Frame, x: Tensor, options: ConvOptions = {}): Tensor {
    return frame.conv2d(x, this.#weight.value, { ...this.#options, ...options });
  }
}
