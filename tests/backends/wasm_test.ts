// The Wasm backend in all its forms: with fused multiply-add and without, on one thread, on two, and on
// more than there are processors here.

import { assertEquals, assertRejects } from "@std/assert";
import type { HostArray } from "../../src/backends/backend.ts";
import { compileKernels, KernelHost } from "../../src/backends/wasm/kernels.ts";
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

function numbers(count: number): Float32Array<ArrayBuffer> {
  return Float32Array.from({ length: count }, (_, i) => Math.sin(7 * i));
}

function hostArray(...shape: number[]): HostArray {
  return { dtype: "f32", shape, data: numbers(shape.reduce((a, b) => a * b)) };
}

/** What a frame with all kinds of sums computes: a convolution, a group norm, an attention. */
async function sums(backend: WasmBackend, portable: boolean): Promise<Float32Array> {
  using conv = backend.convWeight(hostArray(64, 64, 3, 3), hostArray(64));
  using projection = backend.linearWeight([hostArray(64, 64)], [hostArray(64)]);
  const [weight, bias] = [backend.upload(hostArray(64)), backend.upload(hostArray(64))];
  using frame = backend.frame({ portable });
  const x = frame.empty([2, 9, 7, 64], "f32");
  x.write(numbers(2 * 9 * 7 * 64));
  const options = { weight, bias, groups: 8, eps: 1e-6, silu: true };
  const y = frame.groupNorm(frame.conv2d(x, conv), options);
  const tensor = frame.linear(frame.reshape(y, [2 * 63, 64]), projection);
  const columns = { tensor, offset: 0 };
  const heads = { batch: 2, heads: 2, headDim: 32, scale: 0.2 };
  const result = frame.attention(columns, columns, columns, heads);
  await frame.run();
  return await result.data();
}

Deno.test("WasmBackend.frame() that is portable has the same bits with fused multiply-add and without", async () => {
  await using plain = await createWasmBackend({ simd: "simd", threads: 1 });
  const expected = await sums(plain, false);
  for (const simd of ["relaxed-simd", "simd"] as const) {
    for (const threads of [1, 2]) {
      await using backend = await createWasmBackend({ simd, threads });
      assertEquals(await sums(backend, true), expected);
      // Between two of these the other kind computes as ever.
      await sums(backend, false);
      assertEquals(await sums(backend, true), expected);
    }
  }
});

Deno.test("WasmBackend.frame() that is portable computes with int8 weights as the backend does", async () => {
  await using backend = await createWasmBackend({ threads: 1 });
  using weight = backend.linearWeight([hostArray(64, 64)], [], "q8");
  const run = async (portable: boolean) => {
    using frame = backend.frame({ portable });
    const x = frame.empty([64, 64], "f32");
    x.write(numbers(64 * 64));
    const y = frame.linear(x, weight);
    await frame.run();
    return await y.data();
  };
  assertEquals(await run(true), await run(false));
});

Deno.test("the two variants of the kernels have the same data in the memory that they share", async () => {
  const [relaxed, plain] = await Promise.all(
    (["relaxed-simd", "simd"] as const).map(async (simd) => {
      const { memory, kernels } = await KernelHost.create((await compileKernels(simd)).module);
      return new Uint8Array(memory.memory.buffer).slice(0, kernels.HEAP_BASE.value);
    }),
  );
  assertEquals(relaxed, plain);
});

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
