import { assertEquals } from "@std/assert";
import type { JobRequest } from "../../src/jobs/job.ts";
import { remembered, Speed, workOf } from "../../src/jobs/speed.ts";
import type { PictureOptions } from "../../src/pipeline/picture_options.ts";
import { loadTiny } from "../server/service.ts";
import { jobRequest, plainWork } from "./jobs.ts";

Deno.test("Speed.seconds() follows the newest runs", () => {
  const speed = new Speed();
  assertEquals(speed.seconds(10), undefined);
  speed.measured(0, 5, 1);
  assertEquals(speed.seconds(10), undefined);
  speed.measured(10, 20, 1);
  assertEquals(speed.seconds(10), 20);
  for (let run = 0; run < 50; run++) speed.measured(10, 5, 4);
  assertEquals(Math.round(speed.seconds(10)! * 1000), 5000);
});

Deno.test("Speed.isBatchFaster compares pictures of one run with those of several, and tries again", () => {
  const speed = new Speed();
  assertEquals(speed.isBatchFaster, true);
  speed.measured(10, 1, 1);
  speed.measured(40, 3.8, 4); // 5 % less for each picture
  assertEquals(speed.isBatchFaster, false);
  for (let run = 1; run < 100; run++) speed.measured(10, 1, 1);
  assertEquals(speed.isBatchFaster, false);
  speed.measured(10, 1, 1);
  assertEquals(speed.isBatchFaster, true);
  speed.measured(40, 2, 4);
  assertEquals(speed.isBatchFaster, true);
});

Deno.test("workOf() tells the calls of the network for all pictures of a job", async () => {
  await using pipe = await loadTiny();
  const { values: plain, ...request } = jobRequest(10);
  const values = { ...plain, sampler: "strided" };
  const { images: [image] } = await pipe.generate("a cat", { numInferenceSteps: 1, seed: 1 });
  const work = (changes: Partial<typeof values>, picture?: PictureOptions) =>
    workOf(pipe, { ...request, picture, values: { ...values, ...changes } });
  assertEquals(work({}), plainWork({ ...request, values }));
  assertEquals(work({ numImagesPerPrompt: 3, guidanceScale: 5 }), { steps: 10, calls: 60 });
  const interval = work({ guidanceScale: 5, guidanceInterval: [0.5, 1] });
  assertEquals(interval, { steps: 10, calls: 15 });
  assertEquals(work({ guidanceScale: 5, strength: 0.4 }, { image }), { steps: 4, calls: 8 });
  assertEquals(work({ strength: 0 }, { image }), { steps: 0, calls: 0 });
});

Deno.test("remembered() asks once for each request", () => {
  const asked: JobRequest[] = [];
  const work = remembered((request) => {
    asked.push(request);
    return plainWork(request);
  });
  const requests = [jobRequest(3), jobRequest(4)];
  const told = [...requests, ...requests].map((request) => work(request).calls);
  assertEquals(told, [3, 4, 3, 4]);
  assertEquals(asked, requests);
});
