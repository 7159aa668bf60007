// OpenAI's own client against the service, over HTTP.

import { assert, assertEquals, assertRejects } from "@std/assert";
import OpenAI from "npm:openai@7.57.0";
import { enlarge } from "../../../src/images/enlarge.ts";
import { RasterImage } from "../../../src/images/raster_image.ts";
import { startService, until } from "../service.ts";

/** What the client has beside OpenAI's own fields. */
const PARAMETERS = { seed: 7, steps: 6, guidance: 3, truncation: 0.9 };
const OPTIONS = {
  seed: 7,
  numInferenceSteps: 6,
  guidanceScale: 3,
  truncationRate: 0.9,
};

function clientOf({ url }: { readonly url: string }, apiKey = "none"): OpenAI {
  return new OpenAI({ baseURL: `${url}/v1`, apiKey, maxRetries: 0, dangerouslyAllowBrowser: true });
}

async function decode(file: string | undefined): Promise<RasterImage> {
  return await RasterImage.decode(Uint8Array.fromBase64(file!));
}

Deno.test("POST /v1/images/generations gives OpenAI's client the pictures and their seeds", async () => {
  await using server = await startService();
  const { images } = await server.pipe.generate("a cat", { ...OPTIONS, numImagesPerPrompt: 2 });
  const { data, response } = await clientOf(server).images.generate({
    prompt: "a cat",
    model: "gpt-image-1",
    n: 2,
    size: "auto",
    quality: "low",
    user: "somebody",
    ...PARAMETERS,
  }).withResponse();
  assertEquals(await Promise.all(data.data!.map(({ b64_json }) => decode(b64_json))), images);
  const seeds = data.data!.map((image) => (image as { seed?: string }).seed);
  assertEquals(seeds, ["7", "8"]);
  assertEquals(data.output_format, "png");
  assertEquals(data.size as string, `${images[0]!.width}x${images[0]!.height}`);
  assert(response.headers.get("x-request-id"));
  assertEquals(response.headers.get("x-ratelimit-limit-requests"), "4");
});

Deno.test("POST /v1/images/generations tells which style a seed has chosen", async () => {
  await using server = await startService();
  const styles = ["in ink", "flat style"];
  const options = { ...OPTIONS, numImagesPerPrompt: 2, styles };
  const { images } = await server.pipe.generate("a cat", options);
  const request = { prompt: "a cat", n: 2, ...PARAMETERS, styles };
  const { data } = await clientOf(server).images.generate(request);
  assertEquals(await Promise.all(data!.map(({ b64_json }) => decode(b64_json))), images);
  // With the seeds 7 and 8.
  const revised = data!.map((image) => image.revised_prompt);
  assertEquals(revised, ["a cat, flat style", "a cat, in ink"]);
  const named = await clientOf(server).images.generate({ ...request, prompt: "a cat in ink" });
  assertEquals(named.data!.map((image) => image.revised_prompt), [undefined, undefined]);
});

Deno.test("POST /v1/images/generations enlarges pictures to a size, and takes null for what is open", async () => {
  await using server = await startService();
  const { images: [image] } = await server.pipe.generate("a cat", OPTIONS);
  const size = `${image!.width * 4}x${image!.width * 4}`;
  const { data } = await clientOf(server).images.generate({
    prompt: "a cat",
    n: null,
    response_format: "b64_json",
    size: size as "1024x1024",
    ...PARAMETERS,
  });
  assertEquals(await decode(data![0]!.b64_json), enlarge(image!, 4));
});

Deno.test("POST /v1/images/generations gives JPEG files of the quality that is asked for", async () => {
  await using server = await startService();
  const { images: [image] } = await server.pipe.generate("a cat", OPTIONS);
  const generate = async (fields: { output_compression?: number }) => {
    const request = { prompt: "a cat", output_format: "jpeg", ...PARAMETERS, ...fields } as const;
    const { data, output_format } = await clientOf(server).images.generate(request);
    assertEquals(output_format, "jpeg");
    return Uint8Array.fromBase64(data![0]!.b64_json!);
  };
  assertEquals(await generate({}), await image!.toJpeg({ quality: 100 }));
  assertEquals(await generate({ output_compression: 40 }), await image!.toJpeg({ quality: 40 }));
  assertEquals(await generate({ output_compression: 0 }), await image!.toJpeg({ quality: 1 }));
});

Deno.test("POST /v1/images/generations streams previews and the picture to OpenAI's client", async () => {
  await using server = await startService();
  const previews: RasterImage[] = [];
  for await (const { step, preview } of server.pipe.stream("a cat", OPTIONS)) {
    if (step === 2 || step === 4 || step === 6) previews.push((await preview())[0]!);
  }
  const stream = await clientOf(server).images.generate({
    prompt: "a cat",
    stream: true,
    partial_images: 2,
    ...PARAMETERS,
  });
  const events: string[] = [];
  const pictures: RasterImage[] = [];
  for await (const event of stream) {
    const index = "partial_image_index" in event ? ` ${event.partial_image_index}` : "";
    events.push(event.type + index);
    pictures.push(await decode(event.b64_json));
  }
  // Previews that come while the one before is on its way may be left out.
  assertEquals(events.at(-1), "image_generation.completed");
  assertEquals(pictures.at(-1), previews.at(-1));
  const partial = events.slice(0, -1);
  assertEquals(partial, partial.map((_, i) => `image_generation.partial_image ${i}`));
  assert(partial.length <= 2);
  assert(pictures.every((picture) => previews.some((preview) => equal(preview, picture))));
});

function equal(a: RasterImage, b: RasterImage): boolean {
  return a.data.every((value, i) => value === b.data[i]);
}

Deno.test("GET /v1/models tells OpenAI's client the model that is served", async () => {
  await using server = await startService();
  const client = clientOf(server);
  const { data } = await client.models.list();
  assertEquals(data.map(({ id }) => id), ["tiny"]);
  assertEquals((await client.models.retrieve("tiny")).object, "model");
  await assertRejects(() => client.models.retrieve("other"), OpenAI.NotFoundError, '"other"');
});

Deno.test("POST /v1/images/generations refuses wrong fields with errors that OpenAI's client knows", async () => {
  await using server = await startService();
  const client = clientOf(server);
  const wrong: [fields: Record<string, unknown>, param: string, message: string][] = [
    [{ prompt: undefined }, "prompt", "prompt is missing, expected a text"],
    [{ prompt: "x".repeat(101) }, "prompt", "prompt is 101 characters long"],
    [{ n: 5 }, "n", "n is 5, expected a whole number from 1 to 4"],
    [{ n: 1.5 }, "n", "n is 1.5"],
    [{ size: "100x100" }, "size", 'size is "100x100", expected "auto", "'],
    [{ size: "2048x2048" }, "size", 'size is "2048x2048"'],
    [{ size: 64 }, "size", "size is 64"],
    [{ response_format: "url" }, "response_format", "no files are kept"],
    [{ output_format: "webp" }, "output_format", 'expected "png" or "jpeg"'],
    [{ output_compression: 101 }, "output_compression", "output_compression is 101"],
    [{ stream: "yes" }, "stream", 'stream is "yes"'],
    [{ partial_images: 4 }, "partial_images", "from 0 to 3"],
    [{ steps: 101 }, "steps", "steps is 101, expected a whole number from 1 to 100"],
    [{ seed: -1 }, "seed", "seed is -1"],
    [{ guidance: "5" }, "guidance", 'guidance is "5"'],
    [{ strength: 0.5 }, "strength", "strength is given without image, expected both"],
    [
      { sampler: "ddim" },
      "sampler",
      'sampler is "ddim", expected "leading", "strided", "cosine", "fast"',
    ],
    [{ sampler: "fast:1" }, "sampler", 'sampler is "fast:1", expected a speed from 2 to 100'],
  ];
  for (const [fields, param, message] of wrong) {
    const request = { prompt: "a cat", ...fields } as OpenAI.ImageGenerateParamsNonStreaming;
    const error = await client.images.generate(request).then(() => {
      throw new Error(`${param} was taken`);
    }, (error: unknown) => error);
    assert(error instanceof OpenAI.BadRequestError, String(error));
    assertEquals([error.param, error.type, error.code], [
      param,
      "invalid_request_error",
      "invalid_value",
    ]);
    assert(error.message.includes(message), error.message);
    assert(error.requestID);
  }
  const other = client.images.generate({ prompt: "a cat", model: "sd-xl" });
  const error = await assertRejects(() => other, OpenAI.NotFoundError, '"sd-xl"');
  assertEquals([error.param, error.code], ["model", "model_not_found"]);
});

Deno.test("Service refuses paths of OpenAI's that it does not have in its form", async () => {
  await using server = await startService();
  const call = () => clientOf(server).post("/images/upscales", { body: {} });
  const error = await assertRejects(call, OpenAI.NotFoundError, "nothing at this path");
  assertEquals([error.type, error.code], ["invalid_request_error", "unknown_url"]);
});

Deno.test("Service answers a wrong token with an AuthenticationError of OpenAI's client, and takes the right one", async () => {
  await using server = await startService({ tokens: ["right"] });
  const request = { prompt: "a cat", ...PARAMETERS };
  const wrong = () => clientOf(server, "wrong").images.generate(request);
  const error = await assertRejects(wrong, OpenAI.AuthenticationError, "token is wrong");
  assertEquals(error.code, "invalid_api_key");
  assertEquals((await clientOf(server, "right").images.generate(request)).data!.length, 1);
});

Deno.test("Service answers a full queue with a RateLimitError of OpenAI's client, which comes again when it is told to", async () => {
  await using server = await startService({
    pausing: true,
    queue: { capacity: 1, capacityPerClient: 1 },
  });
  const request = { prompt: "a cat", ...PARAMETERS };
  const drawn = [clientOf(server).images.generate(request)];
  await server.paused();
  drawn.push(clientOf(server).images.generate(request));
  await until(() => server.service.queue.length === 1);
  const refused = () => clientOf(server).images.generate(request);
  const error = await assertRejects(refused, OpenAI.RateLimitError, "try again in");
  assertEquals([error.type, error.code], ["requests", "rate_limit_exceeded"]);
  assert(/^[1-9]\d*$/.test(error.headers.get("retry-after")!));
  assertEquals(error.headers.get("x-ratelimit-remaining-requests"), "0");

  const patient = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: "none", maxRetries: 9 });
  drawn.push(patient.images.generate(request));
  await until(() => server.log.filter(({ status }) => status === 429).length === 2);
  server.resume();
  assertEquals((await Promise.all(drawn)).map(({ data }) => data!.length), [1, 1, 1]);
});

Deno.test("Service.close() ends waiting streams with an APIError of OpenAI's client", async () => {
  await using server = await startService({ pausing: true });
  const client = clientOf(server);
  const first = client.images.generate({ prompt: "a cat", ...PARAMETERS });
  await server.paused();
  const stream = await client.images.generate({ prompt: "a cat", stream: true });
  server.service.close();
  const read = async () => {
    for await (const event of stream) throw new Error(`There is ${event.type}`);
  };
  await assertRejects(read, OpenAI.APIError, "stopping");
  server.resume();
  assertEquals((await first).data!.length, 1);
  const late = () => client.images.generate({ prompt: "a cat" });
  await assertRejects(late, OpenAI.InternalServerError, "503");
});
