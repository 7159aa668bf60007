import { assert, assertEquals, assertThrows } from "@std/assert";
import { RasterImage } from "../../src/images/raster_image.ts";
import type { Job } from "../../src/jobs/job.ts";
import { JobQueue, QueueClosedError, QueueFullError } from "../../src/jobs/queue.ts";
import { jobRequest, plainWork } from "./jobs.ts";

function newQueue(capacity = 10, capacityPerClient = capacity): JobQueue {
  return new JobQueue({ capacity, capacityPerClient }, plainWork);
}

/** Adds jobs of clients, one for each letter. */
function addJobs(queue: JobQueue, clients: string): Job[] {
  return [...clients].map((client) => queue.add(jobRequest(), client));
}

function placesOf(jobs: readonly Job[]): (number | string)[] {
  return jobs.map(({ state }) => state.status === "queued" ? state.ahead : state.status);
}

Deno.test("JobQueue.take() serves clients in turn, each with its jobs in order", async () => {
  const queue = newQueue();
  const jobs = addJobs(queue, "aaaabbc");
  assertEquals(placesOf(jobs), [0, 3, 5, 6, 1, 4, 2]);
  const taken: (Job | undefined)[] = [];
  for (const _ of jobs) taken.push(await queue.take());
  const order = taken.map((job) => jobs.indexOf(job!));
  assertEquals(order, [0, 4, 6, 1, 5, 2, 3]);
  assertEquals([queue.length, queue.running], [0, 7]);
});

Deno.test("JobQueue.take() lets a client that comes later wait for one job of each other", async () => {
  const queue = newQueue();
  const [first, second] = addJobs(queue, "aaa");
  assertEquals(await queue.take(), first);
  const [late] = addJobs(queue, "b");
  assertEquals(placesOf([second!, late!]), [0, 1]);
  assertEquals(await queue.take(), second);
  assertEquals(await queue.take(), late);
});

Deno.test("JobQueue.add() starts a job at once if a worker waits", async () => {
  const queue = newQueue(0);
  const taking = queue.take();
  const [job] = addJobs(queue, "a");
  assertEquals(await taking, job);
  assertEquals(placesOf([job!]), ["running"]);
  assertThrows(() => addJobs(queue, "a"), QueueFullError);
});

Deno.test("JobQueue.add() refuses jobs beyond the capacity, and of one client beyond its own", () => {
  const queue = newQueue(3, 2);
  addJobs(queue, "aa");
  assertThrows(() => addJobs(queue, "a"), QueueFullError, "2 requests of yours wait");
  assertEquals([queue.placesFor("a"), queue.placesFor("b")], [0, 1]);
  addJobs(queue, "b");
  assertThrows(() => addJobs(queue, "b"), QueueFullError, "3 requests wait");
});

Deno.test("JobQueue.checkPlace() counts jobs that are about to be added", async () => {
  const queue = newQueue(3, 2);
  const taking = queue.take();
  // One for the worker that waits, two that wait.
  queue.checkPlace("a", 2);
  assertThrows(() => queue.checkPlace("a", 3), QueueFullError, "3 requests wait");
  const [first] = addJobs(queue, "aa");
  assertEquals(await taking, first);
  queue.checkPlace("b", 1);
  assertThrows(() => queue.checkPlace("a", 1), QueueFullError, "2 requests of yours wait");
  queue.checkPlace("a");
});

Deno.test("Job.cancel() frees its place in the queue, and moves the others up", () => {
  const queue = newQueue(3);
  const jobs = addJobs(queue, "aba");
  jobs[0]!.cancel();
  assertEquals(placesOf(jobs), ["cancelled", 1, 0]);
  assertEquals(queue.placesFor("c"), 1);
  jobs[2]!.cancel();
  jobs[1]!.cancel();
  assertEquals([queue.length, queue.secondsToEmpty()], [0, 0]);
});

Deno.test("JobQueue tells the seconds that follow from the steps and the speed", () => {
  const queue = newQueue(2, 1);
  queue.speed.measured(100, 20, 1); // 0.2 s a step
  queue.add(jobRequest(10), "a");
  queue.add(jobRequest(30), "b");
  assertEquals(queue.secondsToEmpty(), 8);
  // The first job starts at once, as none runs: its place is free then. Before b's, a's has to be drawn.
  assertEquals([queue.secondsToPlace("a"), queue.secondsToPlace("c")], [0, 0]);
  assertEquals(queue.secondsToPlace("b"), 2);
  const error = assertThrows(() => queue.add(jobRequest(), "b"), QueueFullError);
  assertEquals(error.retryAfter, 2);
});

Deno.test("JobQueue.secondsToPlace() counts what is left of the running job", async () => {
  const queue = newQueue(1);
  queue.speed.measured(1, 1000, 1);
  addJobs(queue, "a");
  const running = (await queue.take())!;
  addJobs(queue, "a");
  const before = queue.secondsToPlace("b");
  // 10 steps of 1000 s each, of which this test took less than one.
  assert(before > 9000 && before <= 10_000, `${before}`);
  running.report({ status: "running", step: 9, steps: 10, preview: undefined });
  // By its own speed the last step takes no longer than the nine before, which took no time.
  assert(queue.secondsToPlace("b") < 1000);
});

Deno.test("JobQueue.finish() compares no jobs that start from a picture with runs of several", async () => {
  const queue = newQueue();
  queue.speed.measured(10, 10, 1);
  queue.speed.measured(40, 20, 4);
  const image = new RasterImage(new Uint8ClampedArray(4), 1, 1);
  for (let run = 0; run < 20; run++) {
    // Few of its steps are taken, so that it seems fast.
    const job = queue.add({ ...jobRequest(1000), picture: { image } }, "client");
    await queue.take();
    job.report({ status: "done", images: [] });
    queue.finish([job]);
  }
  assert(queue.speed.seconds(1)! < 0.1);
  assertEquals(queue.speed.isBatchFaster, true);
});

Deno.test("JobQueue.finish() measures jobs that are done, and no others", async () => {
  const queue = newQueue();
  addJobs(queue, "ab");
  const [cancelled, done] = [(await queue.take())!, (await queue.take())!];
  cancelled.cancel();
  queue.finish([cancelled]);
  assertEquals(queue.speed.seconds(1), undefined);
  done.report({ status: "done", images: [] });
  queue.finish([done]);
  assert(queue.speed.seconds(1)! > 0);
  assertEquals(queue.running, 0);
});

Deno.test("JobQueue.close() gives waiting jobs back, lets running ones be, and ends workers", async () => {
  const queue = newQueue();
  const [running, waiting] = addJobs(queue, "ab");
  await queue.take();
  queue.close();
  const state = await waiting!.finished();
  assert(state.status === "failed" && state.error instanceof QueueClosedError);
  assertEquals(running!.state.status, "running");
  assertEquals(await queue.take(), undefined);
  assertThrows(() => addJobs(queue, "a"), QueueClosedError);

  const other = newQueue();
  const taking = other.take();
  other.close();
  assertEquals(await taking, undefined);
});

/** Adds jobs of two pictures each by their client and their number of steps. */
function addPairs(queue: JobQueue, jobs: readonly [client: string, steps: number][]): Job[] {
  return jobs.map(([client, steps]) => {
    const request = jobRequest(steps);
    const values = { ...request.values, numImagesPerPrompt: 2 };
    return queue.add({ ...request, values }, client);
  });
}

Deno.test("JobQueue.takeAlike() takes jobs of one shape in turn, up to a number of pictures", async () => {
  const queue = newQueue();
  const jobs = addPairs(queue, [["a", 5], ["a", 5], ["a", 5], ["b", 9], ["b", 5], ["c", 5]]);
  const first = (await queue.take())!;
  assertEquals(jobs.indexOf(first), 0);
  // In turn b's first would be next, but it is of another shape; c's comes before b's and a's second.
  const taken = queue.takeAlike(first, 6).map((job) => jobs.indexOf(job));
  assertEquals(taken, [5, 1]);
  assertEquals(placesOf(jobs), ["running", "running", 1, 0, 2, "running"]);
  assertEquals([queue.length, queue.running], [3, 3]);
  const other = (await queue.take())!;
  assertEquals([jobs.indexOf(other), queue.takeAlike(other, 6)], [3, []]);
});

Deno.test("JobQueue.takeAlike() takes nothing for a job that starts from a picture, or if one by one is faster", async () => {
  const queue = newQueue();
  const image = new RasterImage(new Uint8ClampedArray(4), 1, 1);
  for (const _ of "ab") queue.add({ ...jobRequest(), picture: { image } }, "a");
  assertEquals(queue.takeAlike((await queue.take())!, 9), []);
  await queue.take();
  addJobs(queue, "aaaa");
  queue.speed.measured(10, 1, 1);
  queue.speed.measured(20, 1.9, 2);
  assertEquals(queue.takeAlike((await queue.take())!, 9), []);
  queue.speed.measured(20, 0.5, 2);
  assertEquals(queue.takeAlike((await queue.take())!, 9).length, 2);
});

Deno.test("JobQueue counts the time of jobs that run together once", async () => {
  const queue = newQueue();
  queue.speed.measured(1, 1000, 1);
  addJobs(queue, "abcd");
  const first = (await queue.take())!;
  const jobs = [first, ...queue.takeAlike(first, 3)];
  assertEquals(jobs.length, 3);
  for (const job of jobs) {
    job.report({ status: "running", step: 9, steps: 10, preview: undefined });
  }
  // What is left of the run is no time, as the steps before took none; then there are 10 of 1000 s.
  const seconds = queue.secondsToEmpty();
  assert(seconds >= 10_000 && seconds < 11_000, `${seconds}`);
  for (const job of jobs) job.report({ status: "done", images: [] });
  queue.finish(jobs);
  assertEquals(queue.running, 0);
  assert(queue.speed.seconds(1)! < 1000);
});
