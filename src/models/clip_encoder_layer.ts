/**
 * A layer of the text encoder.
 *
 * @module
 */

import type { Activation, Frame, Tensor } from "../backends/backend.ts";
import { SelfAttention } from "./attention.ts";
import { CLIP_ACTIVATIONS, type CLIPTextConfig } from "./clip_text_config.ts";
import { LayerNorm, Linear } from "./layers.ts";
import type { ParameterScope } from "./parameters.ts";

/**
 * Attention and a feed-forward part, each after a norm and added to the hidden state; transformers'
 * `CLIPEncoderLayer`.
 */
export class CLIPEncoderLayer {
  readonly #layerNorm1: LayerNorm;
  readonly #selfAttn: SelfAttention;
  readonly #layerNorm2: LayerNorm;
  readonly #fc1: Linear;
  readonly #fc2: Linear;
  readonly #activation: Activation;

  constructor(scope: ParameterScope, config: CLIPTextConfig) {
    const { hiddenSize, intermediateSize, numAttentionHeads: heads, layerNormEps } = config;
    this.#layerNorm1 = new LayerNorm(scope.at("layer_norm1"), hiddenSize, layerNormEps);
    this.#selfAttn = new SelfAttention(scope.at("self_attn"), {
      projections: ["q_proj", "k_proj", "v_proj", "out_proj"],
      dim: hiddenSize,
      heads,
      headDim: hiddenSize / heads,
      causal: true,
    });
    this.#layerNorm2 = new LayerNorm(scope.at("layer_norm2"), hiddenSize, layerNormEps);
    this.#fc1 = new Linear(scope.at("mlp.fc1"), hiddenSize, intermediateSize);
    this.#fc2 = new Linear(scope.at("mlp.fc2"), intermediateSize, hiddenSize);
    this.#activation = CLIP_ACTIVATIONS[config.hiddenAct];
  }

  /** x (batch, length, hiddenSize), used up → the same shape. */
  forward(frame: Frame, x: Tensor): Tensor {
    using _scope = frame.scope();
    x = this.#selfAttn.forward(frame, this.#layerNorm1.forward(frame, x), { addTo: x });
    const hidden = this.#fc1.forward(frame, this.#layerNorm2.forward(frame, x), {
      activation: this.#activation,
    });
    return this.#fc2.forward(frame, hidden, { addTo: x });
  }
}
