// Loads the model of a worker. Code may not be compiled there, so the kernels are precompiled modules; the
// model lies among the static assets, see wrangler.jsonc.

import { VQDiffusionPipeline } from "@vq-diffusion/vq-diffusion/edge";
import relaxed from "@vq-diffusion/vq-diffusion/wasm/relaxed_simd.wasm";
import plain from "@vq-diffusion/vq-diffusion/wasm/simd.wasm";

// The second decodes pictures, so that their bytes are those of all other CPUs and runtimes.
const module = [{ simd: "relaxed-simd", module: relaxed }, { simd: "simd", module: plain }];

/** Runs with the first request, as workers may fetch nothing before; what failed is tried again with the next. */
export function load(env) {
  return VQDiffusionPipeline.fromPretrained("https://assets.local/", {
    fetch: (url, init) => env.ASSETS.fetch(url, init),
    dtype: "fp32",
    device: "wasm",
    threads: 1,
    module,
  });
}
