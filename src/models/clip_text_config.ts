/**
 * Config of the text encoder.
 *
 * @module
 */

import type { Activation } from "../backends/backend.ts";
import { refuseRange } from "../base/check.ts";
import { type Config, integerField, numberField, stringField } from "../checkpoints/config.ts";
import { supportOnly } from "./support.ts";

/** Config of a `CLIPTextModel`, by the names of transformers. */
export interface CLIPTextConfig {
  /** Number of tokens of the vocabulary. */
  readonly vocabSize: number;
  /** Size of the hidden state of a token. */
  readonly hiddenSize: number;
  /** Size in between the layers of the feed-forward parts. */
  readonly intermediateSize: number;
  /** Number of layers. */
  readonly numHiddenLayers: number;
  /** Number of attention heads. */
  readonly numAttentionHeads: number;
  /** Greatest number of tokens of a text. */
  readonly maxPositionEmbeddings: number;
  /** Activation of the feed-forward parts. */
  readonly hiddenAct: "quick_gelu" | "gelu";
  /** Epsilon of the layer norms. */
  readonly layerNormEps: number;
  /** The config as it was read. */
  readonly json: Readonly<Record<string, unknown>>;
}

/** The operation for each `hiddenAct`. */
export const CLIP_ACTIVATIONS: Readonly<Record<CLIPTextConfig["hiddenAct"], Activation>> = {
  quick_gelu: "quickGelu",
  gelu: "gelu",
};

/**
 * Checks the config of a text encoder; missing fields have the values of OpenAI's ViT-B/32.
 *
 * @throws {TypeError} If a field is of the wrong type.
 * @throws {RangeError} If a field is out of range or not supported.
 */
export function parseCLIPTextConfig(config: Config): CLIPTextConfig {
  supportOnly(config, "model_type", ["clip_text_model"]);
  const hiddenSize = integerField(config, "hidden_size", { min: 1, default: 512 });
  const heads = integerField(config, "num_attention_heads", { min: 1, default: 8 });
  if (hiddenSize % heads !== 0) {
    const subject = { task: `use ${config.description}`, name: "hidden_size" };
    refuseRange(subject, hiddenSize, `a multiple of num_attention_heads, ${heads}`);
  }
  return {
    vocabSize: integerField(config, "vocab_size", { min: 1, default: 49408 }),
    hiddenSize,
    intermediateSize: integerField(config, "intermediate_size", { min: 1, default: 2048 }),
    numHiddenLayers: integerField(config, "num_hidden_layers", { min: 1, default: 12 }),
    numAttentionHeads: heads,
    maxPositionEmbeddings: integerField(config, "max_position_embeddings", {
      min: 1,
      default: 77,
    }),
    hiddenAct: stringField(config, "hidden_act", {
      default: "quick_gelu",
      oneOf: ["quick_gelu", "gelu"],
    }),
    layerNormEps: numberField(config, "layer_norm_eps", { min: 0, default: 1e-5 }),
    json: config.values,
  };
}
