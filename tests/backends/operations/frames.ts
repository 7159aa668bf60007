// Tests of what all operations share: frames, runs, scopes, memory and cancellation.

import { assert, assertEquals, assertInstanceOf, assertRejects, assertThrows } from "@std/assert";
import type { Frame, LinearWeight, Tensor } from "../../../src/backends/backend.ts";
import { testKeep } from "./keep.ts";
import {
  assertClose,
  compare,
  type MakeBackend,
  Random,
  settle,
  sumTolerance,
  Trial,
} from "./trial.ts";

/** Registers the tests. */
export function testFrames(name: string, makeBackend: MakeBackend): void {
  testTensors(name, makeBackend);
  testRuns(name, makeBackend);
  testScopes(name, makeBackend);
  testMemory(name, makeBackend);
  testKeep(name, makeBackend);
}

function testTensors(name: string, makeBackend: MakeBackend): void {
  Deno.test(`${name}: Backend says which device it is`, async () => {
    await using backend = await makeBackend();
    const { type, name: device, reason, threads } = backend.device;
    assert(type === "wasm" || type === "webgpu");
    assert(device.length > 0 && reason.length > 0);
    assert(Number.isSafeInteger(threads) && threads >= 1);
  });

  Deno.test(`${name}: Tensor.data() gives an array of the caller's`, async () => {
    await using backend = await makeBackend();
    using floats = backend.tensor(Float32Array.of(1, -2, 0.5, NaN, Infinity, -0), [2, 3]);
    using ids = backend.tensor(Int32Array.of(7, -1, 2 ** 31 - 1), [3]);
    assertEquals([floats.dtype, [...floats.shape]], ["f32", [2, 3]]);
    assertEquals([ids.dtype, [...ids.shape]], ["i32", [3]]);
    const first = await floats.data();
    assertInstanceOf(first, Float32Array);
    first.fill(9);
    assertEquals(await floats.data(), Float32Array.of(1, -2, 0.5, NaN, Infinity, -0));
    assertEquals(await ids.data(), Int32Array.of(7, -1, 2 ** 31 - 1));
  });

  Deno.test(`${name}: Tensor.write() replaces the elements and copies them at once`, async () => {
    await using backend = await makeBackend();
    using tensor = backend.tensor(Int32Array.of(1, 2, 3), [3]);
    const values = Int32Array.of(4, 5, 6);
    tensor.write(values);
    values.fill(0);
    assertEquals(await tensor.data(), Int32Array.of(4, 5, 6));
    assertThrows(() => tensor.write(Int32Array.of(1, 2)), RangeError);
    assertEquals(await tensor.data(), Int32Array.of(4, 5, 6));
  });

  Deno.test(`${name}: Tensor.data() rejects after dispose()`, async () => {
    await using backend = await makeBackend();
    const tensor = backend.tensor(Float32Array.of(1), [1]);
    tensor.dispose();
    tensor.dispose();
    await assertRejects(async () => await tensor.data(), ReferenceError);
    const frame = backend.frame();
    const empty = frame.empty([2, 2], "f32");
    frame.dispose();
    frame.dispose();
    await assertRejects(async () => await empty.data(), ReferenceError);
    await assertRejects(async () => await frame.run(), Error);
  });
}

function testRuns(name: string, makeBackend: MakeBackend): void {
  Deno.test(`${name}: Frame.run() can be repeated with other inputs`, async () => {
    await using backend = await makeBackend();
    using trial = new Trial(backend);
    const input = trial.frame.empty([5, 3], "f32");
    const doubled = trial.frame.repeat(input, 2);
    for (const value of [1, 2, 3]) {
      input.write(new Float32Array(15).fill(value));
      await trial.frame.run();
      assertEquals(await doubled.data(), new Float32Array(30).fill(value));
    }
  });

  Deno.test(`${name}: Frame.run() does all in the order of submission`, async () => {
    await using backend = await makeBackend();
    using trial = new Trial(backend);
    const input = trial.frame.empty([40, 30], "f32");
    const out = trial.frame.repeat(input, 1);
    const read: Promise<Float32Array>[] = [];
    const runs: Promise<void>[] = [];
    for (const value of [1, 2, 3]) {
      input.write(new Float32Array(1200).fill(value));
      runs.push(trial.frame.run());
      read.push(out.data());
    }
    input.write(new Float32Array(1200));
    assertEquals((await Promise.all(read)).map((data) => data[1199]), [1, 2, 3]);
    await Promise.all(runs);
  });

  Deno.test(`${name}: Frame.run() orders frames that share tensors`, async () => {
    await using backend = await makeBackend();
    using first = backend.frame();
    using second = backend.frame();
    using input = backend.tensor(Float32Array.of(3, 4), [1, 2]);
    const middle = first.normalizeRows(input);
    const out = second.repeat(middle, 2);
    const runs = [first.run(), second.run()];
    assertClose(await out.data(), [0.6, 0.8, 0.6, 0.8], { absolute: 1e-6 }, "both");
    await Promise.all(runs);
  });

  Deno.test(`${name}: Frame.run() adds to a tensor in place, anew in each run`, async () => {
    await using backend = await makeBackend();
    using trial = new Trial(backend);
    const { frame } = trial;
    const weight = { shape: [2, 2], dtype: "f32", data: Float32Array.of(1, 0, 0, 1) } as const;
    const identity = trial.own(backend.linearWeight([weight], []));
    const x = trial.tensor([1, 2], 1, 2);
    const state = frame.repeat(x, 1);
    const same = frame.linear(x, identity, { addTo: state });
    const sum = frame.linear(state, identity, { addTo: frame.repeat(x, 1) });
    await frame.run();
    await frame.run();
    assertEquals(await same.data(), Float32Array.of(2, 4));
    assertEquals(await state.data(), Float32Array.of(2, 4));
    assertEquals(await sum.data(), Float32Array.of(3, 6));
  });

  Deno.test(`${name}: Frame.run() rejects for an aborted signal and stays usable`, async () => {
    await using backend = await makeBackend();
    using trial = new Trial(backend);
    const input = trial.frame.empty([64, 64], "f32");
    const layer = trial.linear([64], 64);
    let x: Tensor = input;
    for (let i = 0; i < 20; i++) x = trial.frame.linear(x, layer, { activation: "quickGelu" });
    input.write(trial.random.floats(64 * 64, 0, 0.1));
    await trial.frame.run();
    const expected = await x.data();

    const reason = new Error("enough");
    const run = (signal: AbortSignal) => trial.frame.run({ signal });
    await assertRejects(() => run(AbortSignal.abort(reason)), Error, "enough");
    await assertRejects(() => run(AbortSignal.abort()), DOMException);
    const controller = new AbortController();
    const running = run(controller.signal);
    controller.abort(reason);
    // The run may have been over already; it may not fail for another reason.
    await running.catch((error) => assertEquals(error, reason));

    await trial.frame.run({ signal: new AbortController().signal });
    assertEquals(await x.data(), expected);
  });
}

function testScopes(name: string, makeBackend: MakeBackend): void {
  Deno.test(`${name}: Frame.scope() reuses memory without harm to results`, async () => {
    await using backend = await makeBackend();
    await compare(
      backend,
      "a residual network",
      (t) => residualNetwork(t, t.frame.repeat(t.floats(2, 17, 24), 1)),
      // Six layers, each of which can double the error of its input.
      { absolute: 2 ** 6 * sumTolerance(48) },
    );
  });

  Deno.test(`${name}: Frame.scope() repeats runs to the same bits`, async () => {
    await using backend = await makeBackend();
    using trial = new Trial(backend);
    const input = trial.frame.empty([2, 17, 24], "f32");
    const out = residualNetwork(trial, trial.frame.repeat(input, 1));
    const values = trial.random.floats(2 * 17 * 24);
    input.write(values);
    await trial.frame.run();
    const expected = await out.data();
    input.write(new Float32Array(values.length));
    await trial.frame.run();
    input.write(values);
    await trial.frame.run();
    assertEquals(await out.data(), expected);
  });

  Deno.test(`${name}: Frame.empty() takes no memory that earlier operations write to`, async () => {
    await using backend = await makeBackend();
    using trial = new Trial(backend);
    const x = trial.floats(8, 8);
    {
      using _scope = trial.frame.scope();
      trial.frame.repeat(x, 1);
    }
    const input = trial.frame.empty([8, 8], "f32");
    const copy = trial.frame.repeat(input, 1);
    const values = new Float32Array(64).fill(7);
    input.write(values);
    await trial.frame.run();
    assertEquals(await copy.data(), values);
  });

  Deno.test(`${name}: Frame.scope() refuses to close before the scopes inside it`, async () => {
    await using backend = await makeBackend();
    using frame = backend.frame();
    const outer = frame.scope();
    const inner = frame.scope();
    assertThrows(() => outer[Symbol.dispose](), TypeError);
    inner[Symbol.dispose]();
    outer[Symbol.dispose]();
    outer[Symbol.dispose]();
  });

  Deno.test(`${name}: Frame.scope() keeps the memory of deep networks small`, async () => {
    await using backend = await makeBackend();
    using trial = new Trial(backend);
    const x = trial.floats(256, 256);
    const { bytes } = backend.memoryUse();
    for (let i = 0; i < 30; i++) {
      using _scope = trial.frame.scope();
      trial.frame.repeat(trial.frame.repeat(x, 1), 1);
    }
    // Two tensors of 256 KiB live at once; double is allowed for rounding sizes up.
    await trial.frame.run();
    assert(backend.memoryUse().bytes - bytes <= 4 * 2 ** 18);
  });
}

/** Six residual layers with nested scopes; changes and returns x, of rows of 24. */
function residualNetwork(t: Trial, x: Tensor): Tensor {
  for (let i = 0; i < 6; i++) {
    using _outer = t.frame.scope();
    const [weight, bias] = [t.floats(24), t.floats(24)];
    const normed = t.frame.layerNorm(x, { weight, bias, eps: 1e-5 });
    {
      using _inner = t.frame.scope();
      const wide = t.frame.linear(normed, t.linear([48], 24), { activation: "silu" });
      t.frame.linear(wide, t.linear([24], 48), { addTo: x });
    }
    const hidden = t.frame.normalizeRows(t.frame.linear(normed, t.linear([24], 24)));
    t.frame.linear(hidden, t.linear([24], 24), { addTo: x });
  }
  return x;
}

function testMemory(name: string, makeBackend: MakeBackend): void {
  Deno.test(`${name}: Backend.memoryUse() returns to where it was`, async () => {
    await using backend = await makeBackend();
    const once = async () => {
      using t = new Trial(backend);
      const out = residualNetwork(t, t.frame.repeat(t.floats(1, 9, 24), 1));
      t.frame.conv2d(t.floats(1, 4, 4, 8), t.conv(5, 8, 3));
      t.own(backend.upload(t.array("f16", 5, 7)));
      t.linear([16, 8], 24, { held: "fp16" });
      t.linear([16, 8], 24, { held: "q8" });
      await t.frame.run();
      await out.data();
      const held = backend.memoryUse();
      assert(held.bytes > 0 && held.allocations > 0);
    };
    // The first time may set up what stays, such as tables of constants.
    await once();
    await settle(backend);
    const before = backend.memoryUse();
    for (let i = 0; i < 3; i++) await once();
    await settle(backend);
    assertEquals(backend.memoryUse(), before);
  });

  Deno.test(`${name}: Frame.dispose() waits for what was submitted`, async () => {
    await using backend = await makeBackend();
    const random = new Random(3);
    const values = random.floats(96 * 96);
    using input = backend.tensor(values, [96, 96]);
    const frame = backend.frame();
    const out = frame.transpose(frame.repeat(asBatch(frame, input), 2));
    const run = frame.run();
    const data = out.data();
    frame.dispose();
    // What is made at once afterwards must not land in memory that is still in use.
    using other = backend.tensor(new Float32Array(4 * 96 * 96).fill(7), [4 * 96 * 96]);
    const expected = Float32Array.from({ length: 2 * 96 * 96 }, (_, i) => {
      const [row, column] = [Math.floor(i / 96) % 96, i % 96];
      return values[column * 96 + row]!;
    });
    assertEquals(await data, expected);
    await run;
    assertEquals((await other.data())[0], 7);
  });

  Deno.test(`${name}: Backend.dispose() waits for what was submitted`, async () => {
    const backend = await makeBackend();
    const tensor = backend.tensor(Float32Array.of(3, 4), [1, 2]);
    const frame = backend.frame();
    const out = frame.normalizeRows(tensor);
    const run = frame.run();
    const data = out.data();
    await backend.dispose();
    assertClose(await data, [0.6, 0.8], { absolute: 1e-6 }, "read before");
    await run;
    await backend.dispose();
  });

  Deno.test(`${name}: LinearWeight says what it holds`, async () => {
    await using backend = await makeBackend();
    using t = new Trial(backend);
    const sizes = (w: LinearWeight) => [w.outFeatures, w.inFeatures, w.dtype];
    assertEquals(sizes(t.linear([5, 6], 7)), [11, 7, "fp32"]);
    assertEquals(sizes(t.linear([5, 6], 7, { stored: "f16" })), [11, 7, "fp16"]);
    assertEquals(sizes(t.linear([5], 7, { stored: "bf16" })), [5, 7, "fp32"]);
    assertEquals(sizes(t.linear([5], 7, { stored: "i8" })), [5, 7, "q8"]);
    assertEquals(sizes(t.linear([5], 7, { stored: "i8", held: "fp16" })), [5, 7, "fp16"]);
    const conv = t.conv(3, 4, 1);
    assertEquals([conv.outChannels, conv.inChannels, conv.kernelSize], [3, 4, 1]);
  });
}

/** (96, 96) as one matrix of a batch, by way of an embedding of all rows. */
function asBatch(frame: Frame, table: Tensor): Tensor {
  const ids = frame.empty([1, 96], "i32");
  ids.write(Int32Array.from({ length: 96 }, (_, i) => i));
  return frame.embedding(ids, table);
}
