// The command `generate` as users run it, with the permissions of its task.

import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { contactSheet } from "../../src/images/contact_sheet.ts";
import { RasterImage } from "../../src/images/raster_image.ts";
import { VQDiffusionPipeline } from "../../src/pipeline/vq_diffusion_pipeline.ts";
import { commitOf, type Content, serveHub } from "../hub/fake_hub.ts";
import { temporaryFolder } from "../temporary_folder.ts";
import { namesIn, runTask, startTask } from "./run_task.ts";

const TINY = new URL("../fixtures/pipeline/tiny/model", import.meta.url);
const WEIGHTS = new URL("../../weights", import.meta.url);

/** What makes a run short and the same everywhere. */
const QUICK = ["--model", TINY.href, "--device", "wasm", "--threads", "2", "--steps", "4"];

async function readImage(path: string): Promise<RasterImage> {
  return RasterImage.decode(await Deno.readFile(path));
}

Deno.test("generate writes the image and the tokens that the library makes of a seed", async () => {
  await using folder = await temporaryFolder();
  const args = ["a cat", ...QUICK, "--seed", "18446744073709551615", "--save-tokens"];
  const tuned = ["--guidance", "3", "--truncation", "0.9", "--out", "cat.png"];
  const result = await runTask("generate", [...args, ...tuned], { cwd: folder.path });
  assertEquals(result.code, 0, result.stderr);
  assertEquals(namesIn(folder.path), ["cat.png", "cat.tokens.json"]);
  assertStringIncludes(result.stdout, `Wrote ${folder.path}/cat.png`);
  assertStringIncludes(result.stdout, "Seed 18446744073709551615");
  assertMatch(result.stdout, /^Device: Wasm, .*2 threads \(asked for\)$/m);
  assertStringIncludes(result.stderr, "Denoising 4/4");

  await using pipe = await VQDiffusionPipeline.fromPretrained(TINY, { device: "wasm", threads: 1 });
  let tokens: number[] = [];
  const { images } = await pipe.generate("a cat", {
    seed: 2n ** 64n - 1n,
    numInferenceSteps: 4,
    guidanceScale: 3,
    truncationRate: 0.9,
    callback: (_step, _timestep, latents) => void (tokens = [...latents]),
  });
  assertEquals(await readImage(`${folder.path}/cat.png`), images[0]);
  assertEquals(JSON.parse(await Deno.readTextFile(`${folder.path}/cat.tokens.json`)), {
    seed: "18446744073709551615",
    numInferenceSteps: 4,
    guidanceScale: 3,
    truncationRate: 0.9,
    images: [{ prompt: "a cat", tokens }],
  });
});

Deno.test("generate numbers several images and puts them on a contact sheet", async () => {
  await using folder = await temporaryFolder();
  const args = ["a cat", "A Dog!", ...QUICK, "--images", "2", "--seed", "5", "--out", "new/"];
  const { code, stdout } = await runTask("generate", args, { cwd: folder.path });
  assertEquals(code, 0);
  const names = ["images-5-1.png", "images-5-2.png", "images-5-3.png", "images-5-4.png"];
  assertEquals(namesIn(`${folder.path}/new`), [...names, "images-5-sheet.png"]);
  assertStringIncludes(stdout, `Wrote ${folder.path}/new/images-5-4.png: A Dog!`);
  const images = await Promise.all(names.map((name) => readImage(`${folder.path}/new/${name}`)));
  assertEquals(await readImage(`${folder.path}/new/images-5-sheet.png`), contactSheet(images));
});

Deno.test("generate --quiet says nothing, and names the file by prompt and seed", async () => {
  await using folder = await temporaryFolder();
  const args = ["Ein Käse, 2 Löcher!", ...QUICK, "--quiet", "--seed", "7"];
  const result = await runTask("generate", args, { cwd: folder.path });
  assertEquals(result, { code: 0, stdout: "", stderr: "" });
  assertEquals(namesIn(folder.path), ["ein-käse-2-löcher-7.png"]);
});

Deno.test("generate refuses wrong arguments in one line before any work", async () => {
  await using folder = await temporaryFolder();
  await Deno.writeTextFile(`${folder.path}/file`, "");
  const cases: [args: string[], message: string][] = [
    [[], `Expected a prompt, such as "a red apple"`],
    [["a", "--frobnicate"], "Unknown option '--frobnicate'"],
    [["a", "--step", "5"], "Unknown option '--step', did you mean --steps?"],
    [["a", "--steps", "0"], `--steps is "0", expected a whole number of at least 1`],
    [["a", "--steps", "101"], `--steps is "101", expected a whole number from 1 to 100, the`],
    [["a", "--guidance", "strong"], `--guidance is "strong", expected a number`],
    [["a", "--out", "a.jpg"], `--out is "a.jpg", expected a name that ends in .png`],
    [["a", "--out", "file/a.png"], `Cannot write to ${folder.path}/file: ${folder.path}/file is`],
  ];
  const results = await Promise.all(cases.map(async ([args, message]) => {
    const { code, stdout, stderr } = await runTask("generate", args, { cwd: folder.path });
    return { args, code, stdout, lines: stderr.split("\n").length - 1, stderr, message };
  }));
  for (const { args, code, stdout, lines, stderr, message } of results) {
    assertEquals({ args, code, stdout, lines }, { args, code: 2, stdout: "", lines: 1 }, stderr);
    assertStringIncludes(stderr, `error: ${message}`);
  }
  assertEquals(namesIn(folder.path), ["file"]);
});

Deno.test("generate tells in one line what is wrong with a model", async () => {
  await using folder = await temporaryFolder();
  await Deno.writeTextFile(`${folder.path}/model_index.json`, `{"_class_name": "Another"}`);
  const run = (model: string) => {
    return runTask("generate", ["a", "--device", "wasm", "--model", model], { cwd: folder.path });
  };
  assertEquals(await run("none"), {
    code: 1,
    stdout: "",
    stderr: "error: Cannot find the folder none\n",
  });
  const { code, stderr } = await run(".");
  assertEquals(code, 1);
  assertMatch(stderr, /^error: .*describes a Another, expected a VQDiffusionPipeline\n$/);
});

Deno.test("generate stops at Ctrl-C with exit code 130 and leaves no file", async () => {
  await using folder = await temporaryFolder();
  const args = ["a cat", "--device", "wasm", "--images", "8", "--save-tokens"];
  const child = await startTask("generate", args, { cwd: folder.path });
  const stdout = new Response(child.stdout).text();
  let stderr = "";
  for await (const text of child.stderr.pipeThrough(new TextDecoderStream())) {
    // A tenth of the work is done: there is much of it left.
    if (!stderr && text) child.kill("SIGINT");
    stderr += text;
  }
  assertEquals((await child.status).code, 130);
  assertMatch(stderr, /^Denoising 10\/100[^]*\nStopped\n$/);
  assert(!(await stdout).includes("Wrote"));
  assertEquals(namesIn(folder.path), []);
});

Deno.test("generate takes models from the hub that the environment names, and keeps them", async () => {
  await using folder = await temporaryFolder();
  const hub = serveHub({
    "o/emoji": { token: "secret", revisions: { v2: await readFolder(WEIGHTS) } },
  });
  const env = {
    HF_ENDPOINT: hub.endpoint.href,
    HF_TOKEN: "secret",
    HF_HUB_CACHE: `${folder.path}/cache`,
  };
  const args = ["a", "--model", "o/emoji", "--revision", "v2", "--steps", "1", "--device", "wasm"];
  const run = async (out: string) => {
    const result = await runTask("generate", [...args, "--seed", "1", "--out", out], {
      cwd: folder.path,
      env,
    });
    assertEquals(result.code, 0, result.stderr);
    return result;
  };
  try {
    assertMatch((await run("1.png")).stderr, /^Downloading .* of .* MiB$/m);
    const snapshots = namesIn(`${folder.path}/cache/models--o--emoji/snapshots`);
    assertEquals(snapshots, [commitOf("v2")]);
  } finally {
    await hub[Symbol.asyncDispose]();
  }
  const { stderr } = await run("2.png");
  assertStringIncludes(stderr, "using what is in the cache");
  assertEquals(await readImage(`${folder.path}/2.png`), await readImage(`${folder.path}/1.png`));
});

Deno.test("generate --help tells the options and gives examples", async () => {
  await using folder = await temporaryFolder();
  const { code, stdout } = await runTask("generate", ["--help"], { cwd: folder.path });
  assertEquals(code, 0);
  for (const option of ["--out", "--seed", "--save-tokens", "Examples:"]) {
    assertStringIncludes(stdout, option);
  }
  assertMatch(stdout, /^ {2}--steps <n> +Denoising steps \(default: 100\)$/m);
  assertMatch(stdout, /^ {2}--truncation <x> .*, 0 to 1 \(default: 1\)$/m);
});

/** All files of a folder by their paths. */
async function readFolder(folder: URL, prefix = ""): Promise<Record<string, Content>> {
  const files: Record<string, Content> = {};
  for await (const { name, isDirectory } of Deno.readDir(new URL(`${folder.href}/${prefix}`))) {
    if (isDirectory) Object.assign(files, await readFolder(folder, `${prefix}${name}/`));
    else files[prefix + name] = await Deno.readFile(new URL(`${folder.href}/${prefix}${name}`));
  }
  return files;
}
