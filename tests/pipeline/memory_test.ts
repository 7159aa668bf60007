// What stays in the memory of a process, which a collector of garbage has to be asked for.

import { assert, assertEquals } from "@std/assert";

const ROOT = new URL("../../", import.meta.url);

/** Runs a program that can collect garbage, and gives the JSON it prints. */
async function measure(body: string): Promise<unknown> {
  const code = `
    import { VQDiffusionPipeline } from "${ROOT}src/pipeline/vq_diffusion_pipeline.ts";
    import { createWasmBackend } from "${ROOT}src/backends/wasm/wasm_backend.ts";
    const settled = async () => {
      for (let i = 0; i < 5; i++) {
        gc();
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
      return Deno.memoryUsage().rss;
    };
    ${body}`;
  const args = ["eval", "--no-lock", "--v8-flags=--expose-gc", code];
  const { stdout, stderr } = await new Deno.Command(Deno.execPath(), { args }).output();
  const text = new TextDecoder().decode(stdout);
  assert(text !== "", new TextDecoder().decode(stderr));
  return JSON.parse(text);
}

Deno.test("VQDiffusionPipeline.dispose() lets go of memory although the pipeline is still referenced", async () => {
  // The weights of the embedded model take 46 MiB, and were kept with each of these.
  const grown = await measure(`
    const kept = [];
    const open = async () => {
      const pipe = await VQDiffusionPipeline.fromPretrained(undefined, { device: "wasm", threads: 1 });
      await pipe.dispose();
      kept.push(pipe);
    };
    for (let i = 0; i < 2; i++) await open();
    const before = await settled();
    for (let i = 0; i < 4; i++) await open();
    console.log(await settled() - before, kept.length === 6 ? "" : "none");`) as number;
  assert(grown < 2 * 46 * 2 ** 20, `${grown} bytes for four pipelines`);
});

Deno.test("VQDiffusionPipeline.stream() gives back what a dropped stream holds", async () => {
  const bytes = await measure(`
    const backend = await createWasmBackend({ threads: 1 });
    const pipe = await VQDiffusionPipeline.fromPretrained(undefined, { backend });
    const drop = async () => {
      const stream = pipe.stream("a cat", { seed: 1, numInferenceSteps: 4 });
      await stream.next();
    };
    const uses = [backend.memoryUse().bytes];
    await drop();
    uses.push(backend.memoryUse().bytes);
    await settled();
    uses.push(backend.memoryUse().bytes);
    console.log(JSON.stringify(uses));`) as number[];
  const [before, held, after] = bytes;
  assert(held! > before!);
  assertEquals(after, before);
});
