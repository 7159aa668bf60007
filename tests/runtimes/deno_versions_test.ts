// Other versions of Deno, and a process with as little as Deno Deploy and the like give: the network and
// the files of the deployment to read, no workers, nothing to write to.

import { assert, assertEquals } from "@std/assert";
import { VQDiffusionPipeline } from "../../src/pipeline/vq_diffusion_pipeline.ts";
import { temporaryFolder } from "../temporary_folder.ts";
import { installRuntimes, outputOf, type RuntimeName } from "./runtimes.ts";

const ROOT = new URL("../../", import.meta.url);
const VERSIONS: readonly RuntimeName[] = ["deno2_3", "deno2_4", "deno2_5", "deno2_7"];

const runtimes = await installRuntimes(...VERSIONS);
globalThis.addEventListener("unload", () => {
  if (runtimes) Deno.removeSync(runtimes.path, { recursive: true });
});

/** Draws, and prints the device and the picture; without workers if it is told so. */
const PROGRAM = `
if (Deno.args[0] === "alone") {
  delete globalThis.Worker;
  delete globalThis.process;
}
const { VQDiffusionPipeline } = await import(${JSON.stringify(new URL("mod.ts", ROOT).href)});
const pipe = await VQDiffusionPipeline.fromPretrained(undefined, { device: "wasm" });
const { images } = await pipe.generate("a red apple", { seed: 1, numInferenceSteps: 3 });
const png = [...await images[0].toPng()];
console.log(JSON.stringify({ threads: pipe.device.threads, png }));
await pipe.dispose();
`;

async function expected(): Promise<number[]> {
  await using pipe = await VQDiffusionPipeline.fromPretrained(undefined, { device: "wasm" });
  const { images } = await pipe.generate("a red apple", { seed: 1, numInferenceSteps: 3 });
  return [...await images[0]!.toPng()];
}

/** What the program prints, with permission to read the project alone. */
async function run(deno: string, ...args: string[]): Promise<{ threads: number; png: number[] }> {
  await using folder = await temporaryFolder();
  const script = `${folder.path}/program.js`;
  await Deno.writeTextFile(script, PROGRAM);
  const permissions = ["--no-prompt", `--allow-read=${decodeURIComponent(ROOT.pathname)}`];
  const options = ["--quiet", "--no-config", "--no-lock", ...permissions];
  return JSON.parse(await outputOf(deno, ["run", ...options, script, ...args]));
}

for (const name of VERSIONS) {
  Deno.test({
    name: `the library draws the same in ${name}, with threads and without`,
    ignore: runtimes === undefined,
    async fn() {
      const png = await expected();
      const program = runtimes!.program(name);
      const { threads, ...drawn } = await run(program);
      assert(threads >= 1);
      assertEquals(drawn, { png });
      assertEquals(await run(program, "alone"), { threads: 1, png });
    },
  });
}

Deno.test("the library draws without workers, and with permission to read its files alone", async () => {
  assertEquals(await run(Deno.execPath(), "alone"), { threads: 1, png: await expected() });
});
