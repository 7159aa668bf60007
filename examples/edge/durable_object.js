// A worker whose pictures are all drawn by one Durable Object: there is one instance of it in the world, so
// that its limits hold for all clients together, and a drawing can be watched by those that it serves.

import { DurableObject } from "cloudflare:workers";
import { createHandler } from "@vq-diffusion/vq-diffusion/edge";
import { load } from "./load.js";

export class Studio extends DurableObject {
  #handler = createHandler(load, { maxSteps: 25, maxImages: 1, maxConcurrent: 4 });

  fetch(request) {
    return this.#handler(request, this.env, this.ctx);
  }
}

export default {
  fetch(request, env) {
    return env.STUDIO.get(env.STUDIO.idFromName("studio")).fetch(request);
  },
};
