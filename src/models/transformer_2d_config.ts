/**
 * Config of the transformer.
 *
 * @module
 */

import { refuseRange } from "../base/check.ts";
import { booleanField, type Config, integerField, stringField } from "../checkpoints/config.ts";
import { FEED_FORWARD_ACTIVATIONS, type FeedForwardActivation } from "./feed_forward.ts";
import { type SupportedValues, supportOnly, supportTable } from "./support.ts";

/** Fields of diffusers 0.9 to 0.40 that have one meaning here. */
const SUPPORTED: SupportedValues = {
  only_cross_attention: [false],
  use_linear_projection: [false],
  dual_cross_attention: [false],
  double_self_attention: [false],
  upcast_attention: [false],
  // "layer_norm", the default, is taken for "ada_norm" where there is num_embeds_ada_norm.
  norm_type: ["ada_norm", "layer_norm"],
  norm_elementwise_affine: [true],
  norm_eps: [1e-5],
  attention_type: ["default"],
  use_additional_conditions: [false],
  out_channels: [],
  patch_size: [],
  caption_channels: [],
  interpolation_scale: [],
};

/** Config of a `Transformer2DModel`, by the names of diffusers. */
export interface Transformer2DConfig {
  /** Number of attention heads. */
  readonly numAttentionHeads: number;
  /** Size of one head. */
  readonly attentionHeadDim: number;
  /** Number of blocks. */
  readonly numLayers: number;
  /** Size of a row of the context. */
  readonly crossAttentionDim: number;
  /** Whether queries, keys and values have a bias. */
  readonly attentionBias: boolean;
  /** Side of the square of latent pixels. */
  readonly sampleSize: number;
  /** Number of classes, the mask included. */
  readonly numVectorEmbeds: number;
  /** Activation of the feed-forward parts. */
  readonly activationFn: FeedForwardActivation;
  /** Number of timesteps. */
  readonly numEmbedsAdaNorm: number;
  /** The config as it was read. */
  readonly json: Readonly<Record<string, unknown>>;
}

/**
 * Checks the config of a transformer of discrete latents.
 *
 * @throws {TypeError} If a field is missing or of the wrong type.
 * @throws {RangeError} If a field is out of range or asks for something that VQ-Diffusion does not have.
 */
export function parseTransformer2DConfig(config: Config): Transformer2DConfig {
  supportOnly(config, "_class_name", ["Transformer2DModel"]);
  const inChannels = config.values["in_channels"];
  if (typeof inChannels === "number") {
    const subject = { task: `use ${config.description}`, name: "in_channels" };
    refuseRange(subject, inChannels, "null, as only discrete latents are supported");
  }
  supportTable(config, SUPPORTED);
  return {
    numAttentionHeads: integerField(config, "num_attention_heads", { min: 1, default: 16 }),
    attentionHeadDim: integerField(config, "attention_head_dim", { min: 1, default: 88 }),
    numLayers: integerField(config, "num_layers", { min: 1, default: 1 }),
    crossAttentionDim: integerField(config, "cross_attention_dim", { min: 1 }),
    attentionBias: booleanField(config, "attention_bias", { default: false }),
    sampleSize: integerField(config, "sample_size", { min: 1 }),
    numVectorEmbeds: integerField(config, "num_vector_embeds", { min: 2 }),
    activationFn: stringField(config, "activation_fn", {
      default: "geglu",
      oneOf: FEED_FORWARD_ACTIVATIONS,
    }),
    numEmbedsAdaNorm: integerField(config, "num_embeds_ada_norm", { min: 1 }),
    json: config.values,
  };
}
