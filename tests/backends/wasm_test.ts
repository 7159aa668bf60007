// The Wasm backend in all its forms: with fused multiply-add and without, on one thread, on two, and on
// more than there are processors here.

import { assertEquals, assertRejects } from "@std/assert";
import { createWasmBackend, type WasmBackend } from "../../src/backends/wasm/wasm_backend.ts";
import { testOperations } from "./operations.ts";

testOperations(
  "wasm, relaxed SIMD, 1 thread",
  () => createWasmBackend({ threads: 1, simd: "relaxed-simd" }),
);
testOperations(
  "wasm, plain SIMD, 4 threads",
  () => createWasmBackend({ threads: 4, simd: "simd" }),
);
testOperations(
  "wasm, relaxed SIMD, 2 threads",
  () => createWasmBackend({ threads: 2, simd: "relaxed-simd" }),
);

/** Records 41 transpositions, whose result depends on every one of them. */
function recordChain(backend: WasmBackend) {
  const input = backend.tensor(new Float32Array(64 * 256), [64, 256]);
  const frame = backend.frame();
  let output = frame.reshape(input, [1, 64, 256]);
  for (let i = 0; i < 41; i++) output = frame.transpose(output);
  return { input, frame, output };
}

/** Enough work, a second or more, that an abort falls into it even if its timer is late. */
function recordLongWork(backend: WasmBackend) {
  const frame = backend.frame();
  const x = frame.empty([64, 256], "f32");
  for (let i = 0; i < 20_000; i++) {
    using _scope = frame.scope();
    frame.logSoftmax(x);
  }
  return frame;
}

for (const threads of [2, 4]) {
  Deno.test(`WasmFrame.run() aborted in mid-run leaves the next run alone, ${threads} threads`, async () => {
    await using single = await createWasmBackend({ threads: 1 });
    await using backend = await createWasmBackend({ threads });
    const [expected, actual] = [recordChain(single), recordChain(backend)];
    const long = recordLongWork(backend);
    for (let i = 0; i < 30; i++) {
      const values = Float32Array.from({ length: 64 * 256 }, (_, k) => Math.sin(k * (i + 1)));
      expected.input.write(values);
      await expected.frame.run();
      actual.input.write(values);
      const controller = new AbortController();
      const aborted = assertRejects(() => long.run({ signal: controller.signal }));
      setTimeout(() => controller.abort(), 1);
      await Promise.all([aborted, actual.frame.run()]);
      assertEquals(await actual.output.data(), await expected.output.data());
    }
  });
}

Deno.test("WasmFrame.run() of an empty frame leaves the next run alone", async () => {
  await using single = await createWasmBackend({ threads: 1 });
  await using backend = await createWasmBackend({ threads: 4 });
  const [expected, actual] = [recordChain(single), recordChain(backend)];
  using empty = backend.frame();
  for (let i = 0; i < 30; i++) {
    const values = Float32Array.from({ length: 64 * 256 }, (_, k) => Math.cos(k * (i + 1)));
    expected.input.write(values);
    actual.input.write(values);
    await Promise.all([expected.frame.run(), empty.run(), actual.frame.run()]);
    assertEquals(await actual.output.data(), await expected.output.data());
  }
});

Deno.test("WasmFrame.run() rejects after the backend was disposed of", async () => {
  for (const threads of [1, 2]) {
    const backend = await createWasmBackend({ threads });
    const { frame } = recordChain(backend);
    await backend.dispose();
    await assertRejects(() => frame.run(), ReferenceError, "disposed of");
  }
});
