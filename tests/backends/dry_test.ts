// Backends that only count memory. What they count is compared with real ones in
// tests/pipeline/first_image_test.ts.

import { assert, assertEquals, assertThrows } from "@std/assert";
import type { Backend, DeviceType, HostArray } from "../../src/backends/backend.ts";
import { createDryBackend } from "../../src/backends/select.ts";
import { createWasmBackend } from "../../src/backends/wasm/wasm_backend.ts";

const DEVICES: readonly DeviceType[] = ["wasm", "webgpu"];

/** Arrays of so many elements, and none of them. */
function hollow(shape: readonly number[]): HostArray {
  return { dtype: "f32", shape, data: new Float32Array() };
}

for (const device of DEVICES) {
  Deno.test(`createDryBackend() counts what is taken and given back: ${device}`, async () => {
    await using backend = await createDryBackend({ device });
    assertEquals(backend.device.type, device);
    assertEquals(backend.memoryUse(), { bytes: 0, allocations: 0 });
    const sizes: number[] = [];
    for (const dtype of ["fp32", "fp16", "q8"] as const) {
      using _weight = backend.linearWeight([hollow([64, 128])], [hollow([64])], dtype);
      sizes.push(backend.memoryUse().bytes);
    }
    // Values, biases, and of int8 scales, and on the CPU offsets; blocks are rounded up.
    const least = [4, 2, 1].map((bytes) => 64 * 128 * bytes + 64 * 4);
    sizes.forEach((bytes, i) => assert(bytes >= least[i]! && bytes < least[i]! + 1024, `${bytes}`));
    assertEquals(backend.memoryUse(), { bytes: 0, allocations: 0 });
    using _tensor = backend.upload(hollow([1 << 28]));
    assert(backend.memoryHeld().bytes >= 2 ** 30);
    assertEquals(backend.memoryHeld().peakBytes >= backend.memoryHeld().bytes, true);
  });

  Deno.test(`createDryBackend() makes frames whose results are zeros: ${device}`, async () => {
    await using backend = await createDryBackend({ device });
    using x = backend.tensor(new Float32Array([1, 2]), [1, 2]);
    using frame = backend.frame();
    const y = frame.normalizeRows(x);
    await frame.run();
    assertEquals(await y.data(), new Float32Array(2));
    assertThrows(() => frame.transpose(x), RangeError);
  });
}

Deno.test("createDryBackend() has no more memory than its limit", async () => {
  await using backend = await createDryBackend({ memoryLimit: 2 ** 21 });
  assertEquals(backend.memoryLimit, 2 ** 21);
  assertThrows(() => backend.upload(hollow([2 ** 19])), RangeError, "cannot grow");
  using _ = backend.upload(hollow([2 ** 18]));
  assertEquals(backend.memoryHeld().bytes <= 2 ** 21, true);
});

Deno.test("createDryBackend() counts as many threads as it is told, or a backend has", async () => {
  const held = async (threads: number, like?: Backend) => {
    await using dry = await createDryBackend({ threads, like });
    using x = dry.tensor(new Float32Array(), [1, 64, 64]);
    using frame = dry.frame();
    const columns = { tensor: x, offset: 0 };
    frame.attention(columns, columns, columns, { batch: 1, heads: 1, headDim: 64, scale: 1 });
    await frame.run();
    return dry.memoryHeld().bytes;
  };
  await using like = await createWasmBackend({ threads: 1 });
  assert(await held(64) > await held(1));
  assertEquals(await held(8, like), await held(8));
});
