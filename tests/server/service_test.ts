import { assert, assertEquals, assertMatch, assertNotEquals } from "@std/assert";
import { contactSheet } from "../../src/images/contact_sheet.ts";
import { RasterImage } from "../../src/images/raster_image.ts";
import { LIMITS, loadTiny, post, startService, until } from "./service.ts";
import { parseEvents } from "./support.ts";

const EVENTS = { headers: { accept: "text/event-stream" } };

Deno.test("Service answers /generate as createHandler() does", async () => {
  await using server = await startService();
  const options = { numInferenceSteps: 4, numImagesPerPrompt: 2, seed: 3 };
  const { images } = await server.pipe.generate("a cat", options);
  const query = await server.ask("/generate?prompt=a+cat&steps=4&images=2&seed=3");
  assertEquals([query.status, query.headers.get("x-seed")], [200, "3"]);
  assertEquals(await RasterImage.decode(await query.bytes()), contactSheet(images));
  const body = { prompt: "a cat", steps: 4, images: 2, seed: 3, previews: 1 };
  const streamed = await server.ask("/generate", post(body, EVENTS));
  const events = parseEvents(await streamed.text());
  const { data } = events.at(-1)!;
  const decode = (file: string) => RasterImage.decode(Uint8Array.fromBase64(file));
  assertEquals(await Promise.all(data.images!.map(decode)), images);
  assertEquals((data as { seeds?: string[] }).seeds, ["3", "4"]);
  const wrong = await server.ask("/generate?prompt=a&step=4");
  assertEquals(wrong.status, 400);
  assertEquals(await wrong.json(), { error: 'Unknown parameter "step", did you mean steps?' });
});

Deno.test("Service streams how far a job is, from its place in the queue on", async () => {
  await using server = await startService({ pausing: true });
  const first = server.ask("/generate?prompt=a+cat&steps=3");
  await server.paused();
  const stream = await server.ask("/generate?prompt=a+cat&steps=3&previews=1&seed=1", EVENTS);
  const reader = stream.body!.pipeThrough(new TextDecoderStream()).getReader();
  const queued = (await reader.read()).value!;
  assertMatch(queued, /^event: queued\ndata: \{"ahead":0,"seconds":[\d.]+\}\n\n$/);
  server.resume();
  let text = "";
  for (let part = await reader.read(); !part.done; part = await reader.read()) text += part.value;
  const names = parseEvents(text).map(({ name }) => name);
  assertEquals([names[0], names.at(-1)], ["started", "result"]);
  // Steps that come while the one before is on its way may be left out.
  assertEquals(names.slice(1, -1), names.slice(1, -1).fill("step"));
  assertEquals((await first).status, 200);
});

Deno.test("Service tells what the model knows no name of", async () => {
  await using server = await startService();
  const notes = [{ prompt: "x", kind: "unknown", message: "no name", nearest: [] }] as const;
  server.pipe.promptNotes = () => Promise.resolve([...notes]);
  const answer = await server.ask("/generate?prompt=x&steps=1", EVENTS);
  const [event] = parseEvents(await answer.text());
  assertEquals(event, { name: "notes", data: { notes: ["no name"] } } as unknown as typeof event);
});

Deno.test("Service frees the place of a client that goes away, in the queue and while it runs", async () => {
  await using server = await startService({ pausing: true });
  const clients = [new AbortController(), new AbortController(), new AbortController()];
  const ask = ({ signal }: AbortController, init: RequestInit) =>
    fetch(`${server.url}/generate?prompt=a+cat&steps=5`, { ...init, signal })
      .then((response) => response.text()).catch((error) => error);
  const answers = [ask(clients[0]!, EVENTS)];
  await server.paused();
  answers.push(ask(clients[1]!, {}), ask(clients[2]!, EVENTS));
  await until(() => server.service.queue.length === 2);
  clients[1]!.abort();
  clients[2]!.abort();
  await until(() => server.service.queue.length === 0);
  clients[0]!.abort();
  await server.stopped();
  for (const answer of answers) assert(await answer instanceof DOMException);
  assertEquals((await server.ask("/generate?prompt=a+cat&steps=1")).status, 200);
  const outcomes = server.log.filter(({ event }) => event === "job").map(({ outcome }) => outcome);
  assertEquals(outcomes, ["cancelled", "cancelled", "cancelled", "done"]);
});

Deno.test("Service draws jobs whose streams nobody reads, and then gives them up", async () => {
  await using server = await startService({ maxIdleSeconds: 0 });
  const ask = () => server.ask("/generate?prompt=a+cat&steps=3&previews=1", EVENTS);
  const answers = [await ask(), await ask()];
  // The first is read up to its first event, the second not at all: both places are free in the end.
  await answers[0]!.body!.getReader().read();
  await until(() => server.log.filter(({ event }) => event === "job").length === 2);
  assertEquals([server.service.queue.length, server.service.queue.running], [0, 0]);
  await answers[1]!.body!.cancel();
});

Deno.test("Service.close() gives waiting requests back, finishes the running one, and takes no more", async () => {
  await using server = await startService({ pausing: true });
  const ask = () => server.ask("/generate?prompt=a+cat&steps=3");
  const running = ask();
  await server.paused();
  const waiting = ask();
  await until(() => server.service.queue.length === 1);
  server.service.close();
  assertEquals((await waiting).status, 503);
  assertEquals((await ask()).status, 503);
  assertEquals((await server.ask("/healthz")).status, 503);
  server.resume();
  assertEquals((await running).status, 200);
  await server.service.finished;
});

Deno.test("Service serves clients in turn, told apart by address or token", async () => {
  for (const tokens of [undefined, ["one", "two"]]) {
    await using server = await startService({ pausing: true, tokens });
    const ask = (client: string) =>
      server.ask("/generate?prompt=a&steps=3", {
        headers: { authorization: `Bearer ${client}` },
      }, tokens ? "proxy" : client);
    const order: string[] = [];
    const note = (client: string) => ask(client).then(() => order.push(client));
    const answers = [note("one")];
    await server.paused();
    for (const client of ["one", "one", "two"]) {
      const { length } = server.service.queue;
      answers.push(note(client));
      await until(() => server.service.queue.length > length);
    }
    server.resume();
    await Promise.all(answers);
    assertEquals(order, ["one", "one", "two", "one"]);
  }
});

Deno.test("Service draws waiting requests of one shape in one run, whichever way they come", async () => {
  await using server = await startService();
  const { pipe } = server;
  const runs: number[] = [];
  const released = Promise.withResolvers<void>();
  const stream = pipe.stream.bind(pipe);
  pipe.stream = async function* (prompt, options) {
    runs.push([prompt].flat().length);
    await released.promise;
    yield* stream(prompt, options);
  };
  const answers = [server.ask("/generate?prompt=a+cat&steps=3&guidance=2&seed=1")];
  await until(() => runs.length === 1);
  const dog = "/generate?prompt=a+dog&steps=3&guidance=2&seed=2";
  const fields = { prompt: "x", steps: 3, guidance: 2, n: 2 };
  const others: (() => Promise<Response>)[] = [
    () => server.ask(dog, {}, "other"),
    () => server.ask("/v1/images/generations", post(fields)),
    () => server.ask("/sdapi/v1/txt2img", post({ prompt: "y", steps: 3, cfg_scale: 2 })),
    () => server.ask("/sdapi/v1/txt2img", post({ prompt: "z", steps: 3, cfg_scale: 2 })),
  ];
  for (const [i, ask] of others.entries()) {
    answers.push(ask());
    await until(() => server.service.queue.length === i + 1);
  }
  released.resolve();
  const responses = await Promise.all(answers);
  assertEquals(responses.map(({ status }) => status), [200, 200, 200, 200, 200]);
  assertEquals(runs, [1, 4, 1]);
  const { images } = await pipe.generate("a dog", {
    numInferenceSteps: 3,
    guidanceScale: 2,
    seed: 2,
  });
  assertEquals(await RasterImage.decode(await responses[1]!.bytes()), images[0]);
});

Deno.test("Service answers HEAD and OPTIONS without drawing, and refuses other methods", async () => {
  await using server = await startService({ pausing: true });
  const allowed: Record<string, string> = {
    "/": "GET, HEAD, OPTIONS",
    "/generate": "GET, POST, HEAD, OPTIONS",
    "/v1/models": "GET, HEAD, OPTIONS",
    "/v1/images/generations": "POST, OPTIONS",
    "/v1/images/edits": "POST, OPTIONS",
    "/sdapi/v1/txt2img": "POST, OPTIONS",
    "/sdapi/v1/progress": "GET, HEAD, OPTIONS",
    "/sdapi/v1/options": "GET, POST, HEAD, OPTIONS",
  };
  for (const [path, allow] of Object.entries(allowed)) {
    const options = await server.ask(path, { method: "OPTIONS" });
    assertEquals([options.status, options.headers.get("allow")], [204, allow]);
    assertEquals(options.headers.get("access-control-allow-origin"), null);
    const put = await server.ask(path, { method: "PUT" });
    assertEquals([put.status, put.headers.get("allow")], [405, allow]);
    if (!allow.includes("HEAD")) continue;
    const query = path === "/generate" ? "?prompt=a" : "";
    const head = await server.ask(path + query, { method: "HEAD" });
    assertEquals([head.status, await head.text()], [200, ""]);
  }
  assertEquals(server.service.queue.running, 0);
});

Deno.test("Service lets pages of other origins in only if it is told to", async () => {
  const request = {
    headers: { origin: "https://a.example", "sec-fetch-site": "cross-site" },
  };
  await using closed = await startService();
  const refused = await closed.ask("/generate?prompt=a&steps=1", request);
  assertEquals(refused.status, 403);
  await using open = await startService({ allowOrigin: "https://a.example" });
  const answered = await open.ask("/generate?prompt=a&steps=1", request);
  assertEquals(answered.status, 200);
  assertEquals(answered.headers.get("access-control-allow-origin"), "https://a.example");
  const preflight = await open.ask("/v1/images/generations", {
    method: "OPTIONS",
    headers: { ...request.headers, "access-control-request-method": "POST" },
  });
  assertEquals(preflight.headers.get("access-control-allow-origin"), "https://a.example");
});

Deno.test("Service tells by the headers of a request whether a page of another origin has sent it", async () => {
  // What is asked is at http://localhost.
  const [own, allowed, other] = ["http://localhost", "https://a.example", "http://b.example"];
  const site = (name: string) => ({ "sec-fetch-site": name });
  const cases: [headers: Record<string, string>, alone: number, allowing: number][] = [
    [{}, 200, 200],
    [{ origin: own }, 200, 200],
    [{ origin: "http://localhost:81" }, 403, 403],
    [{ origin: allowed }, 403, 200],
    [{ origin: allowed, ...site("cross-site") }, 403, 200],
    [{ origin: other }, 403, 403],
    [{ origin: other, ...site("cross-site") }, 403, 403],
    [{ origin: other, ...site("none") }, 403, 403],
    [{ origin: "null" }, 403, 403],
    [{ origin: "" }, 403, 403],
    [{ origin: "file://" }, 403, 403],
    [site("none"), 200, 200],
    [site("same-site"), 403, 403],
    [site("cross-site"), 403, 403],
    // Behind a proxy that asks by another name.
    [{ origin: "https://c.example", ...site("same-origin") }, 200, 200],
    [{ origin: "http://c.example:81", "x-forwarded-host": "c.example:81, inner" }, 200, 200],
    [{ origin: "http://c.example:81", "x-forwarded-host": "c.example" }, 403, 403],
    // It is another origin if only the scheme is another, where browsers say so.
    [{ origin: "https://localhost", ...site("cross-site") }, 403, 403],
  ];
  await using alone = await startService();
  await using allowing = await startService({ allowOrigin: allowed });
  await using all = await startService({ allowOrigin: "*" });
  for (const [headers, ...statuses] of cases) {
    const answers = [alone, allowing, all].map((server) => server.ask("/info", { headers }));
    const given = (await Promise.all(answers)).map(({ status }) => status);
    assertEquals(given, [...statuses, 200], JSON.stringify(headers));
  }
});

Deno.test("Service needs a token for all but the page and its health, if there are tokens", async () => {
  await using server = await startService({ tokens: ["secret", "other"] });
  for (const path of ["/", "/healthz"]) assertEquals((await server.ask(path)).status, 200);
  const closed = ["/metrics", "/info", "/generate?prompt=a&steps=1", "/v1/models"];
  const statusOf = async (path: string, authorization: string) =>
    (await server.ask(path, { headers: { authorization } })).status;
  for (const path of closed) {
    const none = await server.ask(path);
    assertEquals([none.status, none.headers.get("www-authenticate")], [401, "Bearer"]);
    for (const wrong of ["Bearer", "Bearer secre", "Bearer secret2", "Basic secret", "secret"]) {
      assertEquals(await statusOf(path, wrong), 401, wrong);
    }
    assertEquals(await statusOf(path, "Bearer other"), 200);
  }
});

Deno.test("Service refuses bodies that are too long, of another type, or stop coming", async () => {
  await using patient = await startService();
  await using impatient = await startService({ maxIdleSeconds: 0.01 });
  const path = "/v1/images/generations";
  const json = { "content-type": "application/json" };
  const never = new ReadableStream({
    start: (controller) => controller.enqueue(new Uint8Array(1)),
  });
  const broken = new ReadableStream({
    start: (controller) => controller.error(new Error("Reset")),
  });
  const cases: [RequestInit, number, string][] = [
    [post({ prompt: "x".repeat(1000) }), 413, "longer than 1000 bytes"],
    [
      post({ prompt: "x" }, { headers: { "content-type": "text/plain" } }),
      415,
      'is "text/plain", expected',
    ],
    [{ method: "POST", body: "{", headers: json }, 400, "not valid JSON"],
    [{ method: "POST", body: "[]", headers: json }, 400, "no JSON object"],
    [{ method: "POST", body: never, headers: json }, 408, "Nothing of the body came for 0.01 s"],
    [{ method: "POST", body: broken, headers: json }, 400, "The body broke off"],
  ];
  for (const [init, status, message] of cases) {
    const server = status === 408 ? impatient : patient;
    const response = await server.ask(path, init);
    const { error } = await response.json();
    assertEquals(response.status, status);
    assert(error.message.includes(message), error.message);
  }
  const log = [...patient.log, ...impatient.log];
  assertEquals(log.filter(({ level }) => level === "error"), []);
});

Deno.test("Service logs requests, jobs and faults, and no prompts", async () => {
  await using server = await startService();
  server.pipe.stream = async function* () {
    await Promise.reject(new Error("Secret path"));
    yield* [];
  };
  const answer = await server.ask("/generate?prompt=aardvark");
  assertEquals(await answer.json(), { error: "The picture could not be drawn" });
  const [job, error, request] = server.log;
  assertEquals([job!.event, job!["outcome"]], ["job", "failed"]);
  assertEquals([error!.level, request!.event, request!["status"]], ["error", "request", 500]);
  assertMatch(String(error!["message"]), /Secret path/);
  const ids = new Set([job, error, request].map((record) => record!["id"]));
  assertEquals([...ids], [answer.headers.get("x-request-id")]);
  assert(!JSON.stringify(server.log).includes("aardvark"));
});

Deno.test("Service counts requests by route, jobs and pictures for Prometheus", async () => {
  await using server = await startService();
  await server.ask("/generate?prompt=a&steps=1&images=3");
  for (const path of ["/none", "/other"]) await server.ask(path);
  for (const method of ["MADE", "UP", "PATCH"]) await server.ask("/healthz", { method });
  const methods = server.log.slice(-3).map((record) => record["method"]);
  assertEquals(methods, ["other", "other", "PATCH"]);
  const answer = await server.ask("/metrics");
  assertMatch(answer.headers.get("content-type")!, /^text\/plain; version=0\.0\.4/);
  const lines = (await answer.text()).split("\n");
  for (
    const line of [
      'vq_diffusion_requests_total{method="GET",route="/generate",status="200"} 1',
      'vq_diffusion_requests_total{method="GET",route="none",status="404"} 2',
      'vq_diffusion_requests_total{method="other",route="/healthz",status="405"} 2',
      'vq_diffusion_jobs_total{outcome="done"} 1',
      "vq_diffusion_images_total 3",
      "vq_diffusion_queue_length 0",
      "vq_diffusion_queue_capacity 8",
      "# TYPE vq_diffusion_jobs_running gauge",
    ]
  ) assert(lines.includes(line), line);
  const sample = /^(#.*|[a-z_]+(\{[a-z]+="[^"]*"(,[a-z]+="[^"]*")*\})? [\d.e-]+|)$/;
  assertEquals(lines.filter((line) => !sample.test(line)), []);
});

Deno.test("Service tells the device, the parameters and their ranges", async () => {
  await using pipe = await loadTiny();
  await using server = await startService({
    limits: { ...LIMITS, maxSteps: 9, maxImages: 2, maxPromptLength: 50 },
  });
  const info = await (await server.ask("/info")).json();
  assertEquals([info.model, info.maxPromptLength], ["tiny", 50]);
  assertEquals(info.device, pipe.device);
  const byName = (wanted: string) =>
    info.parameters.find(({ name }: { name: string }) => name === wanted);
  const { help, ...steps } = byName("steps");
  assertNotEquals(help, "");
  assertEquals(steps, {
    name: "steps",
    option: "numInferenceSteps",
    type: "integer",
    min: 1,
    max: 9,
    default: 9,
  });
  assertEquals(byName("images").max, 2);
});

Deno.test("Service gives the files of the page, which may load nothing from elsewhere", async () => {
  await using server = await startService();
  const page = await server.ask("/");
  assertMatch(page.headers.get("content-security-policy")!, /^default-src 'none'; /);
  const html = await page.text();
  const paths = [...html.matchAll(/\b(?:src|href)="([^"]*)"/g)].map(([, path]) => path!);
  assert(paths.length >= 2);
  for (const path of paths) {
    const file = await server.ask(new URL(path, "http://localhost/").pathname);
    assertEquals(file.status, 200, path);
    const text = await file.text();
    // Names of XML's spaces are no addresses.
    const addresses = text.match(/\bhttps?:\/\/(?!www\.w3\.org\/)[\w.]+/g) ?? [];
    assertEquals(addresses, [], path);
  }
});
