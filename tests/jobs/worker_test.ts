import { assert, assertEquals } from "@std/assert";
import { JobQueue } from "../../src/jobs/queue.ts";
import { runWorker } from "../../src/jobs/worker.ts";
import { VQDiffusionPipeline } from "../../src/pipeline/vq_diffusion_pipeline.ts";
import { folderOf, tinyFiles } from "../pipeline/golden_runs.ts";
import { pausingPipeline } from "../server/support.ts";
import { jobRequest } from "./jobs.ts";

function newQueue(): JobQueue {
  return new JobQueue({ capacity: 10, capacityPerClient: 10 });
}

async function loadTiny(): Promise<VQDiffusionPipeline> {
  return await VQDiffusionPipeline.fromPretrained(folderOf(tinyFiles()), {
    device: "wasm",
    threads: 1,
  });
}

Deno.test("runWorker() draws the pictures of VQDiffusionPipeline.generate(), with previews", async () => {
  await using pipe = await loadTiny();
  const queue = newQueue();
  const request = jobRequest(5);
  const job = queue.add({ ...request, previewSteps: 2 }, "a");
  const working = runWorker(pipe, queue);
  const previews = new Set<number>();
  for await (const state of job.states()) {
    if (state.status === "running" && state.preview) previews.add(state.preview.step);
  }
  assertEquals([...previews], [2, 4]);
  const { images } = await pipe.generate(request.prompt, request.values);
  assertEquals(job.state, { status: "done", images });
  queue.close();
  await working;
});

Deno.test("runWorker() goes on after a job that failed and one that was given up", async () => {
  await using pipe = await loadTiny();
  const { pipeline, paused } = pausingPipeline(pipe);
  const queue = newQueue();
  const working = runWorker(pipeline, queue);
  const failing = queue.add(jobRequest(1000), "a");
  const givenUp = queue.add(jobRequest(5), "a");
  const last = queue.add(jobRequest(1), "a");
  const state = await failing.finished();
  assert(state.status === "failed" && state.error instanceof RangeError);
  await paused();
  givenUp.cancel();
  assertEquals((await last.finished()).status, "done");
  queue.close();
  await working;
});
