// Requests that bring pictures, on their way to the queue.

import { assertEquals } from "@std/assert";
import { RasterImage } from "../../src/images/raster_image.ts";
import { picture } from "./pictures.ts";
import { post, startService } from "./service.ts";

const QUEUE = { capacity: 8, capacityPerClient: 1 };

/** The ways of bringing a picture, with forms and JSON that break off where they are read. */
const WAYS = {
  "/generate": "multipart/form-data; boundary=x",
  "/v1/images/edits": "multipart/form-data; boundary=x",
  "/v1/images/variations": "multipart/form-data; boundary=x",
  "/sdapi/v1/img2img": "application/json",
};

/** A body that comes when it is told to. */
function slowBody() {
  const asked = Promise.withResolvers<void>();
  const end = Promise.withResolvers<Uint8Array>();
  const body = new ReadableStream({
    async pull(controller) {
      asked.resolve();
      controller.enqueue(await end.promise);
      controller.close();
    },
  }, { highWaterMark: 0 });
  return { body, asked: asked.promise, end: end.resolve };
}

for (const [path, type] of Object.entries(WAYS)) {
  Deno.test(`Service counts uploads in progress among the requests of a client at ${path}`, async () => {
    await using server = await startService({ pausing: true, queue: QUEUE });
    const running = server.ask("/generate?prompt=a&steps=3");
    await server.paused();
    const ask = (body: BodyInit, client: string) =>
      server.ask(path, { method: "POST", body, headers: { "content-type": type } }, client);
    const slow = slowBody();
    const first = ask(slow.body, "one");
    await slow.asked;
    const second = await ask("damaged", "one");
    assertEquals([second.status, second.headers.get("retry-after")], [429, "1"]);
    assertEquals((await ask("damaged", "other")).status, 400);
    slow.end(new TextEncoder().encode("damaged"));
    assertEquals((await first).status, 400);
    // What failed has given its place back.
    assertEquals((await ask("damaged", "one")).status, 400);
    server.resume();
    await running;
  });
}

/** Notes the widths of pictures that are read, and lets the first of them wait. */
function watchDecoding() {
  const decode = RasterImage.decode;
  const widths: number[] = [];
  const begun = Promise.withResolvers<void>();
  const go = Promise.withResolvers<void>();
  let isFirst = true;
  RasterImage.decode = async (...args) => {
    if (isFirst) {
      isFirst = false;
      begun.resolve();
      await go.promise;
    }
    const image = await decode.apply(RasterImage, args);
    widths.push(image.width);
    return image;
  };
  return {
    widths,
    begun: begun.promise,
    go: go.resolve,
    [Symbol.dispose]: () => void (RasterImage.decode = decode),
  };
}

Deno.test("Service reads the pictures of one request at a time, and none of clients that left", async () => {
  await using server = await startService();
  const upload = async (width: number, signal?: AbortSignal) => {
    const file = (await picture(width, 40).toPng()).toBase64();
    const white = new RasterImage(new Uint8ClampedArray(4 * width * 40).fill(255), width, 40);
    const mask = (await white.toPng()).toBase64();
    const slow = slowBody();
    const { body, ...init } = post({ prompt: "a", steps: 2, init_images: [file], mask });
    const answer = server.ask("/sdapi/v1/img2img", { ...init, body: slow.body, signal: signal! });
    await slow.asked;
    slow.end(new TextEncoder().encode(body as string));
    return answer.then(({ status }) => status);
  };
  using decoding = watchDecoding();
  const first = upload(60);
  await decoding.begun;
  const leaving = new AbortController();
  const left = upload(50, leaving.signal);
  const last = upload(45);
  // A client that left is answered when its turn comes; others are read later, or they would have been by now.
  for (let i = 0; i < 3; i++) await server.ask("/info");
  leaving.abort();
  decoding.go();
  assertEquals(await Promise.all([first, left, last]), [200, 499, 200]);
  assertEquals(decoding.widths, [60, 60, 45, 45]);
});
