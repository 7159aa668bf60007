import { assertEquals } from "@std/assert";
import { Job, type JobState } from "../../src/jobs/job.ts";
import { jobRequest } from "./jobs.ts";

function running(step: number): JobState {
  return { status: "running", step, steps: 10, preview: undefined };
}

function newJob(onCancel: () => void = () => {}): Job {
  return new Job(jobRequest(), "a", onCancel);
}

Deno.test("Job.states() gives every state to those who keep up, and ends when the job is over", async () => {
  const job = newJob();
  const states = job.states();
  assertEquals((await states.next()).value, { status: "queued", ahead: 0 });
  for (const step of [0, 1]) {
    const next = states.next();
    job.report(running(step));
    assertEquals((await next).value, running(step));
  }
  job.report({ status: "done", images: [] });
  assertEquals((await states.next()).value, { status: "done", images: [] });
  assertEquals((await states.next()).done, true);
});

Deno.test("Job.states() leaves out what came and went unseen", async () => {
  const job = newJob();
  const states = job.states();
  await states.next();
  for (let step = 0; step < 100; step++) job.report(running(step));
  assertEquals((await states.next()).value, running(99));
});

Deno.test("Job.cancel() aborts the signal once, and what is reported later does not count", async () => {
  let cancels = 0;
  const job = newJob(() => cancels++);
  job.cancel();
  job.cancel();
  job.report(running(1));
  assertEquals([cancels, job.signal.aborted], [1, true]);
  assertEquals(await job.finished(), { status: "cancelled" });
});

Deno.test("Job.cancel() does nothing to a job that is over", () => {
  const job = newJob(() => {
    throw new Error("Cancelled");
  });
  job.report({ status: "done", images: [] });
  job.cancel();
  assertEquals([job.state.status, job.signal.aborted], ["done", false]);
});
