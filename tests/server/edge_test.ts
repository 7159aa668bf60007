// What edge runtimes lack: workers, shared memory between them, compiling from bytes, files.

import { assertEquals } from "@std/assert";
import { RasterImage } from "../../src/images/raster_image.ts";
import { VQDiffusionPipeline } from "../../src/pipeline/vq_diffusion_pipeline.ts";
import { serveFiles } from "../files/file_server.ts";
import { folderOf, tinyFiles } from "../pipeline/golden_runs.ts";

const CHILD = new URL("./edge_worker.ts", import.meta.url).href;

Deno.test("createHandler() works without workers, shared memory, files, environment and compiler", async () => {
  await using pipe = await VQDiffusionPipeline.fromPretrained(folderOf(tinyFiles()), {
    device: "wasm",
    threads: 1,
  });
  const { images } = await pipe.generate("a cat", { numInferenceSteps: 3, seed: 0 });
  await using server = serveFiles(tinyFiles());
  const absent = ["Worker", "SharedArrayBuffer", "process", "Deno", "Buffer"];
  const { stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", `--allow-net=${server.url.host}`, CHILD, server.url.href, ...absent],
    env: { NO_COLOR: "1" },
  }).output();
  const text = new TextDecoder().decode(stdout);
  const errors = new TextDecoder().decode(stderr);
  assertEquals(text.slice(0, 1), "{", errors);
  const { status, body } = JSON.parse(text);
  assertEquals(status, 200, errors);
  assertEquals(await RasterImage.decode(Uint8Array.fromBase64(body)), images[0]!);
});

Deno.test("VQDiffusionPipeline.fromPretrained() says why it computes on one thread where there are no workers", async () => {
  const { Worker } = globalThis;
  const process = globalThis as { process?: { getBuiltinModule?: unknown } };
  const getBuiltinModule = process.process?.getBuiltinModule;
  try {
    Reflect.deleteProperty(globalThis, "Worker");
    if (process.process) process.process.getBuiltinModule = undefined;
    await using pipe = await VQDiffusionPipeline.fromPretrained(folderOf(tinyFiles()), {
      device: "wasm",
      threads: 2,
    });
    assertEquals(pipe.device.threads, 1);
    assertEquals(pipe.device.reason, "asked for; no threads: Worker is not defined");
    await pipe.generate("a cat", { numInferenceSteps: 1, outputType: "tokens" });
  } finally {
    globalThis.Worker = Worker;
    if (process.process) process.process.getBuiltinModule = getBuiltinModule;
  }
});
