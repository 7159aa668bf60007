/**
 * The config of a model that is saved.
 *
 * @module
 */

import type { WeightDType } from "../base/dtypes.ts";
import { quantizationConfig } from "../checkpoints/quantization_config.ts";

/** The version of diffusers whose keys are saved. All later ones read them. */
const DIFFUSERS_VERSION = "0.9.0";

/**
 * Keys that versions of diffusers after 0.9.0 added to its models, each with its default: left out, they
 * mean the same to all versions, and versions without them do not warn.
 */
const LATER_DEFAULTS: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
  Transformer2DModel: {
    attention_type: "default",
    caption_channels: null,
    double_self_attention: false,
    dual_cross_attention: false,
    interpolation_scale: null,
    norm_elementwise_affine: true,
    norm_eps: 1e-5,
    out_channels: null,
    patch_size: null,
    upcast_attention: false,
    use_additional_conditions: null,
  },
  VQModel: {
    force_upcast: false,
    lookup_from_codebook: false,
    mid_block_add_attention: true,
    norm_type: "group",
    scaling_factor: 0.18215,
  },
  LearnedClassifierFreeSamplingEmbeddings: {},
};

/** Keys that are written whatever was read, by class. */
const WRITTEN: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
  // The default of later versions, "layer_norm", is refused by some that have num_embeds_ada_norm.
  Transformer2DModel: { norm_type: "ada_norm" },
};

/** Keys of floats, which have a point in Python even where they are whole: newer versions insist. */
const FLOATS =
  /("(?:(?:attention_)?dropout|initializer_(?:factor|range)|layer_norm_eps|norm_eps|scaling_factor)": -?\d+)(?=,?\n)/g;

/**
 * The text of a config as all versions of diffusers from 0.9.0 on, or of transformers, read it.
 *
 * @param json The config as it was read.
 * @param dtype The type that weights are saved in, if another one than they were stored in.
 * @param ignored Names of linear layers that are not stored in int8.
 */
export function configText(
  json: Readonly<Record<string, unknown>>,
  dtype: WeightDType | undefined,
  ignored: readonly string[],
): string {
  const { quantization_config: stored, ...config } = json;
  const saved = portable(config);
  if (dtype === "q8") saved["quantization_config"] = quantizationConfig(ignored);
  else if (dtype === undefined && stored !== undefined) saved["quantization_config"] = stored;
  return `${JSON.stringify(saved, null, 2)}\n`.replace(FLOATS, "$1.0");
}

function portable(config: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const name = String(config["_class_name"]);
  if (!Object.hasOwn(LATER_DEFAULTS, name)) return { ...config };
  const defaults = LATER_DEFAULTS[name]!;
  const isDefault = (key: string, value: unknown) =>
    Object.hasOwn(defaults, key) && (value === null || value === defaults[key]);
  const kept = Object.entries(config).filter(([key, value]) => !isDefault(key, value));
  return {
    ...Object.fromEntries(kept),
    ...WRITTEN[name],
    _diffusers_version: DIFFUSERS_VERSION,
  };
}
