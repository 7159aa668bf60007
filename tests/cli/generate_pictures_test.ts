// The command `generate` with pictures to start from, and what they are drawn with.

import { assertEquals, assertStringIncludes } from "@std/assert";
import { readPngTexts } from "../../src/images/png_text.ts";
import { RasterImage } from "../../src/images/raster_image.ts";
import type { GenerateOptions } from "../../src/pipeline/generate_options.ts";
import { VQDiffusionPipeline } from "../../src/pipeline/vq_diffusion_pipeline.ts";
import { header, pngFile } from "../images/png_by_hand.ts";
import { temporaryFolder } from "../temporary_folder.ts";
import { namesIn, runTask } from "./run_task.ts";

const TINY = new URL("../fixtures/pipeline/tiny/model", import.meta.url);

/** What makes a run the same everywhere. */
const MODEL = ["--model", TINY.href, "--device", "wasm", "--threads", "2"];

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

/** A folder with the pictures in it. */
async function folderOfPictures() {
  const folder = await temporaryFolder();
  await Deno.writeFile(`${folder.path}/image.png`, await IMAGE.toPng());
  await Deno.writeFile(`${folder.path}/mask.png`, await MASK.toPng());
  return folder;
}

async function draw(prompt: string | undefined, options: GenerateOptions) {
  await using pipe = await VQDiffusionPipeline.fromPretrained(TINY, { device: "wasm", threads: 1 });
  return (await pipe.generate(prompt, options)).images[0]!;
}

async function readImage(path: string): Promise<RasterImage> {
  return RasterImage.decode(await Deno.readFile(path));
}

Deno.test("generate repaints a picture, writes down from what, and draws it again", async () => {
  await using folder = await folderOfPictures();
  const { path: cwd } = folder;
  const pictures = ["--image", "image.png", "--mask", "./mask.png"];
  const drawn = ["--steps", "8", "--sampler", "strided", "--strength", "0.5", "--top-k", "9"];
  const guided = ["--guidance-interval", "0.1-1", "--negative", "dogs, cars", "--seed", "7"];
  const args = ["a cat", ...MODEL, ...pictures, ...drawn, ...guided, "--out", "new.png"];
  const { code, stdout, stderr } = await runTask("generate", [...args, "--save-tokens"], { cwd });
  assertEquals(code, 0, stderr);
  assertStringIncludes(stdout, "Seed 7, 4 steps,");
  let tokens: number[] = [];
  const expected = await draw("a cat", {
    ...{ image: IMAGE, maskImage: MASK, strength: 0.5, seed: 7, numInferenceSteps: 8, topK: 9 },
    ...{ sampler: "strided", guidanceInterval: [0.1, 1], negativePrompt: "dogs, cars" },
    callback: (_step, _timestep, latents) => void (tokens = [...latents]),
  });
  assertEquals(await readImage(`${cwd}/new.png`), expected);
  const saved = JSON.parse(await Deno.readTextFile(`${cwd}/new.tokens.json`));
  assertEquals(saved.images, [{ prompt: "a cat", seed: "7", tokens }]);

  const texts = await readPngTexts(await Deno.readFile(`${cwd}/new.png`));
  assertEquals(
    texts.get("parameters")!.replace(/, Version.*$/, ""),
    "a cat\nNegative prompt: dogs, cars\nSteps: 8, Sampler: VQ-Diffusion strided, CFG scale: 5, " +
      "Seed: 7, Size: 32x32, Model: model, Denoising strength: 0.5, Guidance interval: 0.1-1, " +
      "Truncation: 1, Top k: 9",
  );
  const { image, mask, guidanceInterval } = JSON.parse(texts.get("vq-diffusion")!);
  assertEquals([image, mask, guidanceInterval], ["image.png", "mask.png", [0.1, 1]]);

  const again = ["--from", "new.png", "--device", "wasm", "--out", "again.png", "--quiet"];
  const alone = await runTask("generate", again, { cwd });
  assertEquals([alone.code, alone.stdout], [2, ""]);
  const message = "new.png was drawn with --image image.png, expected that picture as --image";
  assertStringIncludes(alone.stderr, `error: ${message}`);
  assertEquals((await runTask("generate", [...again, ...pictures], { cwd })).code, 0);
  assertEquals(await Deno.readFile(`${cwd}/again.png`), await Deno.readFile(`${cwd}/new.png`));
});

Deno.test("generate varies a picture without a prompt, and leaves it at strength 0", async () => {
  await using folder = await folderOfPictures();
  const { path: cwd } = folder;
  const args = ["--image", "image.png", ...MODEL, "--steps", "4", "--seed", "5-6"];
  const varied = await runTask("generate", [...args, "--strength", "1", "--json"], { cwd });
  assertEquals(varied.code, 0, varied.stderr);
  const { files, settings } = JSON.parse(varied.stdout);
  const paths = [5, 6].map((seed) => `${cwd}/variation-${seed}.png`);
  assertEquals(files, paths.map((path, i) => ({ path, seed: `${5 + i}` })));
  const { image, strength, guidanceScale } = settings;
  assertEquals([image, strength, guidanceScale], ["image.png", 1, 1]);
  const options = { image: IMAGE, numInferenceSteps: 4 };
  assertEquals(
    await readImage(paths[1]!),
    await draw(undefined, { ...options, strength: 1, seed: 6 }),
  );
  const from = ["--from", paths[1]!, "--image", "image.png", "--device", "wasm", "--out", "x.png"];
  assertEquals((await runTask("generate", from, { cwd })).code, 0);
  assertEquals(await Deno.readFile(`${cwd}/x.png`), await Deno.readFile(paths[1]!));

  const none = [...args, "--strength", "0", "--out", "none/", "--save-tokens"];
  const { code, stdout } = await runTask("generate", none, { cwd });
  assertEquals(code, 0);
  assertStringIncludes(stdout, "Seeds 5 to 6, 0 steps,");
  const encoded = await draw(undefined, { ...options, strength: 0 });
  assertEquals(await readImage(`${cwd}/none/variation-6.png`), encoded);
  const { images } = JSON.parse(await Deno.readTextFile(`${cwd}/none/variation-5.tokens.json`));
  assertEquals(images.map(({ tokens }: { tokens: number[] }) => tokens.length), [64, 64]);
});

Deno.test("generate notes what has no effect without guidance", async () => {
  await using folder = await folderOfPictures();
  const args = ["a cat", "--steps", "1", "--device", "wasm", "--negative", "a dog"];
  const { code, stderr } = await runTask("generate", args, { cwd: folder.path });
  assertEquals(code, 0);
  assertStringIncludes(stderr, "note: --negative has no effect, as there is no guidance");
});

Deno.test("generate refuses pictures and parameters that do not fit in one line before any work", async () => {
  await using folder = await folderOfPictures();
  const { path: cwd } = folder;
  const before = namesIn(cwd);
  const files: Record<string, Uint8Array> = {
    "wide.png": await picture(61, 40, true).toPng(),
    "black.png": await new RasterImage(MASK.data.map((value, i) => i % 4 === 3 ? value : 0), 60, 40)
      .toPng(),
    "text.png": new TextEncoder().encode("a text"),
    // 100 megapixels in less than a kilobyte.
    "bomb.png": await pngFile(header(10_000, 10_000, 1, 0), [], new Array(2000).fill(0)),
    "nothing.png": await pngFile(header(0, 0, 8, 2), [], []),
  };
  for (const [name, bytes] of Object.entries(files)) await Deno.writeFile(`${cwd}/${name}`, bytes);
  const image = ["a", "--image", "image.png"];
  const cases: [args: string[], message: string][] = [
    [[...image, "--mask", "wide.png"], "--mask is 61 × 40 pixels, expected 60 × 40 as --image"],
    [[...image, "--mask", "black.png"], "--mask has no white, expected some where to repaint"],
    [[...image, "--strength", "1.01"], `--strength is "1.01", expected a number from 0 to 1`],
    [[...image, "--strength", "-0.1"], `--strength is "-0.1", expected a number from 0 to 1`],
    [["a", "--strength", "0.5"], "--strength is given without --image, expected both"],
    [["a", "--mask", "mask.png"], "--mask is given without --image, expected both"],
    [["a", "--image", "text.png"], "Cannot read text.png: the file is of no kind that is known"],
    [["a", "--image", "none.png"], "Cannot read none.png: "],
    [["a", "--image", "."], "Cannot read .: it is no file"],
    [["a", "--image", "bomb.png"], "Cannot read bomb.png: it has"],
    [["a", "--image", "nothing.png"], "Cannot read nothing.png: it is 0 × 0 pixels"],
    [
      ["a", "--sampler", "euler a"],
      `--sampler is "euler a", expected "leading", "strided", "cosine", "fast"`,
    ],
    [["a", "--top-k", "0"], `--top-k is "0", expected a whole number of at least 1`],
    [["a", "--topK", "5"], "Unknown option '--topK', did you mean --top-k?"],
    [
      ["a", "--guidance-interval", "1-0"],
      `--guidance-interval is "1-0", expected two numbers from`,
    ],
  ];
  const results = await Promise.all(cases.map(async ([args, message]) => {
    const { code, stdout, stderr } = await runTask("generate", args, { cwd });
    return { args, code, stdout, lines: stderr.split("\n").length - 1, stderr, message };
  }));
  for (const { args, code, stdout, lines, stderr, message } of results) {
    assertEquals({ args, code, stdout, lines }, { args, code: 2, stdout: "", lines: 1 }, stderr);
    assertStringIncludes(stderr, `error: ${message}`);
  }
  assertEquals(namesIn(cwd), [...before, ...Object.keys(files)].toSorted());
});
