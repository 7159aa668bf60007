/**
 * Config of the text encoder.
 *
 * @module
 */

import type { Activation } from "../backends/backend.ts";
import { refuseRange, refuseType } from "../base/check.ts";
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
 * Checks the config of a text encoder, or of a whole CLIP, whose `text_config` counts; missing fields have
 * the values of OpenAI's ViT-B/32, which are the defaults of transformers.
 *
 * @throws {TypeError} If a field is of the wrong type.
 * @throws {RangeError} If a field is out of range or not supported.
 */
export function parseCLIPTextConfig(given: Config): CLIPTextConfig {
  supportOnly(given, "model_type", ["clip_text_model", "clip"]);
  const { model_type: type = "text_config" in given.values ? "clip" : undefined } = given.values;
  const config = type === "clip" ? textConfig(given) : given;
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

/**
 * The part of the config of a whole CLIP that concerns texts. Of the two forms that transformers has had,
 * `text_config_dict` wins where it is not null.
 */
function textConfig({ values, description }: Config): Config {
  const parts = ["text_config", "text_config_dict"].map((key) => {
    const part = Object.hasOwn(values, key) ? values[key] : undefined;
    if (part === undefined || part === null) return {};
    if (typeof part === "object" && !Array.isArray(part)) return part;
    refuseType({ task: `use ${description}`, name: key }, part, "an object");
  });
  const config = Object.assign({}, ...parts, {
    model_type: "clip_text_model",
    architectures: ["CLIPTextModel"],
  });
  return { description: `text_config of ${description}`, values: config };
}
