// One thread: what else wants to run gets its turn, and the turns leave nothing behind.

import { assert, assertEquals, assertRejects } from "@std/assert";
import { createWasmBackend, type WasmBackend } from "../../src/backends/wasm/wasm_backend.ts";
import type { Tensor } from "../../src/backends/backend.ts";
import { nextTurn } from "../../src/base/event_loop.ts";
import { countTurns } from "../turns.ts";

/** Records work of a second or more. */
function recordLongWork(backend: WasmBackend) {
  const frame = backend.frame();
  const x = frame.empty([64, 256], "f32");
  for (let i = 0; i < 20_000; i++) {
    using _scope = frame.scope();
    frame.logSoftmax(x);
  }
  return frame;
}

Deno.test("WasmFrame.run() on one thread lets timers and the network through, and aborts", async () => {
  await using backend = await createWasmBackend({ threads: 1 });
  using frame = recordLongWork(backend);
  const options = { port: 0, hostname: "127.0.0.1", onListen() {} };
  await using server = Deno.serve(options, () => new Response("here"));
  const controller = new AbortController();
  const running = frame.run({ signal: controller.signal });
  running.catch(() => {});
  await new Promise((resolve) => setTimeout(resolve, 1));
  const answer = await fetch(`http://127.0.0.1:${server.addr.port}/`);
  assertEquals(await answer.text(), "here");
  assertEquals(backend.idle, false);
  controller.abort();
  await assertRejects(() => running, DOMException, "abort");
});

Deno.test("WasmFrame.run() yields also over many runs that are short, and where the clock stands still", async () => {
  const { now } = performance;
  try {
    for (const clock of [now, () => 1]) {
      performance.now = clock;
      await using backend = await createWasmBackend({ threads: 1 });
      using frame = backend.frame();
      frame.logSoftmax(frame.empty([64, 256], "f32"));
      let over = false;
      setTimeout(() => over = true, 0);
      let runs = 0;
      for (; !over && runs < 100_000; runs++) await frame.run();
      assert(over, `${runs} runs`);
    }
  } finally {
    performance.now = now;
  }
});

Deno.test("WasmFrame.run() yields within commands that are long, and computes the same", async () => {
  await using backend = await createWasmBackend({ threads: 1 });
  const [rows, size] = [800, 256];
  const values = Float32Array.from({ length: rows * size }, (_, i) => i % 11 - 5);
  using x = backend.tensor(values, [rows, size]);
  const shape = [size, size];
  const matrix = values.subarray(0, size * size);
  using weight = backend.linearWeight([{ dtype: "f32", shape, data: matrix }], []);
  using frame = backend.frame();
  const y = frame.linear(x, weight);
  // As long as the next one, so that it always leaves a turn to it.
  await countTurns(() => frame.run());
  const expected = await y.data();
  const turns = await countTurns(() => frame.run());
  assertEquals(await y.data(), expected);
  // That one, and one for each chunk of at most 192 rows and 256 columns.
  assertEquals(turns, 1 + 5);
});

Deno.test("WasmFrame.run() yields while it transforms weights, and does so once", async () => {
  await using backend = await createWasmBackend({ threads: 1 });
  const [side, channels, layers] = [8, 64, 5];
  const values = Float32Array.from({ length: channels ** 2 * 9 }, (_, i) => (i % 7 - 3) / 64);
  const bias = { dtype: "f32", shape: [channels], data: new Float32Array(channels) } as const;
  const shape = [channels, channels, 3, 3];
  const weights = Array.from(
    { length: layers },
    () => backend.convWeight({ dtype: "f32", shape, data: values }, bias),
  );
  using x = backend.tensor(values.slice(0, side ** 2 * channels), [1, side, side, channels]);
  using frame = backend.frame();
  const y = weights.reduce<Tensor>((last, weight) => frame.conv2d(last, weight), x);
  const controller = new AbortController();
  await countTurns(async () => {
    const aborted = frame.run({ signal: controller.signal });
    // When the first weight is transformed.
    controller.abort(new Error("enough"));
    await assertRejects(() => aborted, Error, "enough");
  });
  const first = await countTurns(() => frame.run());
  const result = await y.data();
  const second = await countTurns(() => frame.run());
  // One weight was transformed before the abort; one turn more or less is left by the run before.
  assert(first - second >= layers - 2, `${first} and ${second} turns`);
  assertEquals(await y.data(), result);
  assert(result.some((value) => value !== 0));
  for (const weight of weights) weight.dispose();
});

Deno.test("nextTurn() leaves nothing behind", async () => {
  const turns = async (count: number) => {
    for (let i = 0; i < count; i++) await nextTurn();
    return Deno.memoryUsage().rss;
  };
  const before = await turns(1000);
  const after = await turns(4000);
  // A message channel for each turn leaves 12 MB.
  assert(after - before < 5_000_000, `${after - before} bytes`);
});
