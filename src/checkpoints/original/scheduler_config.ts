/**
 * The config of a scheduler, which says nothing of arrays.
 *
 * @module
 */

import type { OriginalKind } from "./original_config.ts";

/**
 * The schedule `alpha1` of Microsoft's code, which is the default of diffusers. Models that diffusers does
 * not have draw as in Microsoft's code.
 */
export function schedulerConfig(
  classes: number,
  timesteps: unknown,
  kind: OriginalKind,
): Record<string, unknown> {
  return {
    _class_name: "VQDiffusionScheduler",
    _diffusers_version: "0.9.0",
    alpha_cum_end: 0.000009,
    alpha_cum_start: 0.99999,
    gamma_cum_end: 0.99999,
    gamma_cum_start: 0.000009,
    num_train_timesteps: timesteps,
    num_vec_classes: classes,
    ...(kind !== "text" && { sampling_reference: "microsoft" }),
  };
}
