import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import type { WeightDType } from "../../src/base/dtypes.ts";
import type { Backend } from "../../src/backends/backend.ts";
import { createWasmBackend } from "../../src/backends/wasm/wasm_backend.ts";
import { checkMemory } from "../../src/models/memory_check.ts";
import { CLIPTextModel } from "../../src/models/clip_text_model.ts";
import { Model } from "../../src/models/model.ts";
import { Transformer2DModel } from "../../src/models/transformer_2d.ts";
import { VQModel } from "../../src/models/vq_model.ts";
import { VQDiffusionPipeline } from "../../src/pipeline/vq_diffusion_pipeline.ts";

const WEIGHTS = new URL("../../weights/", import.meta.url);
const DTYPES: readonly (WeightDType | undefined)[] = [undefined, "fp32", "fp16", "q8"];
const GIB = 2 ** 30;

/** A device of which nothing but its memory is asked. */
function device(limit: number, bytes = 0): Backend {
  const info = { type: "wasm", name: "Wasm", reason: "", threads: 1 };
  const stub: Pick<Backend, "device" | "memoryLimit" | "memoryUse"> = {
    device: { ...info, type: "wasm" },
    memoryLimit: limit,
    memoryUse: () => ({ bytes, allocations: 0 }),
  };
  return stub as Backend;
}

Deno.test("checkMemory() says what is needed, what is left and what would fit", () => {
  const sizes: Record<WeightDType, number> = { fp32: 4.5 * GIB, fp16: 2.5 * GIB, q8: 1.25 * GIB };
  const bytesOf = (dtype: WeightDType = "fp32") => sizes[dtype];
  checkMemory("model", device(4 * GIB), "fp16", bytesOf);
  checkMemory("model", device(4.5 * GIB), undefined, bytesOf);
  const refused = (limit: number, used: number, dtype?: WeightDType) =>
    assertThrows(() => checkMemory("model", device(limit, used), dtype, bytesOf), RangeError)
      .message;
  assertEquals(
    refused(4 * GIB, GIB, "fp32"),
    `Cannot load model: its weights take 4.50 GiB with dtype "fp32", and of the memory of Wasm ` +
      `3.00 GiB are left; they take 2.50 GiB with dtype "fp16", 1.25 GiB with dtype "q8"`,
  );
  assert(
    refused(2 * GIB, GIB).endsWith(`1.00 GiB are left; even with dtype "q8" they take 1.25 GiB`),
  );
  assert(refused(2 * GIB, GIB).includes("take 4.50 GiB as they are stored"));
});

Deno.test("Model.memoryBytes() is what loading takes", async () => {
  await using backend = await createWasmBackend({ threads: 1 });
  const loaders = [
    (dtype?: WeightDType) =>
      Transformer2DModel.fromPretrained(WEIGHTS, {
        subfolder: "transformer",
        backend,
        dtype,
        load: false,
      }),
    (dtype?: WeightDType) =>
      CLIPTextModel.fromPretrained(WEIGHTS, {
        subfolder: "text_encoder",
        backend,
        dtype,
        load: false,
      }),
    (dtype?: WeightDType) =>
      VQModel.fromPretrained(WEIGHTS, { subfolder: "vqvae", backend, dtype, load: false }),
  ];
  for (const load of loaders) {
    for (const dtype of DTYPES) {
      await using model = await load(dtype);
      const before = backend.memoryUse().bytes;
      await model.load({ dtype });
      const taken = backend.memoryUse().bytes - before;
      // Blocks are rounded up to cache lines, and columns to panels of 8.
      const ratio = taken / model.memoryBytes(dtype);
      assert(
        ratio > 0.99 && ratio < 1.05,
        `${taken} bytes taken, ${model.memoryBytes(dtype)} reported`,
      );
      await model.load({ dtype });
      assertEquals(backend.memoryUse().bytes - before, taken);
    }
  }
});

Deno.test("Model.loadAll() checks that all models fit together", async () => {
  const load = async (backend: Backend) => [
    await CLIPTextModel.fromPretrained(WEIGHTS, {
      subfolder: "text_encoder",
      backend,
      load: false,
    }),
    await VQModel.fromPretrained(WEIGHTS, { subfolder: "vqvae", backend, load: false }),
  ];
  await using stack = new AsyncDisposableStack();
  const sizes = (await load(device(0))).map((model) => stack.use(model).memoryBytes());
  const models = (await load(device(Math.max(...sizes)))).map((model) => stack.use(model));
  const error = await assertRejects(() => Model.loadAll("both", models), RangeError);
  const mebibytes = (sizes[0]! + sizes[1]!) / 2 ** 20;
  assert(
    error.message.startsWith(`Cannot load both: its weights take ${mebibytes.toFixed(1)} MiB`),
    error.message,
  );
});

Deno.test("VQDiffusionPipeline.fromPretrained() refuses a model that does not fit before loading it", async () => {
  const backend = device(2 ** 20, 2 ** 19);
  const error = await assertRejects(
    () =>
      VQDiffusionPipeline.fromPretrained(WEIGHTS, {
        backend: { ...backend, frame: () => {} } as never,
      }),
    RangeError,
    "of the memory of Wasm 0.5 MiB are left",
  );
  assert(error.message.includes("weights/"), error.message);
});
