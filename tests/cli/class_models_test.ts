// The commands with models that do not draw from text.

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { fileURLToPath } from "node:url";
import { readPngTexts } from "../../src/images/png_text.ts";
import { RasterImage } from "../../src/images/raster_image.ts";
import { VQDiffusionPipeline } from "../../src/pipeline/vq_diffusion_pipeline.ts";
import { CLASS_MODELS, GUMBEL_CODES } from "../pipeline/class_models.ts";
import { inTemporaryFolder } from "../temporary_folder.ts";
import { namesIn, runTask } from "./run_task.ts";

const IMAGENET = fileURLToPath(CLASS_MODELS.imagenet);
const FFHQ = fileURLToPath(CLASS_MODELS.ffhq);
const WASM = ["--device", "wasm", "--threads", "1"];

Deno.test("generate --class draws classes, and --from draws them again", async () => {
  await inTemporaryFolder(async (cwd) => {
    const quick = ["--steps", "4", "--guidance", "1.5", ...WASM];
    const args = ["--class", "207,5-6", "--model", IMAGENET, "--seed", "8-9", "--json", ...quick];
    const { code, stdout, stderr } = await runTask("generate", [...args, "--save-tokens"], { cwd });
    assertEquals(code, 0, stderr);
    const pairs = [207, 5, 6].flatMap((label) => [8, 9].map((seed) => [label, seed] as const));
    const { files } = JSON.parse(stdout);
    assertEquals(
      files.map(({ classLabel, seed }: Record<string, unknown>) => [classLabel, Number(seed)]),
      pairs,
    );
    const pictures = pairs.map(([label, seed]) => `class-${label}-${seed}.png`);
    assertEquals(namesIn(cwd), [...pictures, "images-8-sheet.png", "images-8.tokens.json"].sort());
    await using pipe = await VQDiffusionPipeline.fromPretrained(IMAGENET, {
      device: "wasm",
      threads: 1,
    });
    const { images } = await pipe.generate({ classLabel: 5 }, {
      ...{ numInferenceSteps: 4, guidanceScale: 1.5, seed: 9 },
    });
    const png = await Deno.readFile(`${cwd}/class-5-9.png`);
    assertEquals(await RasterImage.decode(png), images[0]);
    const texts = await readPngTexts(png, "class-5-9.png");
    assertEquals(JSON.parse(texts.get("vq-diffusion")!).classLabel, 5);
    assert(texts.get("parameters")!.startsWith("class 5\nSteps: 4"));
    const again = await runTask("generate", [
      "--from",
      "class-5-9.png",
      "--out",
      "again.png",
      ...WASM,
    ], {
      cwd,
    });
    assertEquals(again.code, 0, again.stderr);
    assertEquals(await Deno.readFile(`${cwd}/again.png`), png);
  });
});

Deno.test("generate draws an unconditional model without a prompt", async () => {
  await inTemporaryFolder(async (cwd) => {
    const args = ["--model", FFHQ, "--images", "2", "--seed", "3", "--steps", "3", ...WASM];
    const { code, stderr } = await runTask("generate", args, { cwd });
    assertEquals(code, 0, stderr);
    const names = ["unconditional-3-sheet.png", "unconditional-3.png", "unconditional-4.png"];
    assertEquals(namesIn(cwd), names);
    const from = ["--from", "unconditional-4.png", "--out", "again.png", ...WASM];
    assertEquals((await runTask("generate", from, { cwd })).code, 0);
    const read = (name: string) => Deno.readFile(`${cwd}/${name}`);
    assertEquals(await read("again.png"), await read("unconditional-4.png"));
  });
});

Deno.test("generate says what a model takes that does not draw from text", async () => {
  const cases: [args: string[], message: string][] = [
    [["a cat", "--class", "3"], "--class is given beside a prompt, expected one of them"],
    [
      ["--class", "3-1"],
      '--class is "3-1", expected a whole number, a range such as 1-8, or a list',
    ],
    [["--class", "0-100"], '--class is "0-100", expected a whole number, a range'],
    [["--class", "-1"], '--class is "-1", expected a whole number'],
    [["--class", "1-60", "--images", "2"], "Expected 100 images at most, got 120"],
    [["--model", IMAGENET], "Nothing is given, expected --class, a whole number from 0 to 1000"],
    [
      ["a cat", "--model", IMAGENET],
      "A prompt is given, expected --class, a whole number from 0 to",
    ],
    [
      ["--class", "1001", "--model", IMAGENET],
      '--class is "1001", expected a whole number from 0 to 1000',
    ],
    [["a cat", "--model", FFHQ], "A prompt is given, expected none, as the model is unconditional"],
    [
      ["--class", "3", "--model", FFHQ],
      "--class is given, expected none, as the model is unconditional",
    ],
    [["--guidance", "3", "--model", FFHQ], '--guidance is "3", expected a number, only 1'],
    [["--class", "3"], "--class is given, expected a prompt, as the model draws from text"],
    [
      ["--class", "3", "--negative", "4", "--model", IMAGENET],
      "--negative is given, expected none, as the model draws from classes",
    ],
  ];
  await inTemporaryFolder(async (cwd) => {
    for (const [args, message] of cases) {
      const { code, stderr } = await runTask("generate", [...args, ...WASM], { cwd });
      assertEquals(code, 2, stderr);
      assertStringIncludes(stderr, message);
    }
    assertEquals(namesIn(cwd), []);
  });
});

Deno.test("convert and inspect know models that do not draw from text", async () => {
  await inTemporaryFolder(async (cwd) => {
    const run = async (task: string, ...args: string[]) => {
      const { code, stdout, stderr } = await runTask(task, args, { cwd });
      assertEquals(code, 0, stderr);
      return stdout;
    };
    await run("convert", IMAGENET, "--out", "classes");
    await run("convert", FFHQ, "--out", "nothing", "--dtype", "fp16");
    const reports = { classes: "1001 classes, of which 1000 is none", nothing: "nothing, it is" };
    for (const [folder, drawsFrom] of Object.entries(reports)) {
      const report = JSON.parse(await run("inspect", folder, "--json"));
      assertStringIncludes(report.facts["draws from"], drawsFrom);
      assertEquals(report.facts["image size"], "8 × 8 pixels");
      assert(report.firstImage.wasm.fp32 > 0);
      assertEquals(report.components.length, 2);
    }
    const original = JSON.parse(await run("inspect", IMAGENET, "--json"));
    assertEquals(original.kind, "VQDiffusionPipeline");
    const codes = fileURLToPath(GUMBEL_CODES);
    const gumbel = fileURLToPath(CLASS_MODELS.gumbel);
    await run("convert", gumbel, "--codes", codes, "--out", "vqvae", "--quiet");
    assertStringIncludes(await run("inspect", "vqvae"), "vqvae: VQModel");
    assertStringIncludes(await run("inspect", gumbel), "VQModel");
  });
});

Deno.test("serve refuses a model that does not draw from text", async () => {
  await inTemporaryFolder(async (cwd) => {
    const args = ["--model", FFHQ, "--port", "0", ...WASM];
    const { code, stderr } = await runTask("serve", args, { cwd });
    assertEquals(code, 1, stderr);
    assertStringIncludes(stderr, "Cannot serve the model: it is unconditional, expected one");
  });
});
