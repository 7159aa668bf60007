import { assertEquals } from "@std/assert";
import { Speed, stepsOf } from "../../src/jobs/speed.ts";
import { jobRequest } from "./jobs.ts";

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

Deno.test("stepsOf() counts the calls of the network", () => {
  const { values, ...request } = jobRequest(10);
  const steps = (changes: Partial<typeof values>) =>
    stepsOf({ ...request, values: { ...values, ...changes } });
  assertEquals([steps({}), steps({ numImagesPerPrompt: 3 })], [10, 30]);
  assertEquals(steps({ numImagesPerPrompt: 3, guidanceScale: 5 }), 60);
});
