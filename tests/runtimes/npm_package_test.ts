// The npm package as users have it: packed, installed into an empty folder, in Node and Bun.

import { assert, assertEquals, assertMatch } from "@std/assert";
import { RasterImage } from "../../src/images/raster_image.ts";
import { VQDiffusionPipeline } from "../../src/pipeline/vq_diffusion_pipeline.ts";
import { serveHub } from "../hub/fake_hub.ts";
import { tinyFiles } from "../pipeline/golden_runs.ts";
import { installPackage } from "./npm_archive.ts";
import { installRuntimes, outputOf, type RuntimeName } from "./runtimes.ts";

const NAMES: readonly RuntimeName[] = ["node20", "node22", "node24", "bun"];
const PROMPT = "a red apple";
const OPTIONS = { seed: 5, numInferenceSteps: 3 };

/** What a user may write: draws, saves the model and draws with that, and prints the tokens of both. */
const PROGRAM = `
import { VQDiffusionPipeline } from "@vq-diffusion/vq-diffusion";
import { VQDiffusionScheduler } from "@vq-diffusion/vq-diffusion/schedulers";
const options = { ...${JSON.stringify(OPTIONS)}, outputType: "tokens" };
const tokens = async (source, load) => {
  const pipe = await VQDiffusionPipeline.fromPretrained(source, load);
  const { images } = await pipe.generate(${JSON.stringify(PROMPT)}, options);
  if (source === undefined) await pipe.savePretrained("saved");
  if (!(pipe.components.scheduler instanceof VQDiffusionScheduler)) throw new Error("two schedulers");
  await pipe.dispose();
  return [...images[0]];
};
const first = await tokens(undefined, { threads: 2 });
const second = await tokens("saved", { threads: 1, dtype: "fp32" });
const missing = await VQDiffusionPipeline.fromPretrained("./none").catch((error) => error.name);
console.log(JSON.stringify({ first, second, missing }));
`;

/** The process ends when the first file of a model that is saved is about to get its name. */
const CUT_SHORT = `
import { promises } from "node:fs";
import { VQDiffusionPipeline } from "@vq-diffusion/vq-diffusion";
const pipe = await VQDiffusionPipeline.fromPretrained(undefined, { threads: 1 });
promises.rename = () => process.exit();
await pipe.savePretrained("half");
`;

/** Tells what becomes of that folder, and of a pipe in the place of a file. */
const REFUSED = `
import { VQDiffusionPipeline } from "@vq-diffusion/vq-diffusion";
const refusal = (source) => VQDiffusionPipeline.fromPretrained(source).catch(String);
console.log(JSON.stringify([await refusal("half"), await refusal("./pipe.pth")]));
`;

/** Draws with a model of a hub twice, the second time from the cache on disk alone. */
const FROM_HUB = `
import { VQDiffusionPipeline } from "@vq-diffusion/vq-diffusion";
const [endpoint] = process.argv.slice(2);
const tokens = [];
for (const localFilesOnly of [false, true]) {
  const options = { endpoint, cache: "cache", localFilesOnly, threads: 1, simd: "simd" };
  const pipe = await VQDiffusionPipeline.fromPretrained("owner/name", options);
  const how = { seed: 1, numInferenceSteps: 2, outputType: "tokens" };
  tokens.push([...(await pipe.generate("a cat", how)).images[0]]);
  await pipe.dispose();
}
console.log(JSON.stringify(tokens));
`;

/** A program whose types are checked. */
const TYPED = `
import { type RasterImage, VQDiffusionPipeline } from "@vq-diffusion/vq-diffusion";
import { createHandler } from "@vq-diffusion/vq-diffusion/edge";
const pipe = await VQDiffusionPipeline.fromPretrained();
const { images } = await pipe.generate("a red apple", { numInferenceSteps: 2 });
export const image: RasterImage = images[0]!;
// @ts-expect-error -- there is no such option
await pipe.generate("a red apple", { steps: 2 });
export const handler = createHandler((_env: { name: string }) => Promise.resolve(pipe));
`;

const runtimes = await installRuntimes(...NAMES);
const app = runtimes && await installPackage("typescript@5.9.3");
globalThis.addEventListener("unload", () => {
  for (const folder of [runtimes, app]) {
    if (folder) Deno.removeSync(folder.path, { recursive: true });
  }
});

async function expected(): Promise<{ tokens: number[]; image: RasterImage }> {
  await using pipe = await VQDiffusionPipeline.fromPretrained(undefined, { device: "wasm" });
  const drawn = await pipe.generate(PROMPT, { ...OPTIONS, outputType: "tokens" });
  const { images } = await pipe.generate(PROMPT, OPTIONS);
  return { tokens: [...drawn.images[0]!], image: images[0]! };
}

for (const name of NAMES) {
  Deno.test({
    name: `the npm package draws, saves and loads in ${name}`,
    ignore: app === undefined,
    async fn() {
      const program = runtimes!.program(name);
      const options = { cwd: app!.path };
      const { tokens, image } = await expected();
      await Deno.writeTextFile(`${app!.path}/program.js`, PROGRAM);
      const printed = JSON.parse(await outputOf(program, ["program.js"], options));
      assertEquals(printed, { first: tokens, second: tokens, missing: "MissingFileError" });

      const { seed, numInferenceSteps } = OPTIONS;
      const values = [`--seed=${seed}`, `--steps=${numInferenceSteps}`, "--out=apple.png"];
      const bin = "node_modules/.bin/vq-diffusion";
      const text = await outputOf(program, [bin, PROMPT, ...values], options);
      assert(text.startsWith("Wrote apple.png, drawn on Wasm"), text);
      const drawn = await RasterImage.decode(await Deno.readFile(`${app!.path}/apple.png`));
      assertEquals([drawn.width, drawn.height], [image.width, image.height]);
      assertEquals(drawn.data, image.data);
    },
  });
}

for (const name of NAMES) {
  Deno.test({
    name:
      `the npm package leaves no temporary files, and refuses what is no whole model, in ${name}`,
    ignore: app === undefined,
    async fn() {
      const path = await Deno.makeTempDir({ dir: app!.path });
      const options = { cwd: path };
      const program = runtimes!.program(name);
      await Deno.writeTextFile(`${path}/cut.mjs`, CUT_SHORT);
      await Deno.writeTextFile(`${path}/refused.mjs`, REFUSED);
      await outputOf("mkfifo", ["pipe.pth"], options);
      await outputOf(program, ["cut.mjs"], options);
      assertEquals(filesBelow(`${path}/half`), [".incomplete"]);
      const [half, pipe] = JSON.parse(await outputOf(program, ["refused.mjs"], options));
      assertMatch(half, /^SyntaxError: Cannot open half: it is incomplete/);
      assertMatch(pipe, /^TypeError: Cannot read \.\/pipe\.pth: it is a pipe, socket or device/);
    },
  });
}

for (const name of NAMES) {
  Deno.test({
    name: `the npm package opens models of the hub, and keeps them on disk, in ${name}`,
    ignore: app === undefined,
    async fn() {
      const options = { cwd: await Deno.makeTempDir({ dir: app!.path }) };
      await using hub = serveHub({ "owner/name": { revisions: { main: tinyFiles() } } });
      await Deno.writeTextFile(`${options.cwd}/hub.mjs`, FROM_HUB);
      const program = runtimes!.program(name);
      const printed = JSON.parse(await outputOf(program, ["hub.mjs", hub.endpoint.href], options));
      await using pipe = await VQDiffusionPipeline.fromPretrained("owner/name", {
        ...{ cache: `${options.cwd}/cache`, localFilesOnly: true, device: "wasm", threads: 1 },
        simd: "simd",
      });
      const how = { seed: 1, numInferenceSteps: 2, outputType: "tokens" } as const;
      const tokens = [...(await pipe.generate("a cat", how)).images[0]!];
      assertEquals(printed, [tokens, tokens]);
    },
  });
}

/** Names of the files in a folder and below. */
function filesBelow(path: string): string[] {
  const names = [...Deno.readDirSync(path)].flatMap(({ name, isDirectory }) =>
    isDirectory ? filesBelow(`${path}/${name}`) : [name]
  );
  return [...new Set(names)];
}

Deno.test({
  name: "the npm package has types",
  ignore: app === undefined,
  async fn() {
    await Deno.writeTextFile(`${app!.path}/typed.ts`, TYPED);
    const options = ["--noEmit", "--strict", "--target", "esnext", "--module", "nodenext"];
    const tsc = `${app!.path}/node_modules/typescript/bin/tsc`;
    const args = [tsc, ...options, "--skipLibCheck", "false", "typed.ts"];
    assertEquals(await outputOf(runtimes!.program("node22"), args, { cwd: app!.path }), "");
  },
});
