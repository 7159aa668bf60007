// The programs of examples/ run as their comments say.

import { assert, assertEquals, assertNotEquals } from "@std/assert";
import { pageHandler } from "../../examples/page/server.ts";
import { memoryWriter, tarArchive } from "../../examples/training_page/memory_writer.js";
import { RasterImage } from "../../src/images/raster_image.ts";
import { VQDiffusionPipeline } from "../../src/pipeline/vq_diffusion_pipeline.ts";
import { bundle, findBrowser } from "../browser/browsers.ts";
import { drawOnPage } from "../browser/example_page.ts";
import { PROMPT, trainOnPage } from "../browser/example_training_page.ts";
import { type Files, filesOf } from "../pipeline/golden_runs.ts";
import { temporaryFolder } from "../temporary_folder.ts";
import { tinyModel } from "../training/pictures.ts";
import vqvae from "../../weights/vqvae/config.json" with { type: "json" };

const ROOT = new URL("../../", import.meta.url);

const chromium = findBrowser("chromium");

/** Starts `deno` in the root of the repository. */
function start(...args: string[]): Deno.ChildProcess {
  return new Deno.Command(Deno.execPath(), {
    args,
    cwd: ROOT,
    env: { NO_COLOR: "1" },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
}

/** Starts a server, asks it for something when it listens, and ends it. */
async function ask(path: string, ...args: string[]): Promise<Uint8Array> {
  await using child = start(...args);
  const response = await fetch(`http://127.0.0.1:${await portOf(child)}${path}`);
  const body = await response.bytes();
  assertEquals(response.status, 200, new TextDecoder().decode(body));
  return body;
}

/** The port that a server says it listens at; its output is read to the end. */
async function portOf({ stdout, stderr }: Deno.ChildProcess): Promise<string> {
  const port = Promise.withResolvers<string>();
  const read = async (stream: ReadableStream<Uint8Array>): Promise<string> => {
    const decoder = new TextDecoder();
    let text = "";
    for await (const chunk of stream) {
      text += decoder.decode(chunk, { stream: true });
      const listening = /Listening on http:\/\/[\w.:]+:(\d+)\//i.exec(text);
      if (listening) port.resolve(listening[1]!);
    }
    return text;
  };
  Promise.all([read(stdout), read(stderr)]).then((texts) => {
    port.reject(new Error(`The server ended: ${texts.join("")}`));
  });
  return await port.promise;
}

/** Checks that a file is a picture of the embedded model, and not of one colour. */
async function expectPicture(png: Uint8Array): Promise<void> {
  const { width, height, data } = await RasterImage.decode(png);
  assertEquals([width, height], [vqvae.sample_size, vqvae.sample_size]);
  assert(new Set(new Uint32Array(data.buffer)).size > 1);
}

/** Unpacks an archive into a new folder, with the system's program. */
async function unpack(archive: Uint8Array, folder: string): Promise<void> {
  await Deno.mkdir(folder);
  await Deno.writeFile(`${folder}.tar`, archive);
  const child = new Deno.Command("tar", { args: ["-xf", `${folder}.tar`, "-C", folder] });
  const { success, stderr } = await child.output();
  assert(success, new TextDecoder().decode(stderr));
}

Deno.test("examples/script.ts draws a picture and saves it", async () => {
  await using folder = await temporaryFolder();
  const path = `${folder.path}/apple.png`;
  const permissions = ["--allow-read", `--allow-write=${folder.path}`, "--no-prompt"];
  const child = start("run", ...permissions, "examples/script.ts", "a red apple", path, "2");
  const { success, stdout, stderr } = await child.output();
  assert(success, new TextDecoder().decode(stderr));
  assertEquals(new TextDecoder().decode(stdout).startsWith(`${path}, drawn on `), true);
  await expectPicture(await Deno.readFile(path));
});

Deno.test("examples/server.ts answers with a picture", async () => {
  const args = ["run", "--allow-read", "--allow-net", "--no-prompt", "examples/server.ts", "0"];
  await expectPicture(await ask("/generate?prompt=a+red+apple&seed=1&steps=2", ...args));
});

Deno.test("examples/worker.ts answers with a picture", async () => {
  const args = ["serve", "--port=0", "--allow-read", "--no-prompt", "examples/worker.ts"];
  await expectPicture(await ask("/generate?prompt=a+red+apple&seed=1&steps=2", ...args));
});

Deno.test("pageHandler() gives the files of the page, the bundle and the model, and no others", async () => {
  await using folder = await temporaryFolder();
  await Deno.writeTextFile(`${folder.path}/mod.js`, "1;");
  const answer = pageHandler({ "/lib/": new URL(`file://${folder.path}/`) });
  const get = (path: string) => answer(new Request(`http://localhost${path}`));
  assertEquals(await (await get("/lib/mod.js")).text(), "1;");
  assert((await (await get("/")).text()).includes("./page.js"));
  const index = await get("/weights/model_index.json");
  assertEquals(JSON.parse(await index.text())._class_name, "VQDiffusionPipeline");
  for (
    const path of [
      "/none",
      "/weights/none",
      "/weights/vqvae",
      "/weights/../deno.json",
      "/weights/..%2fdeno.json",
      "/weights//etc/passwd",
      "//etc/passwd",
      "/..%2f..%2fetc/passwd",
    ]
  ) {
    const response = await get(path);
    await response.body?.cancel();
    assertEquals(response.status, 404, path);
  }
});

Deno.test({
  name: "examples/page/ draws in a browser",
  ignore: chromium === undefined,
  async fn() {
    await using folder = await temporaryFolder();
    await bundle(folder.path);
    const answer = pageHandler({ "/lib/": new URL(`file://${folder.path}/`) });
    const { text, png } = await drawOnPage(chromium!, answer);
    assert(text.startsWith("Drawn on Wasm"), text);
    await expectPicture(png);
  },
});

Deno.test("tarArchive() makes archives of what memoryWriter() takes that unpack to what is saved on disk", async () => {
  await using model = await tinyModel();
  const files: Files = {};
  await model.savePretrained(memoryWriter(files), { learned: ["a cube"] });
  await using folder = await temporaryFolder();
  const [saved, unpacked] = [`${folder.path}/saved`, `${folder.path}/unpacked`];
  await model.savePretrained(saved, { learned: ["a cube"] });
  await unpack(await tarArchive(files).bytes(), unpacked);
  assertEquals(filesOf(new URL(`file://${unpacked}/`)), filesOf(new URL(`file://${saved}/`)));
});

Deno.test({
  name: "examples/training_page/ trains in a browser, and what it offers is a model",
  ignore: chromium === undefined,
  async fn() {
    await using folder = await temporaryFolder();
    await bundle(folder.path);
    const answer = pageHandler({
      "/lib/": new URL(`file://${folder.path}/`),
      "/": new URL("examples/training_page/", ROOT),
    });
    const { captions, texts, samples, drawn, archive } = await trainOnPage(chromium!, answer);
    assertEquals(captions, ["red square", "blue square"]);
    const steps = texts.flatMap((text) =>
      /^Step (\d) of 2, loss \d+\.\d{3}, \d+ s left$/.exec(text)?.[1] ?? []
    );
    assertEquals(steps, ["1", "2"], texts.join("; "));
    assert(texts.some((text) => text.startsWith("Trained 2 steps on Wasm")), texts.join("; "));
    // Before, after the first step, and in the end.
    assertEquals(samples.length, 3);
    assertNotEquals(samples[1], samples[0]);
    assertNotEquals(samples[2], samples[1]);
    assertEquals(drawn, samples[2]);

    await unpack(archive, `${folder.path}/model`);
    await using pipe = await VQDiffusionPipeline.fromPretrained(`${folder.path}/model`, {
      device: "wasm",
    });
    // The same on every CPU, byte for byte.
    const { images } = await pipe.generate(PROMPT, { seed: 1 });
    assertEquals(Array.from(images[0]!.data), drawn);
  },
});
