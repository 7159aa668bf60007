/**
 * Config of the transformer.
 *
 * @module
 */

import { refuseRange } from "../base/check.ts";
import { formatShape } from "../base/format.ts";
import {
  booleanField,
  type Config,
  integerField,
  integerListField,
  stringField,
} from "../checkpoints/config.ts";
import {
  FEED_FORWARD_ACTIVATIONS,
  FEED_FORWARD_TYPES,
  type FeedForwardActivation,
  type FeedForwardType,
} from "./feed_forward.ts";
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

/**
 * What a transformer draws from: embeddings of texts that it attends to, the label of a class that shifts
 * and scales its hidden state, or nothing. diffusers has the first kind only.
 */
export type ConditionType = "text" | "class" | "none";

/** Config of a `Transformer2DModel`, by the names of diffusers where it has them. */
export interface Transformer2DConfig {
  /** What it draws from. */
  readonly conditionType: ConditionType;
  /** Number of classes, 0 unless it draws from classes. */
  readonly numClassEmbeds: number;
  /** The class that stands for no class, which guidance needs; undefined if there is none. */
  readonly unconditionalClass: number | undefined;
  /** Number of attention heads. */
  readonly numAttentionHeads: number;
  /** Size of one head. */
  readonly attentionHeadDim: number;
  /** Number of blocks. */
  readonly numLayers: number;
  /** Size of a row of the context, 0 unless it draws from text. */
  readonly crossAttentionDim: number;
  /** Whether queries, keys and values have a bias. */
  readonly attentionBias: boolean;
  /** Side of the square of latent pixels. */
  readonly sampleSize: number;
  /**
   * Rows and columns of the grid whose rows the latent pixels take, row by row, as their positions: they
   * may fill a part of it only, and need not be as wide. Default: that of the latent pixels.
   */
  readonly positionGrid: readonly [rows: number, columns: number];
  /** Number of classes, the mask included. */
  readonly numVectorEmbeds: number;
  /** Activation of the feed-forward parts. */
  readonly activationFn: FeedForwardActivation;
  /** What the feed-forward parts are made of. */
  readonly feedForwardType: FeedForwardType;
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
  const sampleSize = integerField(config, "sample_size", { min: 1 });
  return {
    ...conditionOf(config),
    numAttentionHeads: integerField(config, "num_attention_heads", { min: 1, default: 16 }),
    attentionHeadDim: integerField(config, "attention_head_dim", { min: 1, default: 88 }),
    numLayers: integerField(config, "num_layers", { min: 1, default: 1 }),
    attentionBias: booleanField(config, "attention_bias", { default: false }),
    sampleSize,
    positionGrid: positionGridOf(config, sampleSize),
    numVectorEmbeds: integerField(config, "num_vector_embeds", { min: 2 }),
    ...feedForwardOf(config),
    numEmbedsAdaNorm: integerField(config, "num_embeds_ada_norm", { min: 1 }),
    json: config.values,
  };
}

type Condition = Pick<
  Transformer2DConfig,
  "conditionType" | "crossAttentionDim" | "numClassEmbeds" | "unconditionalClass"
>;

function conditionOf(config: Config): Condition {
  const conditionType = stringField<ConditionType>(config, "condition_type", {
    default: "text",
    oneOf: ["text", "class", "none"],
  });
  const unused = { crossAttentionDim: 0, numClassEmbeds: 0, unconditionalClass: undefined };
  switch (conditionType) {
    case "text":
      return {
        ...unused,
        conditionType,
        crossAttentionDim: integerField(config, "cross_attention_dim", { min: 1 }),
      };
    case "class": {
      const numClassEmbeds = integerField(config, "num_class_embeds", { min: 1 });
      const isGiven = (config.values["unconditional_class"] ?? null) !== null;
      const unconditionalClass = isGiven
        ? integerField(config, "unconditional_class", { min: 0, max: numClassEmbeds - 1 })
        : undefined;
      return { ...unused, conditionType, numClassEmbeds, unconditionalClass };
    }
    case "none":
      return { ...unused, conditionType };
  }
}

function positionGridOf(config: Config, sampleSize: number): Transformer2DConfig["positionGrid"] {
  const grid = integerListField(config, "position_grid", {
    min: 1,
    default: [sampleSize, sampleSize],
  });
  const [rows, columns] = grid;
  if (grid.length === 2 && rows! * columns! >= sampleSize ** 2) return [rows!, columns!];
  throw new RangeError(
    `Cannot use ${config.description}: position_grid is ${formatShape(grid)}, expected rows and ` +
      `columns of at least ${sampleSize ** 2} places, one for each pixel`,
  );
}

function feedForwardOf(
  config: Config,
): Pick<Transformer2DConfig, "activationFn" | "feedForwardType"> {
  const activationFn = stringField(config, "activation_fn", {
    default: "geglu",
    oneOf: FEED_FORWARD_ACTIVATIONS,
  });
  const feedForwardType = stringField(config, "feed_forward_type", {
    default: "linear",
    oneOf: FEED_FORWARD_TYPES,
  });
  if (feedForwardType === "conv" && activationFn !== "geglu-approximate") {
    const subject = { task: `use ${config.description}`, name: "activation_fn" };
    refuseRange(subject, activationFn, '"geglu-approximate" beside feed_forward_type "conv"');
  }
  return { activationFn, feedForwardType };
}
