import { assertEquals, assertMatch, assertNotEquals, assertRejects } from "@std/assert";
import { RasterImage } from "../../../src/images/raster_image.ts";
import type { JobRequest } from "../../../src/jobs/job.ts";
import { decodeJob, encodeJob, jobId } from "../../../src/jobs/nats/job_message.ts";
import { queuedRequest } from "../../../src/server/queued_request.ts";
import { LIMITS, loadTiny } from "../../server/service.ts";
import { jobRequest } from "../jobs.ts";

const PICTURE = new RasterImage(
  new Uint8ClampedArray(32 * 32 * 4).map((_, i) => i % 4 === 3 ? 200 : i),
  32,
  32,
);

/** A request with all that there can be. */
function fullRequest(): JobRequest {
  const { values } = jobRequest(7);
  return {
    prompt: 'a "cat" 🐈',
    picture: { image: PICTURE, maskImage: PICTURE },
    values: {
      ...values,
      seed: 2n ** 64n - 1n,
      guidanceScale: 2.5,
      guidanceInterval: [0.25, 0.75],
      negativePrompt: "a dog",
      styles: ["in ink", "flat style"],
      truncationRate: 0.86,
      topK: 3,
      numImagesPerPrompt: 2,
      strength: 0.3,
      sampler: "strided",
    },
    previewSteps: 3,
  };
}

Deno.test("decodeJob() reads what encodeJob() has made, with the same id", async () => {
  await using pipe = await loadTiny();
  const read = (fields: Record<string, unknown>) => queuedRequest(fields, pipe, LIMITS);
  const variation = { ...fullRequest(), prompt: undefined, picture: { image: PICTURE } };
  const requests: JobRequest[] = [jobRequest(), fullRequest(), variation];
  for (const request of requests) {
    const { id, bytes } = await encodeJob(request, "m");
    assertMatch(id, /^[0-9a-f]{64}$/);
    const { picture: { image, maskImage } = {}, ...read_ } = await decodeJob(bytes, read, 32);
    const { picture, ...expected } = request;
    // What is not given is undefined after reading.
    assertEquals(JSON.stringify(read_, exact), JSON.stringify(expected, exact));
    assertEquals([image, maskImage], [picture?.image, picture?.maskImage]);
    assertEquals(await jobId({ ...read_, picture: { image, maskImage } }, "m"), id);
  }
});

Deno.test("jobId() is another for all that determines pictures, and for nothing else", async () => {
  const request = fullRequest();
  const id = await jobId(request, "m");
  const withValues = (values: Partial<JobRequest["values"]>) => ({
    ...request,
    values: { ...request.values, ...values },
  });
  const other = new RasterImage(PICTURE.data.slice().fill(1, 0, 1), 32, 32);
  const others = [
    { ...request, prompt: "a dog" },
    { ...request, picture: { image: PICTURE } },
    { ...request, picture: { image: other, maskImage: PICTURE } },
    { ...request, picture: { image: PICTURE, maskImage: other } },
    withValues({ seed: 1n }),
    withValues({ numInferenceSteps: 8 }),
    withValues({ guidanceScale: 2 }),
    withValues({ guidanceInterval: [0.25, 1] }),
    withValues({ negativePrompt: "a bird" }),
    withValues({ styles: ["flat style", "in ink"] }),
    withValues({ truncationRate: 1 }),
    withValues({ topK: 4 }),
    withValues({ numImagesPerPrompt: 1 }),
    withValues({ strength: 0.4 }),
    withValues({ sampler: "leading" }),
  ];
  const ids = await Promise.all(others.map((request) => jobId(request, "m")));
  assertEquals(new Set([id, await jobId(request, "n"), ...ids]).size, others.length + 2);
  const { values } = request;
  const reversed = Object.fromEntries(Object.entries(values).reverse()) as typeof values;
  assertEquals(await jobId({ ...request, values: reversed, previewSteps: 0 }, "m"), id);
  assertNotEquals(await jobId(jobRequest(), "m"), id);
});

Deno.test("encodeJob() refuses several pictures to start from", async () => {
  const request = { ...jobRequest(), picture: { image: [PICTURE] } };
  await assertRejects(() => encodeJob(request, "m"), TypeError, "expected a single RasterImage");
});

/** Values as JSON has them, in one order. */
function exact(_: string, value: unknown): unknown {
  if (typeof value === "bigint") return `${value}n`;
  if (typeof value !== "object" || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).sort(([a], [b]) => a < b ? -1 : 1));
}
