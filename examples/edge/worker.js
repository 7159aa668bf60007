// A worker for Cloudflare, and for all runtimes of its kind: code may not be compiled there, so the kernels
// are a precompiled module; the model lies among the static assets, see wrangler.jsonc.

import { createHandler, VQDiffusionPipeline } from "@vq-diffusion/vq-diffusion/edge";
import relaxed from "@vq-diffusion/vq-diffusion/wasm/relaxed_simd.wasm";
import plain from "@vq-diffusion/vq-diffusion/wasm/simd.wasm";

// The second decodes pictures, so that their bytes are those of all other CPUs and runtimes.
const module = [{ simd: "relaxed-simd", module: relaxed }, { simd: "simd", module: plain }];

// Runs with the first request, as workers may fetch nothing before; a failure is tried again with the next.
function load(env) {
  return VQDiffusionPipeline.fromPretrained("https://assets.local/", {
    fetch: (url, init) => env.ASSETS.fetch(url, init),
    dtype: "fp32",
    device: "wasm",
    threads: 1,
    module,
  });
}

// It takes the arguments that a worker's `fetch` has: the request, the bindings and the context, by which a
// drawing whose client has left can come to an end and give its memory back.
export default { fetch: createHandler(load, { maxSteps: 25, maxImages: 1, maxConcurrent: 4 }) };
