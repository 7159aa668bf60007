// What becomes of a backend, and of a pipeline, when one of its threads ends.

import { assert, assertEquals, assertRejects } from "@std/assert";
import { WorkerFailedError } from "../../src/backends/errors.ts";
import { evaluate } from "../../src/backends/evaluate.ts";
import { createWasmBackend, type WasmBackend } from "../../src/backends/wasm/wasm_backend.ts";
import { VQDiffusionPipeline } from "../../src/pipeline/vq_diffusion_pipeline.ts";
import { folderOf, tinyFiles } from "../pipeline/golden_runs.ts";
import { letNextWorkerDie } from "./dying_worker.ts";
import { watchThreads, withoutNodeThreads } from "./watched_threads.ts";

/** A product that takes some tenths of a second, and its first value. */
async function multiply(backend: WasmBackend, size: number): Promise<number> {
  const values = new Float32Array(size * size).fill(1);
  using weight = backend.linearWeight([{ dtype: "f32", shape: [size, size], data: values }], []);
  using x = backend.tensor(values, [size, size]);
  using y = evaluate(backend, (frame) => {
    let result = frame.linear(x, weight);
    for (let i = 0; i < 3; i++) result = frame.linear(x, weight);
    return frame.keep(result);
  });
  return (await y.data())[0]!;
}

Deno.test("WasmBackend replaces threads that ended between two runs", async () => {
  using threads = watchThreads();
  await using backend = await createWasmBackend({ threads: 3 });
  assertEquals(await multiply(backend, 64), 64);
  await threads.started[1]!.terminate();
  assertEquals(await multiply(backend, 64), 64);
  assertEquals(threads.started.length, 6);
});

Deno.test("WasmBackend gives an error for a run whose threads end while they are started, and goes on", async () => {
  let ended = 0;
  using threads = watchThreads((thread, count) => {
    if (count > 3 && ended++ < 2) thread.terminate();
  });
  await using backend = await createWasmBackend({ threads: 3 });
  assertEquals(await multiply(backend, 64), 64);
  await threads.started[1]!.terminate();
  await assertRejects(() => multiply(backend, 64), WorkerFailedError, "it ended with code");
  assertEquals(await multiply(backend, 64), 64);
});

Deno.test("WasmBackend gives one error for a run whose thread ends, and goes on", async () => {
  using threads = watchThreads();
  await using backend = await createWasmBackend({ threads: 3 });
  for (let round = 0; round < 3; round++) {
    const running = multiply(backend, 1024);
    running.catch(() => {});
    await new Promise((resolve) => setTimeout(resolve, 5));
    await threads.started.at(-1)!.terminate();
    await assertRejects(() => running, Error, "A worker failed: it ended with code");
    assertEquals(await multiply(backend, 64), 64);
  }
  assertEquals(backend.memoryUse(), { bytes: 0, allocations: 0 });
});

Deno.test("WasmBackend gives an error for a run whose Web Worker ends silently, and goes on", async () => {
  using _ = withoutNodeThreads();
  using workers = letNextWorkerDie(2);
  await using backend = await createWasmBackend({ threads: 3 });
  assertEquals(await multiply(backend, 64), 64);
  await assertRejects(() => multiply(backend, 64), WorkerFailedError, "it ended without a word");
  assertEquals(await multiply(backend, 64), 64);
  assertEquals(workers.started(), 6);
  assertEquals(backend.memoryUse(), { bytes: 0, allocations: 0 });
});

Deno.test("WasmBackend leaves threads that may not have ended yet alone with their memory", async () => {
  using threads = watchThreads();
  await using backend = await createWasmBackend({ threads: 2 });
  const size = 256;
  const values = Float32Array.from({ length: size * size }, (_, i) => i % 7);
  using kept = backend.tensor(values, [size, size]);
  using weight = backend.linearWeight(
    [{ dtype: "f32", shape: [size, size], data: values }],
    [],
  );
  const product = async () => {
    using y = evaluate(backend, (frame) => frame.keep(frame.linear(kept, weight)));
    return await y.data();
  };
  const expected = await product();
  for (const whileComputing of [true, false]) {
    const memory = threads.memories.at(-1)!;
    const running = whileComputing ? multiply(backend, 1024) : undefined;
    running?.catch(() => {});
    await threads.started.at(-1)!.terminate();
    if (running) {
      await assertRejects(() => running, WorkerFailedError, "A worker failed");
    } else await product();
    // As late threads might.
    new Uint8Array(memory.buffer).fill(0xff);
    assertEquals(await kept.data(), values);
    assertEquals(await product(), expected);
    assert(threads.memories.at(-1) !== memory);
  }
  assertEquals(threads.started.length, 6);
});

Deno.test("WasmBackend computes no more where there is no memory for other threads", async () => {
  using threads = watchThreads();
  await using backend = await createWasmBackend({ threads: 2 });
  assertEquals(await multiply(backend, 64), 64);
  const { Memory } = WebAssembly;
  try {
    WebAssembly.Memory = class extends Memory {
      constructor(descriptor: WebAssembly.MemoryDescriptor) {
        super(descriptor);
        throw new RangeError("out of memory");
      }
    };
    await threads.started[0]!.terminate();
    const message = "no memory for new workers: RangeError: out of memory";
    await assertRejects(() => multiply(backend, 64), WorkerFailedError, message);
  } finally {
    WebAssembly.Memory = Memory;
  }
  await assertRejects(() => multiply(backend, 64), WorkerFailedError, "no memory for new workers");
  assertEquals(backend.memoryUse(), { bytes: 0, allocations: 0 });
});

Deno.test("VQDiffusionPipeline draws the same picture when threads end while it does", async () => {
  using threads = watchThreads();
  await using backend = await createWasmBackend({ threads: 2 });
  const folder = folderOf(tinyFiles());
  await using pipe = await VQDiffusionPipeline.fromPretrained(folder, { backend });
  const options = { seed: 2, numInferenceSteps: 12, outputType: "tokens" } as const;
  const expected = await pipe.generate("a cat", options);
  const before = backend.memoryUse();
  let ended = 0;
  const callback = (step: number) => {
    if (step % 4 !== 1) return;
    ended++;
    threads.started.at(-1)!.terminate();
  };
  assertEquals(await pipe.generate("a cat", { ...options, callback }), expected);
  assert(ended === 3 && threads.started.length >= 4);
  assertEquals(backend.memoryUse(), before);
});
