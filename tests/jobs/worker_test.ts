import { assert, assertEquals } from "@std/assert";
import type { JobRequest } from "../../src/jobs/job.ts";
import { JobQueue } from "../../src/jobs/queue.ts";
import { runWorker } from "../../src/jobs/worker.ts";
import { VQDiffusionPipeline } from "../../src/pipeline/vq_diffusion_pipeline.ts";
import { folderOf, tinyFiles } from "../pipeline/golden_runs.ts";
import { pausingPipeline } from "../server/support.ts";
import { jobRequest, plainWork } from "./jobs.ts";

function newQueue(): JobQueue {
  return new JobQueue({ capacity: 10, capacityPerClient: 10 }, plainWork);
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

/** A pipeline that notes how many prompts each of its runs has, and can refuse runs of several. */
function watched(pipe: VQDiffusionPipeline, { refuse = false } = {}) {
  const runs: number[] = [];
  const pipeline = {
    components: pipe.components,
    generate: pipe.generate.bind(pipe),
    stream: (...[prompt, options]: Parameters<VQDiffusionPipeline["stream"]>) => {
      const count = Array.isArray(prompt) ? prompt.length : 1;
      runs.push(count);
      if (refuse && count > 1) throw new RangeError("Too many");
      return pipe.stream(prompt, options);
    },
  };
  return { runs, pipeline: pipeline as unknown as VQDiffusionPipeline };
}

/** Requests of one shape: other prompts, seeds and numbers of pictures. */
function alikeRequests(): JobRequest[] {
  const { values } = jobRequest(6);
  const guided = { ...values, guidanceScale: 3, truncationRate: 0.9 };
  return [
    { prompt: "a cat", values: { ...guided, seed: 7n }, previewSteps: 0 },
    { prompt: "a dog", values: { ...guided, seed: 2n, numImagesPerPrompt: 2 }, previewSteps: 2 },
    { prompt: "", values: { ...guided, seed: 2n ** 64n - 1n }, previewSteps: 3 },
  ];
}

Deno.test("runWorker() draws jobs of one shape in one run, each with the pictures that it has alone", async () => {
  await using pipe = await loadTiny();
  const { runs, pipeline } = watched(pipe);
  const queue = newQueue();
  const requests = alikeRequests();
  const jobs = requests.map((request, i) => queue.add(request, `client ${i}`));
  const other = queue.add(jobRequest(2), "another");
  const previews = jobs.map(async (job) => {
    const steps = new Set<number>();
    for await (const state of job.states()) {
      if (state.status !== "running" || state.preview === undefined) continue;
      assertEquals(state.preview.images.length, job.request.values.numImagesPerPrompt);
      steps.add(state.preview.step);
    }
    return [...steps];
  });
  const working = runWorker(pipeline, queue, { maxBatch: 4 });
  assertEquals(await Promise.all(previews), [[], [2, 4], [3]]);
  await other.finished();
  assertEquals(runs, [4, 1]);
  for (const [i, { prompt, values }] of requests.entries()) {
    const { images } = await pipe.generate(prompt, values);
    assertEquals(jobs[i]!.state, { status: "done", images }, `job ${i}`);
  }
  queue.close();
  await working;
});

Deno.test("runWorker() draws jobs one by one if they could not be drawn together", async () => {
  await using pipe = await loadTiny();
  const { runs, pipeline } = watched(pipe, { refuse: true });
  const queue = newQueue();
  const jobs = alikeRequests().map((request) => queue.add(request, "a"));
  const working = runWorker(pipeline, queue, { maxBatch: 4 });
  const states = await Promise.all(jobs.map((job) => job.finished()));
  assertEquals(states.map(({ status }) => status), ["done", "done", "done"]);
  assertEquals(runs, [4, 1, 1, 1]);
  queue.close();
  await working;
});

Deno.test("runWorker() throws pictures of a job away that was given up, and ends a run that all have left", async () => {
  await using pipe = await loadTiny();
  const { pipeline, paused, stopped, resume } = pausingPipeline(pipe);
  const queue = newQueue();
  const [first, second, third] = alikeRequests().map((request) => queue.add(request, "a"));
  const working = runWorker(pipeline, queue, { maxBatch: 3 });
  await paused();
  first!.cancel();
  assertEquals([second!.signal.aborted, second!.state.status], [false, "running"]);
  second!.cancel();
  await stopped();
  await paused();
  resume();
  assertEquals((await third!.finished()).status, "done");
  queue.close();
  await working;

  const other = newQueue();
  const jobs = alikeRequests().map((request) => other.add(request, "a"));
  const again = pausingPipeline(pipe);
  const workingAgain = runWorker(again.pipeline, other, { maxBatch: 4 });
  await again.paused();
  jobs[1]!.cancel();
  again.resume();
  const states = await Promise.all(jobs.map((job) => job.finished()));
  assertEquals(states.map(({ status }) => status), ["done", "cancelled", "done"]);
  const { images } = await pipe.generate(jobs[2]!.request.prompt, jobs[2]!.request.values);
  assertEquals(states[2], { status: "done", images });
  other.close();
  await workingAgain;
});

Deno.test("runWorker() draws a picture from which no step is left", async () => {
  await using pipe = await loadTiny();
  const { images: [image] } = await pipe.generate("a cat", { seed: 1, numInferenceSteps: 2 });
  const request = jobRequest(5);
  const values = { ...request.values, strength: 0 };
  const queue = newQueue();
  const job = queue.add({ ...request, values, picture: { image } }, "a");
  const working = runWorker(pipe, queue);
  const { images } = await pipe.generate(request.prompt, { ...values, image });
  assertEquals(await job.finished(), { status: "done", images });
  queue.close();
  await working;
});
