// A client of AUTOMATIC1111's web UI from npm against the service, and requests as front ends send them.

import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import imported from "npm:node-sd-webui@0.0.8";
import { enlarge } from "../../../src/images/enlarge.ts";
import { readPngTexts } from "../../../src/images/png_text.ts";
import { JobQueue } from "../../../src/jobs/queue.ts";
import { progressAnswer } from "../../../src/server/automatic1111/answers.ts";
import type { ClientJob } from "../../../src/server/automatic1111/client_jobs.ts";
import { jobRequest } from "../../jobs/jobs.ts";
import { BLACK, CLEAR, decodeBase64, halves, picture, WHITE } from "../pictures.ts";
import { LIMITS, post, startService, until } from "../service.ts";

const OPTIONS = { seed: 7, numInferenceSteps: 6, guidanceScale: 3 };
const REQUEST = { prompt: "a cat", seed: 7, steps: 6, cfg_scale: 3 };

/** The client, whose types are those of another form of its module. */
const webUI = imported as unknown as typeof imported.default;

const API = "/sdapi/v1";

/** A service with a side of 32 pixels, and requests to it. */
async function start(options: Parameters<typeof startService>[0] = {}) {
  const server = await startService(options);
  const ask = async (path: string, init: RequestInit = {}, client = "client") => {
    const response = await server.ask(`${API}/${path}`, init, client);
    return { status: response.status, body: await response.json(), headers: response.headers };
  };
  return {
    server,
    ask,
    async draw(path: string, fields: Record<string, unknown>, client?: string) {
      const { status, body } = await ask(path, post({ ...REQUEST, ...fields }), client);
      assertEquals(status, 200, JSON.stringify(body));
      return { ...body, info: JSON.parse(body.info) };
    },
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

Deno.test("POST /sdapi/v1/txt2img gives a client of the web UI pictures, seeds and settings", async () => {
  await using server = await startService();
  const client = webUI({ apiUrl: server.url });
  const { images } = await server.pipe.generate("a cat", { ...OPTIONS, numImagesPerPrompt: 4 });
  const answer = await client.txt2img({
    prompt: "a cat",
    seed: 7,
    steps: 6,
    cfgScale: 3,
    batchSize: 2,
    batchCount: 2,
    width: 100,
    height: 80,
    samplingMethod: "Euler a",
    restoreFaces: true,
  });
  const drawn = await Promise.all(answer.images.map(decodeBase64));
  // The largest square of whole pixels of the model that fits.
  assertEquals(drawn, images.map((image) => enlarge(image, 2)));
  const info = JSON.parse(answer.info);
  assertEquals([info.seed, info.all_seeds], [7, [7, 8, 9, 10]]);
  assertEquals([info.width, info.height, info.steps, info.cfg_scale], [64, 64, 6, 3]);
  const parameters = answer.parameters as Record<string, unknown>;
  assertEquals([parameters["seed"], parameters["restore_faces"]], [7, true]);
  const read = await client.pngInfo({ imageData: answer.images[1]! });
  assertEquals([read.prompt, read.steps, read.cfgScale, read.seed], ["a cat", 6, 3, 8]);
});

Deno.test("POST /sdapi/v1/img2img gives a client of the web UI what is drawn from a picture", async () => {
  await using server = await startService();
  const client = webUI({ apiUrl: server.url });
  const image = picture();
  const { images } = await server.pipe.generate("a cat", { ...OPTIONS, image, strength: 0.75 });
  const base64 = (await image.toPng()).toBase64();
  for (const file of [base64, `data:image/png;base64,${base64}`]) {
    const request = { imageData: [file], prompt: "a cat", seed: 7, steps: 6, cfgScale: 3 };
    const answer = await client.img2img({ ...request, samplingMethod: "DDIM" });
    assertEquals(await decodeBase64(answer.images[0]), images[0]);
    assert(!("init_images" in (answer.parameters as Record<string, unknown>)));
  }
});

Deno.test("POST /sdapi/v1/img2img repaints what is white in the mask, or painted, or not", async () => {
  await using service = await start();
  const image = picture();
  const { images } = await service.server.pipe.generate("a cat", {
    ...OPTIONS,
    image,
    maskImage: halves(WHITE, BLACK),
    strength: 0.9,
  });
  const encode = async (mask: typeof image) => (await mask.toPng()).toBase64();
  const masks = [
    { mask: await encode(halves(WHITE, BLACK)) },
    { mask: await encode(halves(BLACK, CLEAR)) },
    { mask: await encode(halves(BLACK, WHITE)), inpainting_mask_invert: 1 },
    { mask: await encode(halves(WHITE, BLACK, 100, 80)) },
  ];
  for (const mask of masks) {
    const fields = { init_images: [await encode(image)], denoising_strength: 0.9, ...mask };
    const answer = await service.draw("img2img", fields);
    assertEquals(await decodeBase64(answer.images[0]), images[0]);
    assertEquals(answer.info.denoising_strength, 0.9);
  }
});

Deno.test("POST /sdapi/v1/img2img varies the picture if there is no prompt", async () => {
  await using service = await start();
  const image = picture();
  const { images } = await service.server.pipe.generate(undefined, {
    seed: 7,
    numInferenceSteps: 6,
    image,
    strength: 0.4,
  });
  const init_images = [(await image.toPng()).toBase64()];
  const answer = await service.draw("img2img", {
    prompt: "",
    init_images,
    denoising_strength: 0.4,
  });
  assertEquals(await decodeBase64(answer.images[0]), images[0]);
});

Deno.test("POST /sdapi/v1/txt2img takes what clients send as a habit", async () => {
  await using service = await start({
    limits: { ...LIMITS, maxSteps: 5 },
  });
  const { images: [image], info } = await service.draw("txt2img", {
    steps: "20",
    seed: -1,
    width: 512,
    height: 512,
    n_iter: null,
    sampler_name: "DPM++ 2M Karras",
    sampler_index: "Euler",
    styles: [],
    override_settings: { sd_model_checkpoint: "tiny" },
    alwayson_scripts: { ControlNet: { args: [] } },
    enable_hr: false,
    unknown: { fields: true },
  });
  // More steps than there may be are as many as there may be.
  assertEquals([info.steps, info.width], [5, 512]);
  assert(Number.isInteger(info.seed) && info.seed >= 0 && info.seed < 2 ** 32);
  const texts = await readPngTexts(Uint8Array.fromBase64(image));
  const [prompt, line] = texts.get("parameters")!.split("\n");
  assertEquals(prompt, "a cat");
  assertMatch(line!, new RegExp(`^Steps: 5, .*CFG scale: 3, Seed: ${info.seed}, Size: 32x32, `));
  const none = await service.draw("txt2img", { send_images: false });
  assertEquals([none.images, none.info.seed], [[], 7]);
});

Deno.test("POST /sdapi/v1/txt2img draws by the samplers of its list, and away from the negative prompt", async () => {
  await using service = await start();
  const listed: { name: string }[] = (await service.ask("samplers")).body;
  assertEquals(listed.map(({ name }) => name), [
    "VQ-Diffusion",
    "Leading",
    "Strided",
    "Cosine",
    "Fast",
    "Purity",
  ]);
  const cases: [name: string, options: Record<string, unknown>][] = [
    ["VQ-Diffusion", { numInferenceSteps: 6 }],
    ["Leading", { sampler: "leading", numInferenceSteps: 6 }],
    ["Strided", { sampler: "strided", numInferenceSteps: 6 }],
    ["Cosine", { sampler: "cosine", numInferenceSteps: 6 }],
    ["VQ-Diffusion strided", { sampler: "strided", numInferenceSteps: 6 }],
    // Of 100 timesteps, every 20th.
    ["Fast", { sampler: "fast:20", numInferenceSteps: 6 }],
    ["fast:33", { sampler: "fast:33", numInferenceSteps: 4 }],
    ["purity:1", { sampler: "purity:1", numInferenceSteps: 6 }],
  ];
  for (const [sampler_name, options] of cases) {
    const { images } = await service.server.pipe.generate("a cat", {
      ...OPTIONS,
      ...options,
      negativePrompt: "a dog",
    });
    const answer = await service.draw("txt2img", { sampler_name, negative_prompt: "a dog" });
    assertEquals(await decodeBase64(answer.images[0]), images[0], sampler_name);
    assertEquals(answer.info.steps, options["numInferenceSteps"], sampler_name);
    assertEquals(answer.info.negative_prompt, "a dog");
    const { body } = await service.ask("png-info", post({ image: answer.images[0] }));
    assertEquals(body.parameters["Negative prompt"], "a dog");
  }
});

Deno.test("Paths of the web UI refuse what is wrong, in its form", async () => {
  await using service = await start();
  const init_images = [(await picture().toPng()).toBase64()];
  const black = (await halves(BLACK, BLACK).toPng()).toBase64();
  const wrong: [path: string, fields: Record<string, unknown>, message: string, status?: number][] =
    [
      ["txt2img", { prompt: 5 }, "prompt is 5, expected a text"],
      ["txt2img", { negative_prompt: "x".repeat(101) }, "negative_prompt is 101 characters long"],
      ["txt2img", { steps: 0 }, "steps is 0, expected a whole number of at least 1"],
      ["txt2img", { steps: "many" }, 'steps is "many"'],
      ["txt2img", { seed: -2 }, "seed is -2"],
      ["txt2img", { cfg_scale: 1000 }, "cfg_scale is 1000"],
      ["txt2img", { width: -1 }, "width is -1"],
      ["txt2img", { batch_size: 3, n_iter: 2 }, "batch_size · n_iter is 6, expected at most 4"],
      ["txt2img", { override_settings: { sd_model_checkpoint: "x" } }, 'expected "tiny"', 404],
      ["options", { sd_model_checkpoint: "x" }, 'The model "x" does not exist', 404],
      ["img2img", {}, "init_images is missing, expected a list of one picture"],
      ["img2img", { init_images: [] }, "init_images is []"],
      [
        "img2img",
        { init_images: ["?"] },
        'init_images[0] is "?", expected a picture file in base64',
      ],
      ["img2img", { init_images: ["AAAA"] }, "init_images[0]"],
      ["img2img", { init_images, mask: "AAAA" }, "mask"],
      ["img2img", { init_images, mask: black }, "mask"],
      ["img2img", { init_images, denoising_strength: 2 }, "denoising_strength is 2"],
      ["png-info", { image: "AAAA" }, "it is no PNG file"],
      ["interrogate", {}, "There is nothing at this path", 404],
    ];
  for (const [path, fields, message, status = 400] of wrong) {
    const answer = await service.ask(path, post(fields));
    assertEquals(answer.status, status, JSON.stringify(answer.body));
    assert(answer.body.detail.includes(message), answer.body.detail);
    assertEquals(answer.body.error, "HTTPException");
  }
  const long = await service.ask("img2img", post({ init_images: ["A".repeat(100_000)] }));
  assertEquals(long.status, 413);
  assertEquals(service.server.log.filter(({ level }) => level === "error"), []);
});

Deno.test("progressAnswer() tells that a job without steps has begun", async () => {
  const work = { steps: 0, calls: 0 };
  const queue = new JobQueue({ capacity: 1, capacityPerClient: 1 }, () => work);
  const taking = queue.take();
  const job = queue.add(jobRequest(), "client");
  assertEquals(await taking, job);
  const entry = { job, since: 0 } as ClientJob;
  const { progress, state } = await progressAnswer(entry, queue, { withImage: true });
  assertEquals([progress, (state as Record<string, number>)["sampling_steps"]], [0.01, 0]);
});

Deno.test("GET /sdapi/v1/progress tells each client of its own picture, and shows it", async () => {
  await using service = await start({ pausing: true });
  const { server } = service;
  const progressOf = async (client: string, query = "") =>
    (await service.ask(`progress${query}`, {}, client)).body;
  const idle = await progressOf("one");
  assertEquals([idle.progress, idle.state.job_count, idle.current_image], [0, 0, null]);
  const first = service.draw("txt2img", { steps: 4, width: 64, height: 64 }, "one");
  await server.paused();
  const second = service.draw("txt2img", { steps: 4 }, "two");
  await until(() => server.service.queue.length === 1);
  const running = await progressOf("one");
  assertEquals([running.state.sampling_step, running.state.sampling_steps], [1, 4]);
  assertEquals([running.progress, running.state.job_count], [0.25, 1]);
  assertEquals((await decodeBase64(running.current_image)).width, 64);
  assert(running.eta_relative >= 0);
  assertEquals((await progressOf("one", "?skip_current_image=true")).current_image, null);
  const waiting = await progressOf("two");
  assertEquals([waiting.progress, waiting.state.job_count, waiting.state.sampling_step], [
    0.01,
    1,
    0,
  ]);
  server.resume();
  await Promise.all([first, second]);
  assertEquals((await progressOf("one")).state.job_count, 0);
});

Deno.test("POST /sdapi/v1/interrupt ends the client's own picture, which is then as it was", async () => {
  for (const path of ["interrupt", "skip"]) {
    await using service = await start({ pausing: true });
    const { server } = service;
    const first = service.draw("txt2img", { steps: 4 }, "one");
    await server.paused();
    const second = service.draw("txt2img", { steps: 4 }, "two");
    await until(() => server.service.queue.length === 1);
    assertEquals((await service.ask(path, { method: "POST" }, "three")).body, {});
    assertEquals((await service.ask(path, { method: "POST" }, "two")).body, {});
    assertEquals((await second).images, []);
    const shown = (await service.ask("progress", {}, "one")).body.current_image;
    await service.ask(path, { method: "POST" }, "one");
    await server.stopped();
    const { images } = await first;
    assertEquals(await decodeBase64(images[0]), await decodeBase64(shown));
  }
});

Deno.test("GET /sdapi/v1/… answers what front ends ask when they start", async () => {
  await using service = await start();
  const get = async (path: string) => {
    const { status, body } = await service.ask(path);
    assertEquals(status, 200, path);
    return body;
  };
  const options = await get("options");
  const [model] = await get("sd-models");
  assertEquals([options.sd_model_checkpoint, model.title, model.model_name], [
    "tiny",
    "tiny",
    "tiny",
  ]);
  assertEquals((await get("schedulers"))[0].label, "Automatic");
  assertEquals((await get("upscalers"))[0].name, "None");
  assertEquals(await get("embeddings"), { loaded: {}, skipped: {} });
  assertEquals(await get("scripts"), { txt2img: [], img2img: [] });
  for (
    const path of [
      "sd-vae",
      "hypernetworks",
      "face-restorers",
      "realesrgan-models",
      "prompt-styles",
      "loras",
      "extensions",
      "script-info",
      "latent-upscale-modes",
    ]
  ) assertEquals(await get(path), [], path);
  assertEquals(Object.keys(await get("memory")), ["ram", "cuda"]);
  assert((await get("cmd-flags")).api);
  const set = await service.ask("options", post({ sd_model_checkpoint: "tiny", sd_vae: "None" }));
  assertEquals([set.status, set.body], [200, null]);
  assertEquals((await service.ask("refresh-checkpoints", { method: "POST" })).status, 200);
  const ping = await service.server.ask("/internal/ping");
  assertEquals([ping.status, await ping.json()], [200, {}]);
});

Deno.test("POST /sdapi/v1/png-info takes the settings of a picture apart", async () => {
  await using service = await start();
  const prompt = 'a cat, "quoted"\nsecond line';
  const { images } = await service.draw("txt2img", { prompt });
  const { body } = await service.ask("png-info", post({ image: images[0] }));
  const { Prompt, Steps, Seed, Size } = body.parameters;
  assertEquals([Prompt, Steps, Seed, Size], [prompt, "6", "7", "32x32"]);
  assert(body.info.startsWith(prompt));
  const image = (await picture().toPng()).toBase64();
  const empty = await service.ask("png-info", post({ image }));
  assertEquals(empty.body, { info: "", items: {}, parameters: {} });
});

Deno.test("Service takes a token as the password of basic authentication, and asks for none of it", async () => {
  await using service = await start({ tokens: ["secret", "other"] });
  const statusOf = async (pair: string) => {
    const authorization = `Basic ${btoa(pair)}`;
    return (await service.ask("options", { headers: { authorization } })).status;
  };
  assertEquals(await statusOf("somebody:secret"), 200);
  assertEquals(await statusOf(":other"), 200);
  for (const pair of ["secret:wrong", "secret:", "somebody:secret2", "a:b:secret"]) {
    assertEquals(await statusOf(pair), 401, pair);
  }
  const { status, headers } = await service.ask("options");
  assertEquals([status, headers.get("www-authenticate")], [401, "Bearer"]);
});

Deno.test("POST /sdapi/v1/txt2img answers 429 and 503 as other paths do", async () => {
  await using service = await start({
    pausing: true,
    queue: { capacity: 0, capacityPerClient: 0 },
  });
  const first = service.draw("txt2img", {});
  await service.server.paused();
  const full = await service.ask("txt2img", post(REQUEST));
  assertEquals(full.status, 429);
  assertMatch(full.headers.get("retry-after")!, /^[1-9]\d*$/);
  // Pictures for which there is no place are not waited for.
  const never = { method: "POST", body: new ReadableStream() };
  assertEquals((await service.ask("img2img", never)).status, 429);
  assertEquals((await service.server.ask("/v1/images/edits", never)).status, 429);
  service.server.service.close();
  assertEquals((await service.ask("txt2img", post(REQUEST))).status, 503);
  service.server.resume();
  await first;
  const client = webUI({ apiUrl: service.server.url });
  await assertRejects(() => client.txt2img({ prompt: "a cat" }), Error, "Service Unavailable");
});
