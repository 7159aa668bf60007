// The command `generate` as users run it, with the permissions of its task.

import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { inheritParameters } from "../../src/cli/generate_request.ts";
import { contactSheet } from "../../src/images/contact_sheet.ts";
import { enlarge } from "../../src/images/enlarge.ts";
import { readPngTexts } from "../../src/images/png_text.ts";
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
    numInferenceSteps: 4,
    guidanceScale: 3,
    styles: [],
    truncationRate: 0.9,
    images: [{ prompt: "a cat", seed: "18446744073709551615", tokens }],
  });
});

Deno.test("generate gives each picture a seed, and a prompt a row of the contact sheet", async () => {
  await using folder = await temporaryFolder();
  await Deno.writeTextFile(`${folder.path}/prompts.txt`, "# animals\r\n\n  A Dog!  \n");
  const args = ["a cat", "--prompts", "prompts.txt", "--seed", "5-6,9", "--out", "new/"];
  const more = ["--json", "--save-tokens", "--scale", "3"];
  const run = () => runTask("generate", [...args, ...QUICK, ...more], { cwd: folder.path });
  const { code, stdout, stderr } = await run();
  assertEquals(code, 0, stderr);
  const names = ["a-cat-5", "a-cat-6", "a-cat-9", "a-dog-5", "a-dog-6", "a-dog-9"];
  const paths = names.map((name) => `${folder.path}/new/${name}.png`);
  const others = ["images-5-sheet.png", "images-5.tokens.json"];
  const files = [...names.map((name) => `${name}.png`), ...others].toSorted();
  assertEquals(namesIn(`${folder.path}/new`), files);

  await using pipe = await VQDiffusionPipeline.fromPretrained(TINY, { device: "wasm", threads: 1 });
  const images = await Promise.all(paths.map(readImage));
  const { images: [alone] } = await pipe.generate("A Dog!", { seed: 9, numInferenceSteps: 4 });
  assertEquals(images[5], enlarge(alone!, 3));
  const sheet = contactSheet(images, { columns: 3 });
  assertEquals(await readImage(`${folder.path}/new/images-5-sheet.png`), sheet);

  assertEquals(stdout.split("\n").length, 2);
  const report = JSON.parse(stdout);
  assertEquals(report.files.map(({ path }: { path: string }) => path), paths);
  assertEquals(report.files[5], { path: paths[5], prompt: "A Dog!", seed: "9" });
  assertEquals(report.seeds, ["5", "6", "9"]);
  assertEquals([report.sheet, report.tokens], others.map((name) => `${folder.path}/new/${name}`));
  const { settings, device, seconds } = report;
  assertEquals([settings.numInferenceSteps, settings.guidanceScale, device.threads], [4, 5, 2]);
  assert(seconds.load > 0 && seconds.draw > 0 && seconds.write >= 0);
});

Deno.test("generate --from draws a picture again, to the standard output, and lets what is given come first", async () => {
  await using folder = await temporaryFolder();
  const { path: cwd } = folder;
  const first = ["ein Käse чай", ...QUICK, "--seed", "7", "--truncation", "0.9", "--quiet"];
  assertEquals(await runTask("generate", first, { cwd }), { code: 0, stdout: "", stderr: "" });
  const name = "ein-käse-чай-7.png";
  const original = await Deno.readFile(`${cwd}/${name}`);
  const texts = await readPngTexts(original);
  assertStringIncludes(
    texts.get("parameters")!,
    "ein Käse чай\nSteps: 4, Sampler: VQ-Diffusion, CFG",
  );

  const again = await startTask("generate", ["--from", name, "--out", "-", "--device", "wasm"], {
    cwd,
  });
  const { code, stdout, stderr } = await again.output();
  assertEquals(code, 0);
  assertEquals(stdout, original);
  const said = new TextDecoder().decode(stderr);
  assertStringIncludes(said, `note: the model is ${TINY.href}, as the picture says`);

  const changed = ["a dog", "--from", name, "--steps", "2", "--quiet", "--out", "x.png"];
  assertEquals((await runTask("generate", changed, { cwd })).code, 0);
  const settings = JSON.parse(
    (await readPngTexts(await Deno.readFile(`${cwd}/x.png`))).get("vq-diffusion")!,
  );
  const { prompt, seed, numInferenceSteps, truncationRate } = settings;
  assertEquals([prompt, seed, numInferenceSteps, truncationRate], ["a dog", "7", 2, 0.9]);

  // The steps of a sampler that fixes them come before those of the picture.
  const fast = ["--from", name, "--sampler", "fast:50", "--quiet", "--out", "fast.png"];
  assertEquals(await runTask("generate", fast, { cwd }), { code: 0, stdout: "", stderr: "" });
});

Deno.test("inheritParameters() takes no steps from a picture where either sampler fixes them", () => {
  const steps = (given: object, inherited: object) =>
    inheritParameters(given, { numInferenceSteps: 7, ...inherited }, 100).numInferenceSteps;
  assertEquals(steps({}, {}), 7);
  assertEquals(steps({}, { sampler: "fast:4" }), 7);
  assertEquals(steps({ sampler: "strided" }, { sampler: "purity" }), 7);
  assertEquals(steps({ sampler: "fast:4" }, {}), undefined);
  assertEquals(steps({ sampler: "fast:4", numInferenceSteps: undefined }, {}), undefined);
  assertEquals(steps({ sampler: "strided" }, { sampler: "fast:4" }), undefined);
  assertEquals(steps({ sampler: "fast:4", numInferenceSteps: 26 }, {}), 26);
});

Deno.test("generate puts files where the person stands, with numbers beside those that are there", async () => {
  await using folder = await temporaryFolder();
  const root = new URL("../../", import.meta.url).pathname;
  const env = { INIT_CWD: folder.path };
  await Deno.writeTextFile(`${folder.path}/a.png`, "mine");
  const args = ["a", "--out", "a.png", ...QUICK, "--quiet"];
  assertEquals((await runTask("generate", args, { cwd: root, env })).code, 0);
  assertEquals(namesIn(folder.path), ["a-2.png", "a.png"]);
  assertEquals(await Deno.readTextFile(`${folder.path}/a.png`), "mine");
  await Deno.chmod(`${folder.path}/a.png`, 0o444);
  const protectedFile = await runTask("generate", [...args, "--overwrite"], { cwd: root, env });
  assertEquals(protectedFile.code, 2);
  assertStringIncludes(protectedFile.stderr, "error: Cannot replace");
  await Deno.chmod(`${folder.path}/a.png`, 0o644);
  assertEquals((await runTask("generate", [...args, "--overwrite"], { cwd: root, env })).code, 0);
  await readImage(`${folder.path}/a.png`);
  assertEquals(namesIn(folder.path), ["a-2.png", "a.png"]);
});

Deno.test("generate --list tells what the model can draw, and notes what it cannot", async () => {
  await using folder = await temporaryFolder();
  const { path: cwd } = folder;
  const list = await runTask("generate", ["--list", "animal", "cat"], { cwd });
  assertEquals([list.code, list.stderr], [0, ""]);
  assertEquals(list.stdout, "Animals & Nature (3)\n  black cat, cat, cat face\n\n");
  const none = await runTask("generate", ["--list", "strawbery"], { cwd });
  assertEquals([none.code, none.stdout], [1, ""]);
  assertStringIncludes(none.stderr, "the nearest: strawberry");
  const draw = ["a strawbery", "a happy cat", "--steps", "1", "--device", "wasm"];
  const { code, stderr } = await runTask("generate", [...draw, "--styles", "in ink"], { cwd });
  assertEquals(code, 0);
  const notes = [
    '"in ink" is no style of the model\'s, which are noto style, twemoji style, fluent style, blob style, mirrored noto style, flat style',
    'the model knows no name in "a strawbery"; the nearest names: strawberry',
    'the model knows "cat", but not "happy", which may spoil it',
  ];
  for (const note of notes) assertStringIncludes(stderr, `note: ${note}`);
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
    [["-", "--quiet"], "The standard input has no prompt, expected one on each line"],
    [["--prompts", "none.txt"], "Cannot read none.txt: "],
    [["--from", "file"], "Cannot read file: it is no PNG file"],
    [["a", "--out", "-", "--seed", "1-2"], "--out - takes one picture, got 2"],
    [["a", "--scale", "64", "--images", "9"], "--scale is 64, expected 21 at most for 9 of 128"],
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
  const run = (model: string) => {
    return runTask("generate", ["a", "--device", "wasm", "--model", model], { cwd: folder.path });
  };
  assertEquals(await run("none"), {
    code: 1,
    stdout: "",
    stderr:
      `error: Cannot find the folder none; a model on the hub would have an id "owner/name"\n`,
  });
  assertEquals((await run("./none")).stderr, "error: Cannot find the folder ./none\n");
  const noModel = await run(".");
  assertMatch(
    noModel.stderr,
    /^error: Cannot find .*model_index\.json; .* original checkpoint.*\n$/,
  );
  await Deno.writeTextFile(`${folder.path}/model_index.json`, `{"_class_name": "Another"}`);
  const { code, stderr } = await run(".");
  assertEquals(code, 1);
  assertMatch(stderr, /^error: .*_class_name is Another, expected VQDiffusionPipeline\n$/);
});

Deno.test("generate says that a name was taken for a model on the hub", async () => {
  await using folder = await temporaryFolder();
  await using hub = serveHub({});
  const env = { HF_ENDPOINT: hub.endpoint.href, HF_HUB_CACHE: `${folder.path}/cache` };
  const args = ["a", "--device", "wasm", "--model", "weights/emoji"];
  const { code, stderr } = await runTask("generate", args, { cwd: folder.path, env });
  assertEquals(code, 1);
  const hint = "there is no folder weights/emoji, so it was taken for a model on the hub";
  assertMatch(stderr, new RegExp(`^error: Cannot open weights/emoji: .*; ${hint}\n$`));
});

Deno.test("generate stops at Ctrl-C with exit code 130 and leaves no file", async () => {
  await using folder = await temporaryFolder();
  const args = ["a cat", "--device", "wasm", "--steps", "100", "--images", "8", "--save-tokens"];
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
  const version = await runTask("generate", ["--version"], { cwd: folder.path });
  assertMatch(version.stdout, /^vq-diffusion \d+\.\d+\.\d+ \(Deno .+\)\n$/);
  assertMatch(stdout, /^ {2}--steps <n> +Denoising steps \(default: the model's, else 100\)$/m);
  assertMatch(stdout, /^ {2}--strength <x> .*, 0 to 1 \(default: 0\.8; 1 with --mask\)$/m);
  // Beside the examples all lines fit into a terminal of some width.
  assertEquals(stdout.split("\n").filter((line) => line.length > 104), []);
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
