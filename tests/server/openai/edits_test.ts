// OpenAI's own client against the paths that take pictures, over HTTP.

import { assert, assertEquals, assertRejects } from "@std/assert";
import OpenAI from "npm:openai@7.57.0";
import { enlarge } from "../../../src/images/enlarge.ts";
import type { RasterImage } from "../../../src/images/raster_image.ts";
import { BLACK, CLEAR, decodeBase64, halves, picture, WHITE } from "../pictures.ts";
import { startService } from "../service.ts";

/** What the client has beside OpenAI's own fields. */
const PARAMETERS = { seed: 7, steps: 6, guidance: 3, truncation: 0.9 };
const OPTIONS = { seed: 7, numInferenceSteps: 6, guidanceScale: 3, truncationRate: 0.9 };

function clientOf({ url }: { readonly url: string }): OpenAI {
  return new OpenAI({
    baseURL: `${url}/v1`,
    apiKey: "none",
    maxRetries: 0,
    dangerouslyAllowBrowser: true,
  });
}

async function fileOf(image: RasterImage, type: "png" | "jpeg" = "png"): Promise<File> {
  const bytes = type === "png" ? await image.toPng() : await image.toJpeg({ quality: 100 });
  return new File([bytes], `picture.${type}`, { type: `image/${type}` });
}

async function decodeAll(data: readonly OpenAI.Image[] | undefined): Promise<RasterImage[]> {
  return await Promise.all(data!.map(({ b64_json }) => decodeBase64(b64_json)));
}

Deno.test("POST /v1/images/edits changes the picture of OpenAI's client by its prompt", async () => {
  await using server = await startService();
  const image = picture();
  const { images } = await server.pipe.generate("a cat", {
    ...OPTIONS,
    image,
    numImagesPerPrompt: 2,
  });
  const answer = await clientOf(server).images.edit({
    image: await fileOf(image),
    prompt: "a cat",
    model: "gpt-image-1",
    n: 2,
    quality: "high",
    input_fidelity: "high",
    background: "auto",
    user: "somebody",
    ...PARAMETERS,
  });
  assertEquals(await decodeAll(answer.data), images);
  assertEquals(answer.output_format, "png");
  assertEquals(answer.data!.map((image) => (image as { seed?: string }).seed), ["7", "8"]);
});

Deno.test("POST /v1/images/edits repaints where the mask is transparent, and takes an array of one", async () => {
  await using server = await startService();
  const image = picture();
  const { images } = await server.pipe.generate("a cat", {
    ...OPTIONS,
    image,
    maskImage: halves(WHITE, BLACK),
    strength: 0.7,
  });
  const { data } = await clientOf(server).images.edit({
    image: [await fileOf(image)],
    mask: await fileOf(halves(CLEAR, WHITE)),
    prompt: "a cat",
    size: `${images[0]!.width * 2}x${images[0]!.width * 2}`,
    ...PARAMETERS,
    ...{ strength: 0.7 },
  });
  assertEquals(await decodeAll(data), [enlarge(images[0]!, 2)]);
});

Deno.test("POST /v1/images/edits streams previews and the picture to OpenAI's client", async () => {
  await using server = await startService();
  const image = picture();
  const { images } = await server.pipe.generate("a cat", { ...OPTIONS, image });
  const stream = await clientOf(server).images.edit({
    image: await fileOf(image),
    prompt: "a cat",
    stream: true,
    partial_images: 1,
    ...PARAMETERS,
  });
  const types: string[] = [];
  let last: string | undefined;
  for await (const event of stream) {
    types.push(event.type);
    last = event.b64_json;
  }
  assertEquals(await decodeBase64(last), images[0]);
  // The preview may be left out if the picture is done before it is sent.
  assertEquals(types.at(-1), "image_edit.completed");
  assert(types.slice(0, -1).every((type) => type === "image_edit.partial_image"), `${types}`);
});

Deno.test("POST /v1/images/variations varies the picture of OpenAI's client", async () => {
  await using server = await startService();
  const image = picture();
  const { seed, numInferenceSteps } = OPTIONS;
  const options = { seed, numInferenceSteps, image, strength: 0.5, numImagesPerPrompt: 2 };
  const { images } = await server.pipe.generate(undefined, options);
  const { data } = await clientOf(server).images.createVariation({
    image: await fileOf(image),
    n: 2,
    response_format: "b64_json",
    ...{ seed: 7, steps: 6 },
  });
  assertEquals(await decodeAll(data), images);
});

Deno.test("POST /v1/images/edits refuses wrong pictures and fields with errors that OpenAI's client knows", async () => {
  await using server = await startService();
  const client = clientOf(server);
  const right = { image: await fileOf(picture()), prompt: "a cat" };
  const text = new File(["no picture"], "a.png");
  const huge = await fileOf(picture(200, 100));
  const opaque = await fileOf(halves(WHITE, WHITE));
  const wrong: [
    fields: Record<string, unknown>,
    param: string,
    message: string,
    status?: number,
  ][] = [
    [{ image: undefined }, "image", "image is missing, expected a picture file"],
    [{ image: "text" }, "image", 'image is "text", expected a picture file'],
    [{ image: [right.image, right.image] }, "image", "image is 2 files, expected one"],
    [{ image: text }, "image", "expected a PNG or JPEG file"],
    [{ image: huge }, "image", "image", 413],
    [{ mask: text }, "mask", "expected a PNG or JPEG file"],
    [{ mask: "text" }, "mask", 'mask is "text", expected a picture file'],
    [{ mask: await fileOf(picture(40, 40)) }, "mask", "mask is 40 × 40 pixels, expected 50 × 40"],
    [{ mask: opaque }, "mask", "mask is opaque"],
    [{ prompt: undefined }, "prompt", "prompt is missing"],
    [{ strength: 2 }, "strength", "strength is 2, expected a number from 0 to 1"],
    [{ n: 5 }, "n", "n is 5"],
    [{ steps: "many" }, "steps", 'steps is "many"'],
    [{ steps: "0x10" }, "steps", 'steps is "0x10"'],
    [{ output_format: "webp" }, "output_format", 'expected "png" or "jpeg"'],
  ];
  for (const [fields, param, message, status = 400] of wrong) {
    const request = { ...right, ...fields } as OpenAI.ImageEditParamsNonStreaming;
    const error = await assertRejects(() => client.images.edit(request), OpenAI.APIError);
    assertEquals([error.status, error.param], [status, param], error.message);
    assert(error.message.includes(message), error.message);
  }
  const json = await fetch(`${server.url}/v1/images/edits`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: "{}",
  });
  assertEquals(json.status, 415);
  assertEquals((await json.json()).error.type, "invalid_request_error");
  assertEquals(server.log.filter(({ level }) => level === "error"), []);
});

Deno.test("POST /v1/images/edits takes JPEG files, and no body beyond the limit", async () => {
  await using server = await startService();
  const client = clientOf(server);
  const image = await fileOf(picture(), "jpeg");
  const { data } = await client.images.edit({ image, prompt: "a cat", ...PARAMETERS });
  assertEquals(data!.length, 1);
  const long = new File([new Uint8Array(2e5)], "long.png");
  const edit = () => client.images.edit({ image: long, prompt: "a cat" });
  const error = await assertRejects(edit, OpenAI.APIError, "longer than 20000 bytes");
  assertEquals(error.status, 413);
});
