// A worker that draws two steps of a job and then nothing more, until it is killed.

import { loadTiny } from "../../server/service.ts";
import { pausingPipeline } from "../../server/support.ts";
import { startWorker } from "./workers.ts";

const { pipeline, paused } = pausingPipeline(await loadTiny());
await startWorker(pipeline, Deno.args[0]!);
await paused();
console.log("stuck");
