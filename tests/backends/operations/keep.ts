// Tests of Frame.keep(): tensors that outlive their frame.

import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import type { Backend, Frame, Tensor } from "../../../src/backends/backend.ts";
import { type MakeBackend, settle, Trial } from "./trial.ts";

/** Registers the tests. */
export function testKeep(name: string, makeBackend: MakeBackend): void {
  testContents(name, makeBackend);
  testMemory(name, makeBackend);
  testFailures(name, makeBackend);
}

function testContents(name: string, makeBackend: MakeBackend): void {
  Deno.test(`${name}: Frame.keep() gives tensors that are read after the frame is gone`, async () => {
    await using backend = await makeBackend();
    using x = backend.tensor(Float32Array.of(1, 2, 3, 4, 5, 6), [1, 2, 3]);
    using ids = backend.tensor(Int32Array.of(7, -1, 2 ** 31 - 1, 0x7fc00001), [2, 2]);
    using codes = backend.tensor(Float32Array.of(9, 9, 9, 4, 5, 6), [2, 3]);
    const identity = { shape: [2, 2], dtype: "f32", data: Float32Array.of(1, 0, 0, 1) } as const;
    using weight = backend.linearWeight([identity], []);
    const record = (frame: Frame) => {
      const turned = frame.transpose(x);
      const sums = frame.repeat(turned, 1);
      frame.linear(turned, weight, { addTo: sums });
      return {
        result: frame.keep(turned),
        view: frame.keep(frame.reshape(turned, [2, 3])),
        inPlace: frame.keep(sums),
        indices: frame.keep(frame.nearestCode(x, codes)),
        floats: frame.keep(x),
        ids: frame.keep(ids),
      };
    };
    const kept = keptOf(backend, record);
    // What is made at once afterwards must not land in memory of theirs.
    using other = backend.tensor(new Float32Array(64).fill(7), [64]);
    const expected: Record<keyof typeof kept, [number[], number[]]> = {
      result: [[1, 3, 2], [1, 4, 2, 5, 3, 6]],
      view: [[2, 3], [1, 4, 2, 5, 3, 6]],
      inPlace: [[1, 3, 2], [2, 8, 4, 10, 6, 12]],
      indices: [[1, 2], [1, 1]],
      floats: [[1, 2, 3], [1, 2, 3, 4, 5, 6]],
      ids: [[2, 2], [7, -1, 2 ** 31 - 1, 0x7fc00001]],
    };
    for (const [key, [shape, values]] of Object.entries(expected)) {
      using tensor: Tensor | Tensor<"i32"> = kept[key as keyof typeof kept];
      assertEquals([...tensor.shape], shape, key);
      assertEquals(Array.from<number>(await tensor.data()), values, key);
    }
    assertEquals((await other.data())[63], 7);
  });

  Deno.test(`${name}: Frame.keep() gives tensors for write() and for other frames`, async () => {
    await using backend = await makeBackend();
    using x = backend.tensor(Float32Array.of(3, 4), [1, 2]);
    using kept = keptOf(backend, (frame) => frame.keep(frame.normalizeRows(x)));
    using twice = keptOf(backend, (frame) => frame.keep(frame.repeat(kept, 2)));
    kept.write(Float32Array.of(5, 6));
    using written = keptOf(backend, (frame) => frame.keep(frame.repeat(kept, 1)));
    assertEquals(await written.data(), Float32Array.of(5, 6));
    assertEquals(await kept.data(), Float32Array.of(5, 6));
    const values = await twice.data();
    assertEquals(values.subarray(0, 2), values.subarray(2));
    assert(Math.abs(values[0]! - 0.6) < 1e-6);
  });

  Deno.test(`${name}: Frame.keep() gives tensors that every run of the frame fills anew`, async () => {
    await using backend = await makeBackend();
    using frame = backend.frame();
    const input = frame.empty([3, 2], "f32");
    const kept = frame.keep(frame.repeat(input, 1));
    for (const value of [1, 2]) {
      input.write(new Float32Array(6).fill(value));
      await frame.run();
      assertEquals(await kept.data(), new Float32Array(6).fill(value));
    }
    // The frame still writes to its memory, so that nothing else may lie there.
    kept.dispose();
    using other = backend.tensor(new Float32Array(6).fill(7), [3, 2]);
    await frame.run();
    assertEquals(await other.data(), new Float32Array(6).fill(7));
    await assertRejects(async () => await kept.data(), ReferenceError, "disposed of");
  });

  Deno.test(`${name}: Frame.keep() gives tensors that outlive their scope`, async () => {
    await using backend = await makeBackend();
    using trial = new Trial(backend);
    const { frame } = trial;
    const scope = frame.scope();
    const kept = trial.own(frame.keep(frame.repeat(trial.tensor([1, 2], 2), 1)));
    scope[Symbol.dispose]();
    frame.repeat(trial.tensor([3, 4], 2), 1);
    await frame.run();
    assertEquals(await kept.data(), Float32Array.of(1, 2));
  });
}

function testMemory(name: string, makeBackend: MakeBackend): void {
  Deno.test(`${name}: Frame.keep() gives tensors that hold their own bytes only`, async () => {
    await using backend = await makeBackend();
    using x = backend.tensor(new Float32Array(256 * 256), [1, 256, 256]);
    // The first time may set up what stays, such as tables of constants.
    keptOf(backend, (frame) => frame.keep(x)).dispose();
    await settle(backend);
    const before = backend.memoryUse();
    const kept = keptOf(backend, (frame) => {
      {
        using _scope = frame.scope();
        frame.transpose(x);
      }
      // Takes the large block that the scope gave back.
      return frame.keep(frame.reshape(frame.transpose(x), [256, 256]));
    });
    await kept.data();
    await settle(backend);
    const held = backend.memoryUse();
    assertEquals(held.allocations, before.allocations + 1);
    // A little may be added to align it.
    const bytes = held.bytes - before.bytes;
    assert(bytes >= 2 ** 18 && bytes <= 2 ** 18 + 256, `${bytes} bytes`);
    kept.dispose();
    kept.dispose();
    await settle(backend);
    assertEquals(backend.memoryUse(), before);
  });

  Deno.test(`${name}: Frame.dispose() without a run disposes of what was to be kept`, async () => {
    await using backend = await makeBackend();
    using x = backend.tensor(Float32Array.of(1, 2), [2]);
    await settle(backend);
    const before = backend.memoryUse();
    const frame = backend.frame();
    const early = frame.keep(x);
    await frame.run();
    const late = frame.keep(x);
    frame.dispose();
    await assertRejects(async () => await late.data(), ReferenceError);
    assertEquals(await early.data(), Float32Array.of(1, 2));
    early.dispose();
    await settle(backend);
    assertEquals(backend.memoryUse(), before);
  });
}

function testFailures(name: string, makeBackend: MakeBackend): void {
  Deno.test(`${name}: Tensor.data() of what is kept rejects if the run was aborted`, async () => {
    await using backend = await makeBackend();
    using x = backend.tensor(Float32Array.of(1, 2), [2]);
    await settle(backend);
    const before = backend.memoryUse();
    const frame = backend.frame();
    const results = [frame.keep(x), frame.repeat(x, 1)];
    const reason = new Error("enough");
    const run = frame.run({ signal: AbortSignal.abort(reason) });
    const read = results.map((tensor) => tensor.data());
    for (const promise of [run, ...read]) {
      await assertRejects(async () => await promise, Error, "enough");
    }
    await frame.run();
    for (const tensor of results) assertEquals(await tensor.data(), Float32Array.of(1, 2));
    await assertRejects(() => frame.run({ signal: AbortSignal.abort(reason) }), Error, "enough");
    frame.dispose();
    await assertRejects(async () => await results[0]!.data(), Error, "enough");
    results[0]!.dispose();
    await settle(backend);
    assertEquals(backend.memoryUse(), before);
  });

  Deno.test(`${name}: Frame.keep() refuses what was disposed of and what is not its own`, async () => {
    await using backend = await makeBackend();
    using frame = backend.frame();
    const gone = backend.tensor(Float32Array.of(1), [1]);
    gone.dispose();
    assertThrows(() => frame.keep(gone), ReferenceError, "keep");
    const foreign = { shape: [1], dtype: "f32" } as unknown as Tensor;
    assertThrows(() => frame.keep(foreign), TypeError, "keep");
    assertThrows(() => frame.keep(undefined as unknown as Tensor), TypeError, "keep");
    frame.dispose();
    assertThrows(
      () => frame.keep(gone),
      ReferenceError,
      "Cannot use the frame: it was disposed of",
    );
  });
}

/** Records, submits, and disposes of the frame at once. */
function keptOf<T extends Tensor | Tensor<"i32"> | Record<string, Tensor | Tensor<"i32">>>(
  backend: Backend,
  record: (frame: Frame) => T,
): T {
  using frame = backend.frame();
  const kept = record(frame);
  frame.run();
  return kept;
}
