import { assertEquals, assertNotEquals } from "@std/assert";
import { Autoregressive, autoregressiveShapes } from "../../bench/autoregressive.ts";
import type { TransformerSize } from "../../bench/random_transformer.ts";
import { randomNumbers, randomWeights } from "../../bench/random_weights.ts";
import { largestDifference } from "../../bench/timing.ts";
import { WasmFrame } from "../../bench/wasm_frame.ts";
import type { Backend } from "../../src/backends/backend.ts";
import { createBackend } from "../../src/backends/select.ts";

const SIZE: TransformerSize = {
  layers: 2,
  heads: 3,
  headDim: 8,
  context: 16,
  contextLength: 5,
  side: 3,
  classes: 12,
};
const BATCH = 2;

/** log p (batch, classes − 1) of the tokens at each position, for given ones before it. */
interface Predictions {
  readonly withCache: Float32Array[];
  readonly withoutCache: Float32Array[];
}

async function predictAll(
  backend: Backend,
  tokensOf: (position: number) => Int32Array,
): Promise<Predictions> {
  await using stack = new AsyncDisposableStack();
  const weights = randomWeights(autoregressiveShapes(SIZE));
  const model = stack.use(await Autoregressive.create(backend, SIZE, weights, "fp32"));
  const values = randomNumbers("context", BATCH * 5 * 16, Math.sqrt(3));
  const contextFrame = stack.use(backend.frame());
  const context = model.recordContext(
    contextFrame,
    stack.use(backend.tensor(values, [BATCH, 5, 16])),
  );
  await contextFrame.run();
  const cache = model.cache(BATCH, stack);
  const predictions: Predictions = { withCache: [], withoutCache: [] };
  for (let position = 0; position < SIZE.side ** 2; position++) {
    const before: Int32Array[] = [new Int32Array(BATCH).fill(model.start)];
    for (let i = 0; i < position; i++) before.push(tokensOf(i));
    const length = before.length;
    const prefix = Int32Array.from({ length: BATCH * length }, (_, i) => {
      return before[i % length]![Math.floor(i / length)]!;
    });
    using frame = backend.frame();
    using tokens = backend.tensor(prefix, [BATCH, length]);
    const logProbs = model.recordPrefix(frame, tokens, context);
    await frame.run();
    predictions.withoutCache.push(await logProbs.data());

    using next = new WasmFrame(backend);
    using token = backend.tensor(before.at(-1)!, [BATCH, 1]);
    const nextLogProbs = model.recordNext(next, token, position, cache, context);
    await next.frame.run();
    predictions.withCache.push(await nextLogProbs.data());
  }
  return predictions;
}

Deno.test("Autoregressive predicts the same with a cache and without", async () => {
  for (const threads of [1, 2]) {
    await using backend = await createBackend({ device: "wasm", threads });
    const tokensOf = (i: number) => Int32Array.of((5 * i + 1) % 11, (7 * i + 3) % 11);
    const { withCache, withoutCache } = await predictAll(backend, tokensOf);
    withCache.forEach((logProbs, position) => {
      assertEquals(logProbs.length, BATCH * (SIZE.classes - 1));
      // Sums of other lengths are added in another order: some units of float32's last place of about 3.
      const difference = largestDifference(logProbs, withoutCache[position]!);
      assertEquals(difference < 1e-5, true, `position ${position}: ${difference}`);
    });
  }
});

Deno.test("Autoregressive sees the tokens before a position, of its own image only", async () => {
  await using backend = await createBackend({ device: "wasm", threads: 1 });
  const changed = await predictAll(backend, (i) => Int32Array.of(i === 2 ? 7 : 1, 4));
  const others = await predictAll(backend, () => Int32Array.of(1, 4));
  const columns = SIZE.classes - 1;
  for (let position = 0; position < SIZE.side ** 2; position++) {
    const [a, b] = [changed, others].map(({ withCache }) => withCache[position]!);
    const first = [a!.slice(0, columns), b!.slice(0, columns)] as const;
    if (position <= 2) assertEquals(first[0], first[1]);
    else assertNotEquals(first[0], first[1]);
    assertEquals(a!.slice(columns), b!.slice(columns));
  }
});
