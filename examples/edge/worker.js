// A worker for Cloudflare, and for all runtimes of its kind.

import { createHandler } from "@vq-diffusion/vq-diffusion/edge";
import { load } from "./load.js";

// It takes the arguments that a worker's `fetch` has: the request, the bindings and the context, by which a
// drawing whose client has left can come to an end and give its memory back.
export default { fetch: createHandler(load, { maxSteps: 25, maxImages: 1, maxConcurrent: 4 }) };
