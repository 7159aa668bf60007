import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { jetstreamManager } from "npm:@nats-io/jetstream@3.4.0";
import { RasterImage } from "../../../src/images/raster_image.ts";
import { encodeFrames } from "../../../src/jobs/nats/frames.ts";
import { encodeJob } from "../../../src/jobs/nats/job_message.ts";
import { loadTiny, until } from "../../server/service.ts";
import { pausingPipeline } from "../../server/support.ts";
import { imagesOf, seeded } from "../jobs.ts";
import { MODEL, natsTest, openExchange, openNatsQueue } from "./nats_server.ts";
import { startWorker } from "./workers.ts";

natsTest("runNatsWorker() gives its job back at once when it is told to", async (url) => {
  await using pipe = await loadTiny();
  const { pipeline, paused } = pausingPipeline(pipe);
  await using opened = await openNatsQueue(url);
  const job = opened.queue.add(seeded(1), "a");
  await using first = await startWorker(pipeline, url);
  await paused();
  await first.abandon();
  assertEquals(first.outcomes(), ["returned"]);
  await using _second = await startWorker(pipe, url);
  assertEquals((await imagesOf(job)).length, 1);
});

natsTest(
  "runNatsWorker() fails a job with which workers have ended, and draws it if it is asked for again",
  async (url) => {
    await using pipe = await loadTiny();
    await using opened = await openNatsQueue(url);
    await using workers = await openExchange(url);
    const job = opened.queue.add(seeded(1), "a");
    for (let i = 0; i < 10; i++) {
      let message;
      while (message === undefined) {
        message = await workers.exchange.take(new AbortController().signal);
      }
      message.nak();
    }
    await using worker = await startWorker(pipe, url);
    const state = await job.finished();
    assert(state.status === "failed" && state.error instanceof Error);
    assertEquals(state.error.message, "10 workers have ended while they drew this job");
    assertEquals((await imagesOf(opened.queue.add(seeded(1), "a"))).length, 1);
    assertEquals(worker.outcomes(), ["failed", "done"]);
  },
);

natsTest(
  "runNatsWorker() refuses messages that are damaged, out of range or under a false id, and goes on",
  async (url) => {
    await using pipe = await loadTiny();
    await using opened = await openNatsQueue(url);
    const { exchange } = opened;
    const { id, bytes } = await encodeJob(seeded(1), MODEL);
    const fields = { prompt: "a cat", seed: "1", steps: 5, guidance: 1, truncation: 1, images: 1 };
    const message = (changed: Record<string, unknown>, files: Uint8Array<ArrayBuffer>[] = []) =>
      encodeFrames({ header: { fields: { ...fields, ...changed }, previews: 0 }, files });
    const wide = await new RasterImage(new Uint8ClampedArray(4 * 31 * 32), 31, 32).toPng();
    const hostile: [Uint8Array, string][] = [
      [new TextEncoder().encode("hello"), "Cannot read a message of the queue"],
      [bytes.subarray(0, 20), "Cannot read a message of the queue"],
      [encodeFrames({ header: {}, files: [] }), "it has no fields"],
      [message({ steps: 1e9 }), "steps is 1000000000, expected a whole number"],
      [message({ images: 5 }), "images is 5, expected"],
      [message({ prompt: "x".repeat(101) }), "prompt is 101 characters long"],
      [message({ prompt: { length: 1 } }), "prompt is {"],
      [message({ seed: undefined }), "seed is missing"],
      [message({}, [wide]), "its picture is 31 × 32, expected 32 × 32"],
      [message({}, [new Uint8Array(10)]), "Cannot"],
      [message({ prompt: "a dog" }), "its id is none of what it asks for"],
    ];
    for (const [i, [bytes]] of hostile.entries()) {
      await exchange.add(`${i}`.padStart(64, "0"), bytes);
    }
    // A picture of another prompt, under the id of one that is asked for.
    await exchange.add(id, message({ prompt: "a dog" }));
    await using worker = await startWorker(pipe, url);
    await until(() => worker.records.length === hostile.length + 1);
    assertEquals(worker.outcomes(), Array(hostile.length + 1).fill("failed"));
    for (const [i, [, reason]] of hostile.entries()) {
      assertStringIncludes(worker.records[i]!.reason!, reason);
    }
    const { images } = await pipe.generate("a cat", seeded(1).values);
    assertEquals(await imagesOf(opened.queue.add(seeded(1), "a")), images);
  },
);

natsTest(
  "runNatsWorker() gives a job back that it cannot store, when it is told to",
  async (url, server) => {
    await using pipe = await loadTiny();
    const { pipeline, paused, resume } = pausingPipeline(pipe);
    await using opened = await openNatsQueue(url);
    const job = opened.queue.add(seeded(1), "a");
    await using worker = await startWorker(pipeline, url);
    const storing = Promise.withResolvers<void>();
    const { exchange } = worker;
    const setPictures = exchange.setPictures.bind(exchange);
    exchange.setPictures = (...args) => {
      storing.resolve();
      return setPictures(...args);
    };
    await paused();
    await server.kill();
    resume();
    await storing.promise;
    await worker.abandon();
    assertEquals(worker.outcomes(), ["returned"]);
    await server.restart();
    await using _second = await startWorker(pipe, url);
    assertEquals((await imagesOf(job)).length, 1);
  },
);

natsTest(
  "runNatsWorker() fails a job for whose pictures there is no room, and goes on",
  async (url) => {
    await using pipe = await loadTiny();
    await using opened = await openNatsQueue(url);
    const { streams } = await jetstreamManager(opened.connection);
    const limit = (max_bytes: number) => streams.update("OBJ_vq-diffusion-pictures", { max_bytes });
    await limit(1);
    await using worker = await startWorker(pipe, url);
    const state = await opened.queue.add(seeded(1), "a").finished();
    assert(state.status === "failed" && state.error instanceof Error);
    assertEquals(state.error.message, "The store of pictures is full: maximum bytes exceeded");
    await limit(-1);
    assertEquals((await imagesOf(opened.queue.add(seeded(2), "a"))).length, 1);
    await worker.stop();
    assertEquals(worker.outcomes(), ["failed", "done"]);
  },
);

natsTest("runNatsWorker() draws where there is no room for the states of jobs", async (url) => {
  await using pipe = await loadTiny();
  await using opened = await openNatsQueue(url);
  const { streams } = await jetstreamManager(opened.connection);
  await streams.update("KV_vq-diffusion-states", { max_bytes: 1 });
  await using worker = await startWorker(pipe, url);
  assertEquals((await imagesOf(opened.queue.add(seeded(1), "a"))).length, 1);
  await worker.stop();
  assertEquals(worker.outcomes(), ["done"]);
});
