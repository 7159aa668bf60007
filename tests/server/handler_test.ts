import { assert, assertEquals, assertMatch, assertNotEquals, assertThrows } from "@std/assert";
import { contactSheet } from "../../src/images/contact_sheet.ts";
import { RasterImage } from "../../src/images/raster_image.ts";
import { VQDiffusionPipeline } from "../../src/pipeline/vq_diffusion_pipeline.ts";
import { createHandler, type HandlerOptions } from "../../src/server/handler.ts";
import { folderOf, tinyFiles } from "../pipeline/golden_runs.ts";
import { parseEvents, pausingPipeline } from "./support.ts";

const ORIGIN = "http://localhost";
const EVENTS = { accept: "text/event-stream" };

async function loadTiny() {
  return await VQDiffusionPipeline.fromPretrained(folderOf(tinyFiles()), {
    device: "wasm",
    threads: 1,
  });
}

function get(query: string, headers: HeadersInit = {}): Request {
  return new Request(`${ORIGIN}/generate?${query}`, { headers });
}

function post(body: unknown, headers: HeadersInit = {}): Request {
  const text = typeof body === "string" ? body : JSON.stringify(body);
  return new Request(`${ORIGIN}/generate`, {
    method: "POST",
    body: text,
    headers: { "content-type": "application/json", ...headers },
  });
}

async function image(response: Response): Promise<RasterImage> {
  assertEquals([response.status, response.headers.get("content-type")], [200, "image/png"]);
  return await RasterImage.decode(await response.bytes());
}

Deno.test("createHandler() answers GET and POST with the image as PNG", async () => {
  await using pipe = await loadTiny();
  const handler = createHandler(pipe);
  const expected = await pipe.generate("a cat", {
    numInferenceSteps: 4,
    guidanceScale: 3,
    truncationRate: 0.9,
    seed: 7,
  });
  const query = "prompt=a+cat&steps=4&guidance=3&truncation=0.9&seed=7";
  const response = await handler(get(query));
  assertEquals(response.headers.get("x-seed"), "7");
  assertEquals(await image(response), expected.images[0]!);
  const body = { prompt: "a cat", steps: 4, guidance: 3, truncation: 0.9, seed: 7 };
  assertEquals(await image(await handler(post(body))), expected.images[0]!);
});

Deno.test("createHandler() tells the seed that it drew, and takes seeds of 64 bits", async () => {
  await using pipe = await loadTiny();
  const handler = createHandler(pipe);
  const drawn = await handler(get("prompt=a+cat&steps=5"));
  const seed = drawn.headers.get("x-seed")!;
  assertMatch(seed, /^\d+$/);
  assertEquals(drawn.headers.get("cache-control"), "no-store");
  const again = await handler(get(`prompt=a+cat&steps=5&seed=${seed}`));
  assertEquals(again.headers.get("cache-control"), null);
  assertEquals(await image(again), await image(drawn));

  const big = { prompt: "a cat", steps: 5, seed: "18446744073709551615" };
  const { images } = await pipe.generate("a cat", { numInferenceSteps: 5, seed: 2n ** 64n - 1n });
  assertEquals(await image(await handler(post(big))), images[0]!);
});

Deno.test("createHandler() answers with a contact sheet of several images", async () => {
  await using pipe = await loadTiny();
  const options = { numInferenceSteps: 2, numImagesPerPrompt: 3, seed: 1 };
  const { images } = await pipe.generate("a cat", options);
  const response = await createHandler(pipe)(get("prompt=a+cat&steps=2&images=3&seed=1"));
  assertEquals(await image(response), contactSheet(images));
});

Deno.test("createHandler() streams events of every step, previews and the images", async () => {
  await using pipe = await loadTiny();
  const options = { numInferenceSteps: 5, numImagesPerPrompt: 2, seed: 1 };
  const { images } = await pipe.generate("a cat", options);
  const request = get("prompt=a+cat&steps=5&images=2&seed=1&previews=2", EVENTS);
  const response = await createHandler(pipe)(request);
  assertEquals(response.headers.get("content-type"), "text/event-stream");
  const events = parseEvents(await response.text());
  assertEquals(events.map(({ name }) => name), [...new Array(5).fill("step"), "result"]);
  const steps = events.slice(0, 5).map(({ data }) => [data.step, data.steps, data.timestep]);
  assertEquals(steps, [[1, 5, 4], [2, 5, 3], [3, 5, 2], [4, 5, 1], [5, 5, 0]]);
  const previews = events.slice(0, 5).map(({ data }) => data.previews?.length);
  assertEquals(previews, [undefined, 2, undefined, 2, undefined]);
  const decode = (file: string) => RasterImage.decode(Uint8Array.fromBase64(file));
  assertNotEquals(await decode(events[1]!.data.previews![0]!), images[0]!);
  const { data } = events[5]!;
  assertEquals(data.seed, "1");
  assertEquals(await Promise.all(data.images!.map(decode)), images);
});

Deno.test("createHandler() refuses wrong requests with one line of JSON before it loads anything", async () => {
  const handler = createHandler(() => Promise.reject(new Error("Loaded")), {
    maxSteps: 50,
    maxPromptLength: 20,
    maxBodyBytes: 100,
  });
  const long = "x".repeat(21);
  const wrong: [request: Request, status: number, message: string][] = [
    [new Request(ORIGIN), 404, "There is nothing at this path, expected /generate"],
    [new Request(`${ORIGIN}/generate/`), 404, "nothing at this path"],
    [new Request(`${ORIGIN}/generate`, { method: "PUT" }), 405, "The method is PUT"],
    [new Request(`${ORIGIN}/generate`, { method: "OPTIONS" }), 405, "The method is OPTIONS"],
    [get("prompt=a&seed=x"), 400, 'seed is "x", expected a whole number from 0 to 2^64 - 1'],
    [get("prompt=a&seed=-1"), 400, 'seed is "-1"'],
    [get("prompt=a&seed=18446744073709551616"), 400, "seed is"],
    [get("prompt=a&steps=0"), 400, "steps is 0, expected a whole number from 1 to 50"],
    [get("prompt=a&steps=51"), 400, "steps is 51, expected a whole number from 1 to 50"],
    [get("prompt=a&steps=1.5"), 400, "steps is 1.5"],
    [get("prompt=a&steps="), 400, 'steps is ""'],
    [get("prompt=a&guidance=NaN"), 400, 'guidance is "NaN", expected a number from 0 to 100'],
    [get("prompt=a&guidance=1e400"), 400, "guidance is null"],
    [get("prompt=a&truncation=1.1"), 400, "truncation is 1.1, expected a number from 0 to 1"],
    [get("prompt=a&images=5"), 400, "images is 5, expected a whole number from 1 to 4"],
    [get("prompt=a&previews=-1"), 400, "previews is -1"],
    [get("prompt=a&prompt=b"), 400, "The parameter prompt is given twice"],
    [get("prompt=a&step=9"), 400, 'Unknown parameter "step", did you mean steps?'],
    [get("prompt=a&guidanceScale=9"), 400, "did you mean guidance?"],
    [get("prompt=a&size=9"), 400, 'Unknown parameter "size", expected prompt, class, seed, steps'],
    [get(`prompt=${long}`), 400, "prompt is 21 characters long, expected at most 20"],
    [post({ prompt: 5 }), 400, "prompt is 5, expected a text"],
    [post({ prompt: ["a"] }), 400, 'prompt is ["a"], expected a text'],
    [post({ prompt: "a", steps: "5" }), 400, 'steps is "5"'],
    [post({ prompt: "a", seed: 2 ** 60 }), 400, "seed is 1152921504606847000"],
    [post({ prompt: "a", __proto__x: 1 }), 400, 'Unknown parameter "__proto__x"'],
    [post("{"), 400, "The body is not valid JSON"],
    [post("[1]"), 400, "The body is no JSON object"],
    [post("null"), 400, "The body is no JSON object"],
    [post("a", { "content-type": "text/plain" }), 415, "expected application/json"],
    [post({ prompt: "x".repeat(100) }), 413, "The body is longer than 100 bytes"],
    [post("{}", { "content-length": "101" }), 413, "The body is longer than 100 bytes"],
  ];
  for (const [request, status, message] of wrong) {
    const response = await handler(request);
    const text = await response.text();
    assertEquals(response.status, status, text);
    assertEquals(response.headers.get("content-type"), "application/json");
    assertMatch(text, /^\{"error":".*"\}\n$/);
    assert(JSON.parse(text).error.includes(message), text);
    assertEquals(response.headers.get("allow"), status === 405 ? "GET, POST" : null);
  }
});

Deno.test("createHandler() draws at most maxSteps steps if a request does not say how many", async () => {
  await using pipe = await loadTiny();
  const { images } = await pipe.generate("a cat", { numInferenceSteps: 3, seed: 1 });
  const handler = createHandler(pipe, { maxSteps: 3 });
  assertEquals(await image(await handler(get("prompt=a+cat&seed=1"))), images[0]!);
});

Deno.test("createHandler() refuses more steps than the model has", async () => {
  await using pipe = await loadTiny();
  const response = await createHandler(pipe, { maxSteps: 1000 })(get("prompt=a&steps=101"));
  assertEquals(response.status, 400);
  assertEquals(await response.json(), {
    error: "steps is 101, expected a whole number from 1 to 100, the timesteps of the training",
  });
});

Deno.test("createHandler() refuses requests beyond maxConcurrent, and takes them later", async () => {
  await using pipe = await loadTiny();
  const { paused, pipeline } = pausingPipeline(pipe);
  const handler = createHandler(pipeline, { maxConcurrent: 2 });
  const controller = new AbortController();
  const { signal } = controller;
  const first = handler(new Request(get("prompt=a"), { signal }));
  const second = await handler(new Request(get("prompt=a", EVENTS), { signal }));
  await Promise.all([paused(), paused()]);
  const refused = await handler(get("prompt=a"));
  assertEquals(refused.status, 503);
  assertMatch(refused.headers.get("retry-after")!, /^[1-9]\d*$/);
  assertMatch(await refused.text(), /^\{"error":"Too many images/);

  controller.abort();
  assertEquals((await first).status, 499);
  assertEquals(parseEvents(await second.text()).map(({ name }) => name), ["step"]);
  assertEquals((await handler(get("prompt=a&steps=1"))).status, 200);
  assertEquals((await handler(get("prompt=a&steps=1"))).status, 200);
});

Deno.test("createHandler() loads the pipeline once, and again if that failed", async () => {
  await using pipe = await loadTiny();
  let loads = 0;
  const errors: unknown[] = [];
  const load = () => {
    loads++;
    return loads === 1 ? Promise.reject(new Error("Secret path")) : Promise.resolve(pipe);
  };
  const handler = createHandler(load, { onError: (error) => errors.push(error) });
  const failed = await handler(get("prompt=a&steps=1"));
  assertEquals(failed.status, 500);
  assertEquals(await failed.json(), { error: "The image could not be drawn" });
  assertEquals(errors.map(String), ["Error: Secret path"]);
  const both = [handler(get("prompt=a&steps=1")), handler(get("prompt=a&steps=1"))];
  assertEquals((await Promise.all(both)).map(({ status }) => status), [200, 200]);
  assertEquals(loads, 2);
});

Deno.test("createHandler() ends a stream of events with what failed", async () => {
  const pipe = await loadTiny();
  const errors: unknown[] = [];
  const { paused, resume, pipeline } = pausingPipeline(pipe);
  const handler = createHandler(pipeline, { onError: (error) => errors.push(error) });
  const response = await handler(get("prompt=a", EVENTS));
  await paused();
  await pipe.dispose();
  resume();
  const events = parseEvents(await response.text());
  assertEquals(events.map(({ name }) => name), ["step", "step", "error"]);
  assertEquals(events[2]!.data, { error: "The image could not be drawn" });
  assertMatch(String(errors[0]), /disposed of/);
});

Deno.test("createHandler() lets pages of another origin in if it is to", async () => {
  const handler = createHandler(() => Promise.reject(new Error("Loaded")), { allowOrigin: "*" });
  const preflight = await handler(new Request(`${ORIGIN}/generate`, { method: "OPTIONS" }));
  assertEquals(preflight.status, 204);
  assertEquals(preflight.headers.get("access-control-allow-methods"), "GET, POST");
  const refused = await handler(get(""));
  assertEquals(refused.headers.get("access-control-allow-origin"), "*");
  await refused.body?.cancel();
});

Deno.test("createHandler() refuses wrong options", () => {
  const load = () => Promise.reject(new Error("Loaded"));
  for (
    const name of ["maxSteps", "maxImages", "maxPromptLength", "maxBodyBytes", "maxConcurrent"]
  ) {
    for (const value of [0, 1.5, NaN]) {
      const options: HandlerOptions = { [name]: value };
      assertThrows(() => createHandler(load, options), RangeError, `${name} is ${value}`);
    }
    const options = { [name]: "5" } as HandlerOptions;
    assertThrows(() => createHandler(load, options), TypeError, `${name} is "5"`);
  }
  const wrong: [options: unknown, message: string][] = [
    [{ maxStep: 5 }, 'unknown option "maxStep", did you mean maxSteps?'],
    [{ onError: true }, "onError is true, expected a function"],
    [null, "options is null, expected an object"],
  ];
  for (const [options, message] of wrong) {
    assertThrows(() => createHandler(load, options as HandlerOptions), TypeError, message);
  }
  assertThrows(
    () => createHandler(null as never),
    TypeError,
    "pipeline is null, expected a VQDiff",
  );
});

Deno.test("createHandler() serves over HTTP, and stops when the client goes away", async () => {
  await using pipe = await loadTiny();
  const { paused, stopped, pipeline } = pausingPipeline(pipe);
  const handler = createHandler(pipeline, { maxConcurrent: 1 });
  await using server = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen() {} }, handler);
  const url = `http://127.0.0.1:${server.addr.port}/generate`;
  const { images } = await pipe.generate("a cat", { numInferenceSteps: 1, seed: 0 });
  const once = async () =>
    assertEquals(await image(await fetch(`${url}?prompt=a+cat&steps=1&seed=0`)), images[0]!);
  await once();

  for (const headers of [{}, EVENTS]) {
    const controller = new AbortController();
    const { signal } = controller;
    const answer = fetch(`${url}?prompt=a+cat`, { headers, signal })
      .then((response) => response.text()).catch((error) => error);
    await paused();
    controller.abort();
    assert(await answer instanceof DOMException);
    await stopped();
    await once();
  }
});
