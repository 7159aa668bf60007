import { assert, assertEquals, assertRejects } from "@std/assert";
import type { WeightDType } from "../../src/base/dtypes.ts";
import type { Backend } from "../../src/backends/backend.ts";
import { createWasmBackend } from "../../src/backends/wasm/wasm_backend.ts";
import { createDryBackend } from "../../src/backends/select.ts";
import { checkMemory, mostWeightBytes } from "../../src/models/memory_check.ts";
import type { MemoryTrial } from "../../src/models/memory_trial.ts";
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

/** The same model on another backend, its weights not loaded. */
async function reload(model: Model, backend: Backend): Promise<Model> {
  const Class = model.constructor as typeof VQModel;
  const folder = model.checkpoint.description.replace(/[^/]+$/, "");
  return await Class.fromPretrained(folder, { backend, load: false });
}

/** Bytes that a backend holds with copies of models. */
async function heldBy(models: readonly Model[]): Promise<number> {
  await using dry = await createDryBackend({ threads: 1 });
  for (const model of models) await model.dryCopy(dry);
  return dry.memoryHeld().bytes;
}

/** A trial that takes so many bytes, and no more than `mostBytes`. */
function trial(sizes: Readonly<Record<WeightDType, number>>, mostBytes = Infinity): MemoryTrial {
  return {
    what: "its weights",
    mostBytes,
    run: (dry, dtype = "fp32") => {
      const taken = dry.memoryHeld().bytes;
      dry.tensor(new Float32Array(), [(sizes[dtype] - taken) / 4]);
      return Promise.resolve();
    },
  };
}

Deno.test("checkMemory() says what is needed, what is left and what would fit", async () => {
  const sizes = { fp32: 4.5 * GIB, fp16: 2.5 * GIB, q8: 1.25 * GIB };
  await checkMemory("model", device(4 * GIB), "fp16", trial(sizes));
  await checkMemory("model", device(4.5 * GIB), undefined, trial(sizes));
  const refused = async (limit: number, used: number, dtype?: WeightDType) => {
    const check = () => checkMemory("model", device(limit, used), dtype, trial(sizes));
    return (await assertRejects(check, RangeError)).message;
  };
  assertEquals(
    await refused(4 * GIB, GIB, "fp32"),
    `Cannot load model: its weights take 4.50 GiB with dtype "fp32", and of the memory of Wasm ` +
      `3.00 GiB are left; they take 2.50 GiB with dtype "fp16", 1.25 GiB with dtype "q8"`,
  );
  const message = await refused(2 * GIB, GIB);
  assert(message.endsWith(`1.00 GiB are left; even with dtype "q8" they take 1.25 GiB`), message);
  assert(message.includes("take 4.50 GiB as they are stored"), message);
});

Deno.test("checkMemory() tries nothing where memory is plenty, or its limit unknown", async () => {
  const sizes = { fp32: GIB, fp16: GIB, q8: GIB };
  const run = () => Promise.reject(new Error("tried"));
  const { memoryLimit: _, ...unlimited } = device(0);
  await checkMemory("model", device(GIB), "fp32", { ...trial(sizes, GIB), run });
  await checkMemory("model", unlimited as Backend, "fp32", { ...trial(sizes), run });
  await assertRejects(
    () => checkMemory("model", device(GIB, 1), "fp32", { ...trial(sizes, GIB), run }),
    Error,
    "tried",
  );
});

Deno.test("Model.dryCopy() takes what loading takes, and at most what mostWeightBytes() says", async () => {
  const options = { load: false };
  await using stack = new AsyncDisposableStack();
  await using backend = await createWasmBackend({ threads: 1 });
  const models = [
    await Transformer2DModel.fromPretrained(`${WEIGHTS}transformer`, { ...options, backend }),
    await CLIPTextModel.fromPretrained(`${WEIGHTS}text_encoder`, { ...options, backend }),
    await VQModel.fromPretrained(`${WEIGHTS}vqvae`, { ...options, backend }),
  ].map((model) => stack.use(model));
  for (const model of models) {
    for (const dtype of DTYPES) {
      await using real = await createWasmBackend({ threads: 1 });
      await using dry = await createDryBackend({ threads: 1 });
      await using copy = await reload(model, real);
      await copy.load({ dtype });
      const use = real.memoryUse();
      await model.dryCopy(dry, dtype);
      assertEquals(dry.memoryUse(), use);
      assertEquals(dry.memoryHeld(), real.memoryHeld());
      assert(use.bytes <= mostWeightBytes([model]));
      await copy.load({ dtype });
      assertEquals(real.memoryUse(), use);
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
  const declared = (await load(device(0))).map((model) => stack.use(model));
  const sizes = await Promise.all([...declared.map((model) => [model]), declared].map(heldBy));
  const models = (await load(device(Math.max(sizes[0]!, sizes[1]!)))).map((model) =>
    stack.use(model)
  );
  const error = await assertRejects(() => Model.loadAll("both", models), RangeError);
  const mebibytes = sizes[2]! / 2 ** 20;
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
