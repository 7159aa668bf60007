import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { jetstreamManager } from "npm:@nats-io/jetstream@3.4.0";
import { RasterImage } from "../../../src/images/raster_image.ts";
import { Job } from "../../../src/jobs/job.ts";
import { encodeJob } from "../../../src/jobs/nats/job_message.ts";
import { NatsQueue } from "../../../src/jobs/nats/nats_queue.ts";
import { QueueClosedError, QueueFullError } from "../../../src/jobs/queue.ts";
import { sideOf } from "../../../src/pipeline/components.ts";
import { loadTiny, until } from "../../server/service.ts";
import { pausingPipeline } from "../../server/support.ts";
import { imagesOf, plainWork, seeded } from "../jobs.ts";
import { MODEL, natsTest, openExchange, openNatsQueue } from "./nats_server.ts";
import { startStuckWorker, startWorker } from "./workers.ts";

/** Waits until a job runs. */
async function running(job: Job): Promise<void> {
  for await (const { status } of job.states()) if (status !== "queued") return;
}

natsTest(
  "NatsQueue lets a worker draw a job once for all who ask, with previews, and never again",
  async (url) => {
    await using pipe = await loadTiny();
    assertEquals(sideOf(pipe.components), 32);
    await using one = await openNatsQueue(url);
    await using other = await openNatsQueue(url);
    const request = { ...seeded(1), previewSteps: 2 };
    const jobs = [
      one.queue.add(request, "a"),
      one.queue.add(request, "b"),
      other.queue.add(request, "a"),
    ];
    const previews = new Set<unknown>();
    const watching = (async () => {
      for await (const state of jobs[0]!.states()) {
        if (state.status === "running" && state.preview) previews.add(state.preview);
      }
    })();
    // The others have come before a worker does.
    const { id } = await encodeJob(request, MODEL);
    await until(() => one.queue.length + other.queue.length > 0);
    await using worker = await startWorker(pipe, url);
    const { images } = await pipe.generate(request.prompt, request.values);
    for (const job of jobs) assertEquals(await imagesOf(job), images);
    await watching;
    for (const preview of previews) {
      const { step, images } = preview as { step: number; images: readonly RasterImage[] };
      assert(step === 2 || step === 4);
      assertEquals(images.map(({ width }) => width), [32]);
    }
    // A preview that is new is not repeated with later steps.
    assert(previews.size <= 2);
    await worker.stop();
    assertEquals(worker.records.map(({ id, outcome }) => [id, outcome]), [[id, "done"]]);
    // There is no worker any more.
    assertEquals(await imagesOf(other.queue.add({ ...request, previewSteps: 0 }, "b")), images);
  },
);

natsTest("NatsQueue sends the picture to start from and its mask along", async (url) => {
  await using pipe = await loadTiny();
  const { images: [image] } = await pipe.generate("a cat", { seed: 1, numInferenceSteps: 2 });
  const white = new Uint8ClampedArray(32 * 32 * 4).fill(255);
  white.fill(0, 0, 2000);
  const maskImage = new RasterImage(white, 32, 32);
  const base = seeded(3, 4);
  const request = {
    ...base,
    picture: { image, maskImage },
    values: { ...base.values, strength: 0.9, numImagesPerPrompt: 2 },
  };
  await using opened = await openNatsQueue(url);
  await using _worker = await startWorker(pipe, url);
  const { images } = await pipe.generate(request.prompt, { ...request.values, image, maskImage });
  assertEquals(await imagesOf(opened.queue.add(request, "a")), images);
});

natsTest(
  "NatsQueue loses nothing when a worker is killed in mid-run: another draws the same",
  async (url) => {
    await using pipe = await loadTiny();
    await using opened = await openNatsQueue(url);
    const job = opened.queue.add(seeded(1), "a");
    const stuck = startStuckWorker(url);
    await stuck.stuck();
    await running(job);
    await stuck.kill();
    await using worker = await startWorker(pipe, url);
    const { images } = await pipe.generate("a cat", seeded(1).values);
    assertEquals(await imagesOf(job), images);
    await worker.stop();
    assertEquals(worker.outcomes(), ["done"]);
  },
);

natsTest(
  "NatsQueue loses nothing when its server is killed in mid-run and started again",
  async (url, server) => {
    await using pipe = await loadTiny();
    const { pipeline, paused, resume } = pausingPipeline(pipe);
    await using opened = await openNatsQueue(url);
    const jobs = [1, 2, 3].map((seed) => opened.queue.add(seeded(seed), "a"));
    await using worker = await startWorker(pipeline, url);
    await paused();
    await server.kill();
    // One that comes while there is no server waits for it.
    jobs.push(opened.queue.add(seeded(4), "a"));
    resume();
    await server.restart();
    for (const [i, job] of jobs.entries()) {
      const { images } = await pipe.generate("a cat", seeded(i + 1).values);
      assertEquals(await imagesOf(job), images);
    }
    await worker.stop();
    const done = worker.records.filter(({ outcome }) => outcome === "done");
    assertEquals(new Set(done.map(({ id }) => id)).size, 4);
    assertEquals(done.length, 4);
  },
);

natsTest(
  "NatsQueue puts up what a server has lost with its disk, and asks again",
  async (url, server) => {
    await using pipe = await loadTiny();
    await using opened = await openNatsQueue(url);
    const job = opened.queue.add(seeded(1), "a");
    const { id } = await encodeJob(seeded(1), MODEL);
    while (await opened.exchange.sequenceOf(id) === undefined);
    await server.kill();
    await server.empty();
    await server.restart();
    await using _worker = await startWorker(pipe, url);
    const { images } = await pipe.generate("a cat", seeded(1).values);
    assertEquals(await imagesOf(job), images);
  },
);

natsTest("NatsQueue adds a job again that its server has forgotten to hand out", async (url) => {
  await using pipe = await loadTiny();
  const { exchange, connection } = await openExchange(url);
  await using _ = { [Symbol.asyncDispose]: () => connection.close() };
  // As a server was seen to tell that was killed: it has nothing to hand out, and yet the job.
  const figures = { waiting: 0, running: 0, idle: 0, delivered: 1, ackSeconds: 2 };
  exchange.figures = () => Promise.resolve(figures);
  const queue = await NatsQueue.open(exchange, { capacity: 9, capacityPerClient: 9 }, plainWork);
  const { id, bytes } = await encodeJob(seeded(1), MODEL);
  assertEquals(await exchange.add(id, bytes), 1);
  const job = queue.add(seeded(1), "a");
  while (await exchange.sequenceOf(id) !== 2);
  await using _worker = await startWorker(pipe, url);
  assertEquals((await imagesOf(job)).length, 1);
  queue.close();
  await queue.finished;
});

natsTest("NatsQueue takes a job out that nobody waits for, and stops its run", async (url) => {
  await using pipe = await loadTiny();
  const { pipeline, paused, stopped, resume } = pausingPipeline(pipe);
  await using one = await openNatsQueue(url);
  await using other = await openNatsQueue(url);
  const shared = [one.queue.add(seeded(1), "a"), other.queue.add(seeded(1), "b")];
  const waiting = one.queue.add(seeded(2), "a");
  const ids = await Promise.all(
    [1, 2].map(async (seed) => (await encodeJob(seeded(seed), MODEL)).id),
  );
  const isQueued = async (i: number) => await one.exchange.sequenceOf(ids[i]!) !== undefined;
  while (!await isQueued(0) || !await isQueued(1));
  waiting.cancel();
  while (await isQueued(1));
  await using worker = await startWorker(pipeline, url);
  await paused();
  await running(shared[1]!);
  shared[0]!.cancel();
  // It is given up when the one who has left is told that somebody waits.
  one.queue.close();
  await one.queue.finished;
  assertEquals([await isQueued(0), shared[1]!.state.status], [true, "running"]);
  shared[1]!.cancel();
  await stopped();
  await until(() => worker.records.length === 1);
  while (await isQueued(0));
  // It draws on, also what was cancelled.
  resume();
  assertEquals((await imagesOf(other.queue.add(seeded(1), "a"))).length, 1);
  await worker.stop();
  assertEquals(worker.outcomes(), ["cancelled", "done"]);
});

natsTest(
  "NatsQueue.add() refuses jobs beyond the capacity, and of one client beyond its own",
  async (url) => {
    await using one = await openNatsQueue(url, { capacity: 3, capacityPerClient: 2 });
    one.queue.add(seeded(1), "a");
    one.queue.add(seeded(2), "a");
    assertThrows(() => one.queue.add(seeded(3), "a"), QueueFullError, "2 requests of yours wait");
    const third = one.queue.add(seeded(3), "b");
    assertThrows(() => one.queue.add(seeded(4), "c"), QueueFullError, "3 requests wait");
    // Also those of others count.
    const { id } = await encodeJob(seeded(3), MODEL);
    while (await one.exchange.sequenceOf(id) === undefined);
    await until(() => one.queue.length === 3);
    await using other = await openNatsQueue(url, { capacity: 3, capacityPerClient: 2 });
    assertThrows(() => other.queue.add(seeded(4), "c"), QueueFullError, "3 requests wait");
    third.cancel();
    await until(() => other.queue.placesFor("c") === 1);
    other.queue.checkPlace("c");
    assertThrows(() => other.queue.checkPlace("c", 1), QueueFullError, "3 requests wait");
  },
);

natsTest("NatsQueue.secondsTo() tells the seconds of a job without steps", async (url) => {
  await using opened = await openNatsQueue(url);
  const job = new Job(seeded(1), "a", () => {});
  job.report({ status: "running", step: 0, steps: 0, preview: undefined });
  // Nothing has been measured yet.
  assertEquals(opened.queue.secondsTo(job), 5);
});

natsTest("NatsQueue.close() gives back what waits, and lets end what runs", async (url) => {
  await using pipe = await loadTiny();
  const { pipeline, paused, resume } = pausingPipeline(pipe);
  await using opened = await openNatsQueue(url);
  const [first, second] = [1, 2].map((seed) => opened.queue.add(seeded(seed), "a"));
  await using _worker = await startWorker(pipeline, url);
  await paused();
  const [run, wait] = await Promise.race([
    running(first!).then(() => [first!, second!]),
    running(second!).then(() => [second!, first!]),
  ]);
  opened.queue.close();
  const state = await wait!.finished();
  assert(state.status === "failed" && state.error instanceof QueueClosedError);
  assertThrows(() => opened.queue.add(seeded(3), "a"), QueueClosedError);
  resume();
  assertEquals((await imagesOf(run!)).length, 1);
  await opened.queue.finished;
  assertEquals((await opened.exchange.figures()).waiting, 0);
});

natsTest(
  "NatsQueue draws anew what is stored damaged, and refuses what the server cannot take",
  async (url) => {
    await using pipe = await loadTiny();
    await using opened = await openNatsQueue(url);
    await using _worker = await startWorker(pipe, url);
    const { id } = await encodeJob(seeded(1), MODEL);
    const black = new RasterImage(new Uint8ClampedArray(4), 1, 1);
    await opened.exchange.setPictures(id, [black]);
    const { images } = await pipe.generate("a cat", seeded(1).values);
    assertEquals(await imagesOf(opened.queue.add(seeded(1), "a")), images);

    // Pictures whose parts are gone, though they are listed.
    await opened.exchange.setPictures(id, images);
    const jsm = await jetstreamManager(opened.connection);
    await jsm.streams.purge("OBJ_vq-diffusion-pictures", {
      filter: "$O.vq-diffusion-pictures.C.>",
    });
    assertEquals(await imagesOf(opened.queue.add(seeded(1), "a")), images);
    // Nothing that read them stays on the server.
    assertEquals((await jsm.streams.info("OBJ_vq-diffusion-pictures")).state.consumer_count, 0);

    const noise = crypto.getRandomValues(new Uint8ClampedArray(65536));
    const image = new RasterImage(
      new Uint8ClampedArray(4 * 600 * 600).map((_, i) => noise[i % 65521]!),
      600,
      600,
    );
    const state = await opened.queue.add({ ...seeded(2), picture: { image } }, "a").finished();
    assert(state.status === "failed" && state.error instanceof RangeError);
    assertStringIncludes(state.error.message, "max_payload of the server");
  },
);
