// An edge worker: a module that exports a `fetch` function, for runtimes with little memory and without
// threads, where code may only be compiled while the worker starts. Here Deno runs it:
//
//     deno serve --unstable-no-legacy-abort --allow-read examples/worker.ts
//
// Then open http://localhost:8000/generate?prompt=a+red+apple&seed=1

import { compileKernels, createHandler, VQDiffusionPipeline } from "../edge.ts";

const MODEL = new URL("../weights/", import.meta.url);

const module = [await compileKernels(), await compileKernels("simd")];

// Runs with the first request, as workers may only fetch then; a failure is tried again with the next.
function load(): Promise<VQDiffusionPipeline> {
  return VQDiffusionPipeline.fromPretrained(MODEL, { device: "wasm", threads: 1, module });
}

export default { fetch: createHandler(load, { maxSteps: 30, maxImages: 1, maxConcurrent: 1 }) };
