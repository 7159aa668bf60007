/**
 * The layers that models are made of. Each declares its parameters when it is made, and appends its
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
import { type LinearDeclaration, ParameterScope } from "./parameters.ts";
import type { NormParameters, Parameter } from "./parameter_slot.ts";

/** Epsilon of layer norms, PyTorch's default. */
export const LAYER_NORM_EPS = 1e-5;

/** Epsilon of group norms, as diffusers sets it for all of its autoencoders. */
export const GROUP_NORM_EPS = 1e-6;

/** What a part of a residual network is added to. */
export interface Residual {
  /**
   * Tensor of the result's size, used up: the result may take its memory, so that only the result is
   * to be read from then on.
   */
  readonly addTo: Tensor;
}

/** y = x·Wᵀ + b; several layers of the same argument are computed as one, side by side. */
export class Linear {
  readonly #weight: Parameter<LinearWeight>;

  constructor(
    scopes: ParameterScope | readonly [ParameterScope, ...ParameterScope[]],
    inFeatures: number,
    outFeatures: number,
    options?: LinearDeclaration,
  ) {
    const [first, ...others] = scopes instanceof ParameterScope ? [scopes] : scopes;
    const names = [first, ...others].map(({ name }) => name);
    this.#weight = first.parameters.linear(names, inFeatures, outFeatures, options);
  }

  /** (…, inFeatures) → (…, outFeatures); `addTo` is used up, see {@linkcode Residual}. */
  forward(frame: Frame, x: Tensor, options?: LinearOptions): Tensor {
    return frame.linear(x, this.#weight.value, options);
  }
}

/** A table with a row for each id. */
export class Embedding {
  readonly #weight: Parameter<Tensor>;

  constructor(scope: ParameterScope, numEmbeddings: number, embeddingDim: number) {
    const shape = [numEmbeddings, embeddingDim];
    this.#weight = scope.parameters.tensor(`${scope.name}.weight`, shape);
  }

  /** The table (numEmbeddings, embeddingDim). */
  get weight(): Tensor {
    return this.#weight.value;
  }

  /** ids (…) → (…, embeddingDim), plus the row of `positions` of the same place, over and over. */
  forward(frame: Frame, ids: Tensor<"i32">, positions?: Tensor): Tensor {
    return frame.embedding(ids, this.weight, positions);
  }
}

/** Layer norm with a factor and a shift for each column. */
export class LayerNorm {
  readonly #parameters: NormParameters;
  readonly #eps: number;

  constructor(scope: ParameterScope, dim: number, eps: number = LAYER_NORM_EPS) {
    this.#parameters = scope.parameters.norm(scope.name, dim);
    this.#eps = eps;
  }

  /** (…, dim) → (…, dim). */
  forward(frame: Frame, x: Tensor): Tensor {
    const { weight, bias } = this.#parameters;
    return frame.layerNorm(x, { weight, bias, eps: this.#eps });
  }
}

/** Group norm over pixels, followed by SiLU if wanted. */
export class GroupNorm {
  readonly #parameters: NormParameters;
  readonly #options: { readonly groups: number; readonly eps: number; readonly silu: boolean };

  constructor(scope: ParameterScope, groups: number, channels: number, { silu = false } = {}) {
    this.#parameters = scope.parameters.norm(scope.name, channels);
    this.#options = { groups, eps: GROUP_NORM_EPS, silu };
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
    scope: ParameterScope,
    inChannels: number,
    outChannels: number,
    kernelSize: 1 | 3,
    options: Omit<ConvOptions, "addTo"> = {},
  ) {
    this.#weight = scope.parameters.conv(scope.name, inChannels, outChannels, kernelSize);
    this.#options = options;
  }

  /** (batch, height, width, inChannels) → (batch, …, outChannels); `addTo` is used up. */
  forward(frame: Frame, x: Tensor, options?: Residual): Tensor {
    return frame.conv2d(x, this.#weight.value, { ...this.#options, ...options });
  }
}
