/**
 * What front ends ask when they start: which model there is, and what it can and cannot do. Names and
 * fields are those of AUTOMATIC1111's web UI, version 1.10.
 *
 * @module
 */

import type { ServedModel } from "../routes.ts";
import { SAMPLER_NAMES } from "./samplers.ts";

/** There is nothing of the kind. */
const NONE: readonly unknown[] = [];

/**
 * Lists that do not change, by the last part of their paths: what the model has, and empty ones for what
 * only other models have.
 */
export function listsOf(model: ServedModel): Readonly<Record<string, unknown>> {
  return {
    "options": optionsOf(model),
    "cmd-flags": { api: true, nowebui: true },
    "sd-models": [modelEntry(model)],
    "samplers": SAMPLER_NAMES.map((name) => ({ name, aliases: [], options: {} })),
    "schedulers": [{
      name: "automatic",
      label: "Automatic",
      aliases: null,
      default_rho: -1,
      need_inner_model: false,
    }],
    "upscalers": [{ name: "None", model_name: null, model_path: null, model_url: null, scale: 1 }],
    "latent-upscale-modes": NONE,
    "sd-vae": NONE,
    "hypernetworks": NONE,
    "face-restorers": NONE,
    "realesrgan-models": NONE,
    "prompt-styles": NONE,
    "loras": NONE,
    "extensions": NONE,
    "embeddings": { loaded: {}, skipped: {} },
    "scripts": { txt2img: NONE, img2img: NONE },
    "script-info": NONE,
    "memory": { ram: { error: "It is not told" }, cuda: { error: "It is not told" } },
  };
}

/** The settings of the web UI that clients read. */
function optionsOf({ id }: ServedModel): Record<string, unknown> {
  return {
    sd_model_checkpoint: id,
    sd_checkpoint_hash: null,
    sd_vae: "None",
    samples_format: "png",
    CLIP_stop_at_last_layers: 1,
    eta_noise_seed_delta: 0,
    enable_pnginfo: true,
    live_previews_enable: true,
    show_progress_every_n_steps: 1,
  };
}

function modelEntry({ id }: ServedModel): Record<string, unknown> {
  return { title: id, model_name: id, hash: null, sha256: null, filename: id, config: null };
}
