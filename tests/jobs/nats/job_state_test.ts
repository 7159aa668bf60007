import { assertEquals, assertRejects } from "@std/assert";
import { RasterImage } from "../../../src/images/raster_image.ts";
import { encodeFrames } from "../../../src/jobs/nats/frames.ts";
import {
  decodeImages,
  decodeState,
  encodeImages,
  encodeState,
  type RemoteState,
} from "../../../src/jobs/nats/job_state.ts";

/** The beginning of a JPEG file of a kind that is not read. */
const LOSSLESS = new Uint8Array([
  ...[0xff, 0xd8, 0xff, 0xc3, 0, 11, 8, 0, 3, 0, 3, 1, 1, 0x11, 0],
  ...[0xff, 0xda, 0, 8, 1, 1, 0, 0, 0, 0, 1, 0xff, 0xd9],
]);

const FORM = { count: 2, side: 3 };

const [first, second] = [1, 100].map((start) => {
  return new RasterImage(
    new Uint8ClampedArray(36).map((_, i) => i % 4 === 3 ? 255 : start + i),
    3,
    3,
  );
});
const IMAGES = [first!, second!];

Deno.test("decodeState() reads what encodeState() has made", async () => {
  const states: RemoteState[] = [
    { sequence: 1, status: "running", step: 0, steps: 0, preview: undefined },
    { sequence: 2, status: "running", step: 3, steps: 5, preview: { step: 2, images: IMAGES } },
    { sequence: 3, status: "done" },
    { sequence: 4, status: "failed", reason: "broken" },
  ];
  for (const state of states) {
    assertEquals(await decodeState(await encodeState(state), FORM), state);
  }
  const long = await encodeState({ sequence: 1, status: "failed", reason: "x".repeat(9999) });
  const state = await decodeState(long, FORM);
  assertEquals(state?.status === "failed" && state.reason.length, 2000);
});

Deno.test("decodeState() passes over what is damaged", async () => {
  const files = await Promise.all(IMAGES.map((image) => image.toPng()));
  const running = { sequence: 1, status: "running", step: 1, steps: 2 };
  const damaged = [
    new Uint8Array([1, 2, 3, 4, 5]),
    ...[
      {},
      { ...running, sequence: -1 },
      { ...running, sequence: "1" },
      { ...running, status: "queued" },
      { ...running, step: 3 },
      { ...running, step: 0.5 },
      { ...running, previewStep: 1 },
      { sequence: 1, status: "failed" },
      { sequence: 1, status: "failed", reason: {} },
    ].map((header) => encodeFrames({ header, files: [] })),
    encodeFrames({ header: { ...running, previewStep: 1 }, files: files.slice(1) }),
    encodeFrames({ header: { ...running, previewStep: 1 }, files: [files[0]!, new Uint8Array(9)] }),
    encodeFrames({ header: { ...running, previewStep: 1 }, files: [files[0]!, LOSSLESS] }),
  ];
  await assertRejects(() => RasterImage.decode(LOSSLESS), TypeError);
  for (const bytes of damaged) assertEquals(await decodeState(bytes, FORM), undefined);
});

Deno.test("decodeImages() reads what encodeImages() has made, and refuses other sizes and numbers", async () => {
  const bytes = await encodeImages(IMAGES);
  assertEquals(await decodeImages(bytes, FORM), IMAGES);
  for (const form of [{ count: 1, side: 3 }, { count: 2, side: 2 }, { count: 2, side: 4 }]) {
    await assertRejects(() => decodeImages(bytes, form), RangeError);
  }
});
