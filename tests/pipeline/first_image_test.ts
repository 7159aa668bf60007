// What is said of memory before loading, against what is held after a first image. The real code decides
// every size, on memory that is only counted: so both are equal to the byte, and the tests ask for that.

import { assert, assertEquals, assertRejects } from "@std/assert";
import type { Backend, DeviceType } from "../../src/backends/backend.ts";
import { createDryBackend } from "../../src/backends/select.ts";
import { createWasmBackend } from "../../src/backends/wasm/wasm_backend.ts";
import type { WeightDType } from "../../src/base/dtypes.ts";
import { openFolder } from "../../src/checkpoints/folders.ts";
import { memoryFolder } from "../../src/files/memory_folder.ts";
import type { ModelFolder } from "../../src/files/source.ts";
import { disposeComponents, type LoadedComponents } from "../../src/pipeline/components.ts";
import { makeFirstImage } from "../../src/pipeline/first_image.ts";
import { firstImageTrial, loadComponents } from "../../src/pipeline/load_components.ts";
import { VQDiffusionPipeline } from "../../src/pipeline/vq_diffusion_pipeline.ts";
import { makeWebGpu, WITHOUT_WEBGPU } from "../backends/webgpu_adapter.ts";
import { serveFiles } from "../files/file_server.ts";
import { tinyFiles } from "./golden_runs.ts";

const EMBEDDED = new URL("../../weights/", import.meta.url);
const DTYPES: readonly WeightDType[] = ["fp32", "q8"];

/** Calls `use` with components that are declared but not loaded. */
async function withDeclared<T>(
  source: URL | ModelFolder,
  use: (components: LoadedComponents) => Promise<T>,
): Promise<T> {
  await using backend = await createDryBackend();
  const components = await loadComponents(await openFolder(source), backend, { load: false });
  try {
    return await use(components);
  } finally {
    await disposeComponents(components);
  }
}

/** What is said of a model: of all memory, and of the part in use. */
async function said(
  source: URL | ModelFolder,
  dtype: WeightDType,
  device: { device: DeviceType; threads: number },
) {
  await using dry = await createDryBackend(device);
  await withDeclared(source, (components) => makeFirstImage(components, dry, dtype));
  return { held: dry.memoryHeld(), use: dry.memoryUse() };
}

/** What a backend holds after a first image, in however many steps. */
async function held(source: URL | ModelFolder, dtype: WeightDType, backend: Backend, steps = 2) {
  await using pipe = await VQDiffusionPipeline.fromPretrained(source, { backend, dtype });
  await pipe.generate("a red apple", { numInferenceSteps: steps, seed: 1 });
  return { held: backend.memoryHeld(), use: backend.memoryUse() };
}

for (
  const [name, source] of [["tiny", memoryFolder(tinyFiles())], ["embedded", EMBEDDED]] as const
) {
  Deno.test(`makeFirstImage() takes what the ${name} model holds on the CPU`, async () => {
    for (const threads of [1, 2]) {
      for (const dtype of DTYPES) {
        await using backend = await createWasmBackend({ threads });
        const expected = await held(source, dtype, backend);
        assertEquals(await said(source, dtype, { device: "wasm", threads }), expected);
      }
    }
  });

  Deno.test({
    name: `makeFirstImage() takes what the ${name} model holds on a GPU`,
    ignore: WITHOUT_WEBGPU,
    fn: async () => {
      for (const dtype of DTYPES) {
        await using backend = await makeWebGpu();
        const expected = await held(source, dtype, backend, 1);
        assert(expected.held.peakBytes > expected.held.bytes);
        assertEquals(await said(source, dtype, { device: "webgpu", threads: 1 }), expected);
      }
    },
  });

  Deno.test(`firstImageTrial() knows a bound of what the ${name} model takes`, async () => {
    await withDeclared(source, async (components) => {
      for (const threads of [1, 16]) {
        await using dry = await createDryBackend({ threads });
        await makeFirstImage(components, dry, "fp32");
        assert(dry.memoryHeld().peakBytes < firstImageTrial(components).mostBytes);
      }
    });
  });
}

Deno.test("makeFirstImage() takes what a model holds that came over http", async () => {
  await using server = serveFiles(tinyFiles());
  await using backend = await createWasmBackend({ threads: 2 });
  const expected = await held(server.url, "fp32", backend);
  assertEquals(await said(server.url, "fp32", { device: "wasm", threads: 2 }), expected);
});

Deno.test("makeFirstImage() fails where memory ends a page too early", async () => {
  await withDeclared(EMBEDDED, async (components) => {
    const bytesWithin = async (memoryLimit?: number) => {
      await using dry = await createDryBackend({ threads: 1, memoryLimit });
      await makeFirstImage(components, dry, "fp32");
      return dry.memoryHeld().peakBytes;
    };
    const needed = await bytesWithin();
    assertEquals(await bytesWithin(needed), needed);
    await assertRejects(() => bytesWithin(needed - 1), RangeError, "Cannot allocate");
  });
});

Deno.test("VQDiffusionPipeline.fromPretrained() refuses a model whose first image does not fit", async () => {
  const folder = memoryFolder(tinyFiles());
  const needed = (await said(folder, "fp32", { device: "wasm", threads: 1 })).held.peakBytes;
  // The weights alone would fit.
  const limit = needed - 2 ** 16;
  await using backend = await createWasmBackend({ threads: 1 });
  Object.defineProperty(backend, "memoryLimit", { value: limit });
  const load = (dtype: WeightDType) =>
    VQDiffusionPipeline.fromPretrained(folder, { backend, dtype });
  const error = await assertRejects(
    () => load("fp32"),
    RangeError,
    "and a first image take 3.3 MiB",
  );
  assert(error.message.includes(`2.9 MiB with dtype "fp16"`), error.message);
  assertEquals(backend.memoryUse().allocations, 0);
  await using pipe = await load("fp16");
  await pipe.generate("a cat", { numInferenceSteps: 1 });
  assert(backend.memoryHeld().bytes <= limit);
});
