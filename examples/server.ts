// Answers HTTP requests with pictures:
//
//     deno run --unstable-no-legacy-abort --allow-read --allow-net examples/server.ts 8000
//
// Then open http://localhost:8000/generate?prompt=a+red+apple&seed=1

import { VQDiffusionPipeline } from "../mod.ts";
import { createHandler } from "../src/server/mod.ts";

const [port = "8000"] = Deno.args;

const pipe = await VQDiffusionPipeline.fromPretrained();
// The handler is one function from a Request to a Response; requests beyond the limits are refused.
const handler = createHandler(pipe, { maxSteps: 50, maxImages: 4, maxConcurrent: 2 });
Deno.serve({ port: Number(port), hostname: "127.0.0.1" }, handler);
