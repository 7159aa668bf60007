// Pictures in requests: of createHandler() and of the service, which read them by the same code.

import { assert, assertEquals, assertMatch } from "@std/assert";
import { RasterImage } from "../../src/images/raster_image.ts";
import type { GenerateOptions } from "../../src/pipeline/generate_options.ts";
import { createHandler } from "../../src/server/handler.ts";
import { header, pngFile } from "../images/png_by_hand.ts";
import { LIMITS, loadTiny, startService } from "./service.ts";
import { parseEvents } from "./support.ts";

/** Answers a request. */
type Ask = (init: RequestInit, query?: string) => Promise<Response>;

/** Calls a test with each way of answering. */
function eachWay(
  name: string,
  test: (ask: Ask, pipe: Awaited<ReturnType<typeof loadTiny>>) => Promise<void>,
) {
  Deno.test(`createHandler() ${name}`, async () => {
    await using pipe = await loadTiny();
    const { maxUploadBytes, maxPixels } = LIMITS;
    const handler = createHandler(pipe, { maxUploadBytes, maxPixels });
    const url = "http://localhost/generate";
    await test(
      (init, query = "") => handler(new Request(url + query, { method: "POST", ...init })),
      pipe,
    );
  });
  Deno.test(`Service ${name}`, async () => {
    await using server = await startService();
    await test(
      (init, query = "") => server.ask(`/generate${query}`, { method: "POST", ...init }),
      server.pipe,
    );
    // Faults of clients are none of the service.
    assertEquals(server.log.filter(({ level }) => level === "error"), []);
  });
}

/** A picture whose colours run, or whose right half is white. */
function picture(width: number, height: number, isMask = false): RasterImage {
  const data = Uint8ClampedArray.from({ length: 4 * width * height }, (_, i) => {
    const [x, y] = [(i >> 2) % width, Math.floor(i / 4 / width)];
    if (i % 4 === 3) return 255;
    return isMask ? (x >= width / 2 ? 255 : 0) : 255 * [x / width, y / height, 0.5][i % 4]!;
  });
  return new RasterImage(data, width, height);
}

const [IMAGE, MASK] = [picture(60, 40), picture(60, 40, true)];
const BLACK = new RasterImage(
  picture(60, 40, true).data.map((value, i) => i % 4 === 3 ? value : 0),
  60,
  40,
);

/** A form; values that are images are sent as PNG files. */
async function formOf(values: Record<string, string | RasterImage | Uint8Array<ArrayBuffer>>) {
  const body = new FormData();
  for (const [name, value] of Object.entries(values)) {
    if (typeof value === "string") body.append(name, value);
    else {
      const bytes = value instanceof RasterImage ? await value.toPng() : value;
      body.append(name, new File([bytes], `${name}.png`));
    }
  }
  return { body };
}

async function imageOf(response: Response): Promise<RasterImage> {
  assertEquals(response.status, 200, response.ok ? "" : await response.text());
  return await RasterImage.decode(await response.bytes());
}

eachWay("starts from the picture of a form", async (ask, pipe) => {
  const draw = async (prompt: string | undefined, options: GenerateOptions) =>
    (await pipe.generate(prompt, { numInferenceSteps: 4, seed: 5, ...options })).images[0]!;
  const common = { steps: "4", seed: "5" };
  const jpeg = await IMAGE.toJpeg();
  const fromJpeg = await ask(
    await formOf({ ...common, prompt: "a cat", image: jpeg, strength: "1" }),
  );
  const image = await RasterImage.decode(jpeg);
  assertEquals(await imageOf(fromJpeg), await draw("a cat", { image, strength: 1 }));

  const repainted = await ask(
    await formOf({ ...common, prompt: "a cat", image: IMAGE, mask: MASK }),
  );
  const expected = await draw("a cat", { image: IMAGE, maskImage: MASK });
  assertEquals(await imageOf(repainted), expected);

  // Without a prompt the picture is varied, without guidance; texts may also be those of the query.
  const varied = await ask(await formOf({ image: IMAGE }), "?steps=4&seed=5&strength=0.9");
  assertEquals(await imageOf(varied), await draw(undefined, { image: IMAGE, strength: 0.9 }));
  const empty = await ask(await formOf({ ...common, prompt: "", image: IMAGE, strength: "0.9" }));
  assertEquals(await imageOf(empty), await draw(undefined, { image: IMAGE, strength: 0.9 }));
});

eachWay("draws a picture without a step at strength 0, in a stream as well", async (ask, pipe) => {
  const { images } = await pipe.generate(undefined, { image: IMAGE, strength: 0 });
  const form = { image: IMAGE, strength: "0" };
  assertEquals(await imageOf(await ask(await formOf(form))), images[0]);
  const streamed = await ask({ ...await formOf(form), headers: { accept: "text/event-stream" } });
  const result = parseEvents(await streamed.text()).at(-1)!;
  assertEquals(result.name, "result");
  assertEquals(await RasterImage.decode(Uint8Array.fromBase64(result.data.images![0]!)), images[0]);
});

eachWay("takes all parameters as texts and as JSON", async (ask, pipe) => {
  const { images } = await pipe.generate("a cat", {
    ...{ seed: 5, sampler: "strided", numInferenceSteps: 4, guidanceScale: 3, topK: 9 },
    ...{ guidanceInterval: [0.2, 1], negativePrompt: "12", truncationRate: 0.9 },
    styles: ["in ink", "flat style"],
  });
  const others = { prompt: "a cat", seed: "5", sampler: "strided", negative: "12" };
  const texts = {
    steps: "4",
    guidance: "3",
    top_k: "9",
    guidance_interval: "0.2-1",
    styles: "in ink,flat style",
    truncation: ".9",
  };
  assertEquals(await imageOf(await ask(await formOf({ ...others, ...texts }))), images[0]);
  const query = `?${new URLSearchParams({ ...others, ...texts })}`;
  assertEquals(await imageOf(await ask({ method: "GET" }, query)), images[0]);
  const numbers = { steps: 4, guidance: 3, top_k: 9, truncation: 0.9 };
  const lists = { guidance_interval: [0.2, 1], styles: ["in ink", "flat style"] };
  const body = JSON.stringify({ ...others, ...numbers, ...lists });
  const json = await ask({ body, headers: { "content-type": "application/json" } });
  assertEquals(await imageOf(json), images[0]);
});

eachWay("refuses pictures and parameters that do not fit before it draws", async (ask) => {
  const form = { prompt: "a cat", image: IMAGE, mask: MASK };
  const bomb = await pngFile(header(10_000, 10_000, 1, 0), [], new Array(2000).fill(0));
  const large = await pngFile(header(101, 100, 1, 0), [], new Array(100 * 14).fill(0));
  const nothing = await pngFile(header(0, 0, 8, 2), [], []);
  const text = new TextEncoder().encode("GIF89a");
  const wrong: [form: Parameters<typeof formOf>[0], status: number, message: RegExp][] = [
    [
      { ...form, mask: picture(61, 40, true) },
      400,
      /^mask is 61 × 40 pixels, expected 60 × 40 as the image$/,
    ],
    [{ ...form, mask: BLACK }, 400, /^mask has no white, expected some where to repaint$/],
    [{ ...form, strength: "1.01" }, 400, /^strength is 1.01, expected a number from 0 to 1$/],
    [{ ...form, strength: "much" }, 400, /^strength is "much", expected a number from 0 to 1$/],
    [{ prompt: "a cat", strength: "0.5" }, 400, /^strength is given without image, expected both$/],
    [{ prompt: "a cat", mask: MASK }, 400, /^mask is given without image, expected both$/],
    [
      { ...form, image: text },
      400,
      /^Cannot read image: the file is a GIF file, expected a PNG or/,
    ],
    [{ ...form, mask: text }, 400, /^Cannot read mask: the file is a GIF file, expected a PNG or/],
    [
      { ...form, image: bomb },
      400,
      /^Cannot read image: it has \d+ bytes for the pixels, too few for/,
    ],
    [
      { ...form, image: large },
      413,
      /^Cannot read image: it is 101 × 100 pixels, expected at most 10000/,
    ],
    [{ ...form, image: nothing }, 400, /^Cannot read image: it is 0 × 0 pixels$/],
    [{ ...form, image: new Uint8Array(20_000) }, 413, /^The body is longer than 20000 bytes$/],
    [{ ...form, picture: IMAGE }, 400, /^Unknown parameter "picture"/],
    [
      { ...form, sampler: "euler a" },
      400,
      /^sampler is "euler a", expected "leading", "strided", "cosine"/,
    ],
    [{ ...form, sampler: "fast:1" }, 400, /^sampler is "fast:1", expected a speed from 2 to 100/],
    [
      { ...form, sampler: "fast:4", steps: "9" },
      400,
      /number is 9, expected 26, which follows from/,
    ],
    [{ ...form, top_k: "0" }, 400, /^top_k is 0, expected a whole number of at least 1$/],
    [
      { ...form, guidance_interval: "0.8-0.2" },
      400,
      /^guidance_interval is "0.8-0.2", expected two numbers/,
    ],
    [{ ...form, styles: "in ink,," }, 400, /^styles is "in ink,,", expected at most 100 styles/],
    [
      { ...form, negative: "x".repeat(501) },
      400,
      /^negative is 501 characters long, expected at most/,
    ],
    [
      { ...form, image: "cat.png" },
      400,
      /^image is "cat.png", expected a file in a body of multipart/,
    ],
    [{ prompt: "a cat", seed: IMAGE }, 400, /^seed is "seed.png", expected no file$/],
  ];
  for (const [values, status, message] of wrong) {
    const response = await ask(await formOf(values));
    const { error } = await response.json();
    assertMatch(error, message);
    assertEquals(response.status, status, error);
  }
  const twice = await formOf(form);
  twice.body.append("image", new File([], "again.png"));
  assertEquals(await (await ask(twice)).json(), { error: "image is given twice" });
  const json = JSON.stringify({ prompt: "a cat", guidance_interval: ["0", 1] });
  const answer = await ask({ body: json, headers: { "content-type": "application/json" } });
  const { error } = await answer.json();
  assert(error.startsWith('guidance_interval is ["0",1], expected two numbers'), error);
});

Deno.test("Service holds pictures that wait as small as they are drawn", async () => {
  await using server = await startService({ pausing: true });
  const first = server.ask("/generate?prompt=a&steps=3&seed=1");
  await server.paused();
  const submitted: number[] = [];
  const { queue } = server.service;
  const add = queue.add.bind(queue);
  queue.add = (request, client) => {
    const { image, maskImage } = request.picture!;
    for (const one of [image, maskImage]) submitted.push((one as RasterImage).width);
    return add(request, client);
  };
  const form = await formOf({ prompt: "a cat", steps: "3", seed: "5", image: IMAGE, mask: MASK });
  const second = server.ask("/generate", { method: "POST", ...form });
  server.resume();
  await first;
  const { images } = await server.pipe.generate("a cat", {
    ...{ numInferenceSteps: 3, seed: 5, image: IMAGE, maskImage: MASK },
  });
  assertEquals(await imageOf(await second), images[0]);
  assertEquals(submitted, [32, 32]);
});

Deno.test("Service reads no pictures for which there is no place", async () => {
  const queue = { capacity: 0, capacityPerClient: 0 };
  await using server = await startService({ pausing: true, queue });
  const first = server.ask("/generate?prompt=a&steps=3&seed=1");
  await server.paused();
  // Of this body nothing comes, ever.
  const body = new ReadableStream();
  const headers = { "content-type": "multipart/form-data; boundary=x" };
  const refused = await server.ask("/generate", { method: "POST", body, headers });
  assertEquals(refused.status, 429);
  server.resume();
  assertEquals((await first).status, 200);
});
