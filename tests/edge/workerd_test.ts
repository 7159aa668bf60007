// Pictures from workerd: one thread, 128 MiB, kernels that were compiled before, requests that end without a
// word when their client leaves.

import { assert, assertEquals } from "@std/assert";
import { VQDiffusionPipeline } from "../../src/pipeline/vq_diffusion_pipeline.ts";
import { folderOf, tinyFiles } from "../pipeline/golden_runs.ts";
import { prepareWorkerd, startWorker } from "./workerd.ts";

const ROOT = new URL("../../", import.meta.url);
const SEEDS = [0, 1, 2, 3];
const STEPS = 3;
/** Longest that places may take to come back, in milliseconds: several times what a lease allows for. */
const PATIENCE = 60_000;

const workerd = await prepareWorkerd();
globalThis.addEventListener("unload", () => {
  if (workerd) Deno.removeSync(workerd.path, { recursive: true });
});

/** An example with its modules, and those of the package where they lie here. */
async function exampleSources(main: string): Promise<Record<string, string>> {
  const sources: Record<string, string> = {};
  for (const name of [main, "load.js"]) {
    const source = await Deno.readTextFile(new URL(`examples/edge/${name}`, ROOT));
    sources[name] = source
      .replaceAll("@vq-diffusion/vq-diffusion/edge", "./edge.js")
      .replaceAll("@vq-diffusion/vq-diffusion/wasm/", "./");
  }
  return sources;
}

/** A worker with the tiny model in modules of its own, that does not hand its context on. */
function bareSource(files: readonly string[]): string {
  const imports = files.map((name, i) => `import file${i} from ${JSON.stringify(`./${name}`)};`);
  const entries = files.map((name, i) => `${JSON.stringify(name)}: new Uint8Array(file${i})`);
  return `
import { createHandler, memoryFolder, VQDiffusionPipeline } from "./edge.js";
import relaxed from "./relaxed_simd.wasm";
import plain from "./simd.wasm";
${imports.join("\n")}
const folder = memoryFolder({ ${entries.join(", ")} });
const module = [{ simd: "relaxed-simd", module: relaxed }, { simd: "simd", module: plain }];
const options = { device: "wasm", threads: 1, module };
const handler = createHandler(() => VQDiffusionPipeline.fromPretrained(folder, options));
export default { fetch: (request) => handler(request) };
`;
}

function query(seed: number, steps: number): string {
  return `/generate?prompt=a+red+apple&steps=${steps}&seed=${seed}`;
}

/** Begins to read a stream of events, and leaves with the first. */
async function leaveStream(url: string): Promise<void> {
  const headers = { accept: "text/event-stream" };
  const response = await fetch(`${url}${query(9, 25)}`, { headers });
  const reader = response.body!.getReader();
  await reader.read();
  await reader.cancel();
}

/** Status and bytes of a picture. */
async function draw(url: string, seed: number): Promise<{ status: number; png: Uint8Array }> {
  const response = await fetch(`${url}${query(seed, STEPS)}`);
  return { status: response.status, png: await response.bytes() };
}

/** Draws all at once, again and again until there is a place for each of them. */
async function drawAll(url: string, seeds: readonly number[]): Promise<Uint8Array[]> {
  for (const start = performance.now();;) {
    const answers = await Promise.all(seeds.map((seed) => draw(url, seed)));
    const other = answers.find(({ status }) => status !== 200);
    if (!other) return answers.map(({ png }) => png);
    assertEquals(other.status, 503, new TextDecoder().decode(other.png));
    assert(performance.now() - start < PATIENCE, "places do not come back");
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}

async function expected(pipe: VQDiffusionPipeline): Promise<Uint8Array[]> {
  const pngs: Uint8Array[] = [];
  for (const seed of SEEDS) {
    const { images } = await pipe.generate("a red apple", { numInferenceSteps: STEPS, seed });
    pngs.push(await images[0]!.toPng());
  }
  return pngs;
}

Deno.test({
  name: "workerd: examples/edge/worker.js draws the right pictures, whoever leaves meanwhile",
  ignore: workerd === undefined,
  async fn() {
    await using pipe = await VQDiffusionPipeline.fromPretrained(undefined, { device: "wasm" });
    const pngs = await expected(pipe);
    const sources = await exampleSources("worker.js");
    const assets = decodeURIComponent(new URL("weights", ROOT).pathname);
    await using worker = await startWorker(workerd!, { sources, assets });
    const { url } = worker;
    // The first requests also wait for the model, which one of them loads; that one leaves.
    const first = fetch(`${url}${query(9, 25)}`, { signal: AbortSignal.timeout(100) });
    await first.then((response) => response.body?.cancel()).catch(() => {});
    assertEquals(await drawAll(url, SEEDS), pngs);
    // More than the memory would hold if those that leave kept theirs.
    for (let round = 0; round < 12; round++) {
      const stay = round % SEEDS.length;
      const [, , drawn] = await Promise.all([
        leaveStream(url),
        leaveStream(url),
        drawAll(url, [stay]),
      ]);
      assertEquals(drawn, [pngs[stay]]);
    }
    assertEquals(await drawAll(url, SEEDS), pngs);
  },
});

Deno.test({
  name: "workerd: events come, and other requests are answered, while a picture is drawn",
  ignore: workerd === undefined,
  async fn() {
    const sources = await exampleSources("worker.js");
    const assets = decodeURIComponent(new URL("weights", ROOT).pathname);
    await using worker = await startWorker(workerd!, { sources, assets });
    const headers = { accept: "text/event-stream" };
    const response = await fetch(`${worker.url}${query(1, 25)}`, { headers });
    const chunks: string[] = [];
    let others = 0;
    for await (const chunk of response.body!.pipeThrough(new TextDecoderStream())) {
      chunks.push(chunk);
      if (/event: (result|error)/.test(chunk)) break;
      const answer = await fetch(`${worker.url}/elsewhere`);
      await answer.body?.cancel();
      others += Number(answer.status === 404);
    }
    const text = chunks.join("");
    assertEquals(text.match(/event: step/g)?.length, 25);
    assert(text.includes("event: result"));
    // Each answer lay between two events.
    assert(others >= 5, `${others} of ${chunks.length}`);
  },
});

Deno.test({
  name: "workerd: places come back of requests that ended without their context",
  ignore: workerd === undefined,
  async fn() {
    const data = tinyFiles();
    await using pipe = await VQDiffusionPipeline.fromPretrained(folderOf(data), { device: "wasm" });
    const pngs = await expected(pipe);
    await using worker = await startWorker(workerd!, {
      sources: { "worker.js": bareSource(Object.keys(data)) },
      data,
    });
    const { url } = worker;
    assertEquals((await draw(url, 0)).png, pngs[0]);
    await Promise.all([leaveStream(url), leaveStream(url)]);
    assertEquals(await drawAll(url, [1, 2]), [pngs[1], pngs[2]]);
  },
});

Deno.test({
  name:
    "workerd: examples/edge/durable_object.js draws the right pictures, whoever leaves meanwhile",
  ignore: workerd === undefined,
  async fn() {
    await using pipe = await VQDiffusionPipeline.fromPretrained(undefined, { device: "wasm" });
    const pngs = await expected(pipe);
    const sources = await exampleSources("durable_object.js");
    const assets = decodeURIComponent(new URL("weights", ROOT).pathname);
    await using worker = await startWorker(workerd!, { sources, assets, durableObject: "Studio" });
    const { url } = worker;
    assertEquals(await drawAll(url, SEEDS), pngs);
    await Promise.all([leaveStream(url), leaveStream(url)]);
    assertEquals(await drawAll(url, SEEDS), pngs);
  },
});
