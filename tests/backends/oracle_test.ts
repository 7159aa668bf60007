// The oracle itself, on values worked out by hand: the other backends are compared with it.

import { assertEquals } from "@std/assert";
import type { PredictStartOptions } from "../../src/backends/backend.ts";
import { computed, floats, ints } from "./naive/arrays.ts";
import { activated, hold, widen } from "./naive/linear.ts";
import { conv2d } from "./naive/convolution.ts";
import { attention } from "./naive/attention.ts";
import { adaLayerNorm, groupNorm, layerNorm } from "./naive/norms.ts";
import { nearestCode, normalizeRows } from "./naive/rows.ts";
import { guide, posterior, sampleStep, truncate } from "./naive/sampling.ts";
import { assertClose, compare, result } from "./operations/trial.ts";
import { testFrames } from "./operations/frames.ts";
import { testArguments } from "./operations/arguments.ts";
import { createOracle } from "./oracle_backend.ts";

const TOLERANCE = { absolute: 1e-6 };

testFrames("oracle", createOracle);
testArguments("oracle", createOracle);

Deno.test("activated() has the known values of each function", () => {
  assertEquals(activated(-3, "none"), -3);
  // Φ(1) and Φ(−2.5) from tables of the normal distribution.
  assertClose([activated(1, "gelu")], [0.8413447], TOLERANCE, "gelu(1)");
  assertClose([activated(-2.5, "gelu")], [-2.5 * 0.0062097], TOLERANCE, "gelu(−2.5)");
  assertClose([activated(Math.log(3), "silu")], [0.75 * Math.log(3)], TOLERANCE, "silu");
  assertClose([activated(1 / 1.702, "quickGelu")], [0.7310586 / 1.702], TOLERANCE, "quickGelu");
});

Deno.test("widen() reads float16, bfloat16 and scaled int8", () => {
  const shape = [2, 2];
  assertEquals(
    widen({ shape, dtype: "f16", data: Uint16Array.of(0x3c00, 0xc000, 0x3555, 1) }),
    Float32Array.of(1, -2, 0.333251953125, 2 ** -24),
  );
  assertEquals(
    widen({ shape, dtype: "bf16", data: Uint16Array.of(0x3f80, 0xc000, 0x7f7f, 0) }),
    Float32Array.of(1, -2, 3.3895313892515355e38, 0),
  );
  assertEquals(
    widen({
      shape,
      dtype: "i8",
      data: Int8Array.of(1, -2, 3, -127),
      scale: Float32Array.of(0.5, 2),
    }),
    Float32Array.of(0.5, -1, 6, -254),
  );
});

Deno.test("hold() rounds to float16, or to 127ths of the row's largest", () => {
  assertEquals(hold(Float32Array.of(1 / 3), 1, "fp16"), Float32Array.of(0.333251953125));
  const held = hold(Float32Array.of(127, -3.4, 0, 0.2, 0.1, -12.7), 3, "q8");
  assertClose(held, [127, -3, 0, 0.2, 0.1, -12.7], TOLERANCE, "q8");
});

Deno.test("oracle's Frame.linear() joins, activates and adds", async () => {
  const { data, shape } = await result(await createOracle(), (t) => {
    const weight = (...data: number[]) =>
      ({ shape: [data.length / 2, 2], dtype: "f32", data: Float32Array.from(data) }) as const;
    const bias = (...data: number[]) =>
      ({ shape: [data.length], dtype: "f32", data: Float32Array.from(data) }) as const;
    const joined = t.backend.linearWeight([weight(1, 2, 3, 4), weight(5, 6)], [
      bias(0, 1),
      bias(2),
    ]);
    const x = t.tensor([1, 1, -1, 2], 2, 2);
    return t.frame.linear(x, t.own(joined), { addTo: t.tensor([0, 0, 0, 1, 1, 1], 2, 3) });
  });
  assertEquals(shape, [2, 3]);
  assertEquals(data, Float32Array.of(3, 8, 13, 4, 7, 10));
});

Deno.test("attention() averages values by the softmax of scores, causal or not", () => {
  const q = { tensor: floats([1, 1], 2, 1), offset: 0, rows: 2 };
  const k = { tensor: floats([0, 10, Math.log(3), 20], 2, 2), offset: 0, rows: 2 };
  const inputs = { q, k, v: { ...k, offset: 1 }, batch: 1, heads: 1, headDim: 1, scale: 1 };
  const run = (causal: boolean) => computed([2, 1], (y) => attention({ ...inputs, causal }, y));
  assertClose(run(false), [17.5, 17.5], TOLERANCE, "all keys");
  assertClose(run(true), [10, 17.5], TOLERANCE, "causal");
});

Deno.test("conv2d() pads, strides and doubles", () => {
  // A kernel that takes the pixel below and to the right of the middle.
  const weight = Float32Array.of(0, 0, 0, 0, 0, 0, 0, 0, 1);
  const bias = Float32Array.of(0.5);
  const layer = { weight, bias, outChannels: 1, inChannels: 1, kernelSize: 3 };
  const x = floats([1, 2, 3, 4], 1, 2, 2, 1);
  const run = (stride: 1 | 2, upsample: boolean) => {
    const side = stride === 2 ? 1 : upsample ? 4 : 2;
    const options = { stride, upsample, add: false };
    return [...computed([1, side, side, 1], (y) => conv2d(x, layer, y, options))];
  };
  assertEquals(run(1, false), [4.5, 0.5, 0.5, 0.5]);
  assertEquals(run(2, false), [0.5]);
  const rows = [1.5, 2.5, 2.5, 0.5, 3.5, 4.5, 4.5, 0.5, 3.5, 4.5, 4.5, 0.5, 0.5, 0.5, 0.5, 0.5];
  assertEquals(run(1, true), rows);
});

Deno.test("norms have mean 0 and deviation 1 before their parameters", () => {
  const x = floats([1, 3, 5, 9], 2, 2);
  const parameters = { weight: floats([2, 3], 2), bias: floats([10, 20], 2), eps: 0 };
  const normed = computed(x.shape, (y) => layerNorm(x, parameters, y));
  assertClose(normed, [8, 23, 8, 23], TOLERANCE, "layerNorm");
  const table = floats([0, 0, 0, 0, 1, 2, 10, 20], 2, 4);
  const adaptive = { table, timestep: ints([1], 1), eps: 3 };
  const row = floats([1, 3], 1, 2);
  const adapted = computed(row.shape, (y) => adaLayerNorm(row, adaptive, y));
  assertClose(adapted, [9, 21.5], TOLERANCE, "adaLayerNorm");
  const grouped = (values: number[], groups: number, silu: boolean) => {
    const image = floats(values, 1, 2, 1, 2);
    return computed(image.shape, (y) => groupNorm({ x: image, ...parameters, groups, silu }, y));
  };
  assertClose(grouped([1, 3, 5, 9], 2, false), [8, 17, 12, 23], TOLERANCE, "groupNorm");
  const both = grouped([0, 4, 4, 0], 1, true);
  const silu = (y: number) => activated(y, "silu");
  assertClose(both, [silu(8), silu(23), silu(12), silu(17)], TOLERANCE, "with silu");
});

Deno.test("normalizeRows() and nearestCode() measure rows", () => {
  const x = floats([3, 4, 0, -2], 2, 2);
  const normed = computed(x.shape, (y) => normalizeRows(x, y));
  assertClose(normed, [0.6, 0.8, 0, -1], TOLERANCE, "norm");
  const codebook = floats([9, 9, 1, 1, 3, 4, 1, 1], 4, 2);
  const nearest = ints([-1, -1], 2);
  nearestCode(floats([3, 3, 0, 1], 2, 2), codebook, nearest);
  assertEquals([...nearest.values], [2, 1]);
});

Deno.test("guide() extrapolates from the unconditional and normalises", () => {
  const [u, c] = [[0.5, 0.5], [0.25, 0.75]];
  const logs = Float32Array.from([...u, ...c], Math.log);
  // (0.25²/0.5, 0.75²/0.5), normalised.
  const expected = [Math.log(0.1), Math.log(0.9)];
  assertClose(guide(logs, 2, 2), expected, TOLERANCE, "scale 2");
});

Deno.test("truncate() keeps up to the class that reaches the rate", () => {
  const logs = Float32Array.from([0.1, 0.5, 0.15, 0.25], Math.log);
  const kept = (rate: number) =>
    [...truncate(logs, 4, { truncationRate: rate })].map((value) => value > -Infinity);
  assertEquals(kept(0), [false, true, false, false]);
  assertEquals(kept(0.4), [false, true, false, false]);
  assertEquals(kept(0.6), [false, true, false, true]);
  assertEquals(kept(0.86), [false, true, true, true]);
  assertEquals(kept(0.95), [true, true, true, true]);
});

Deno.test("truncate() keeps no more than the best classes, of equals the first", () => {
  const logs = Float32Array.from([0.2, 0.4, 0.2, 0.2], Math.log);
  const kept = (options: PredictStartOptions) =>
    [...truncate(logs, 4, options)].map((value) => value > -Infinity);
  assertEquals(kept({ topK: 1 }), [false, true, false, false]);
  assertEquals(kept({ topK: 3 }), [true, true, true, false]);
  assertEquals(kept({ topK: 9 }), [true, true, true, true]);
  assertEquals(kept({ topK: 3, truncationRate: 0.5 }), [true, true, false, false]);
  assertEquals(kept({ topK: 1, truncationRate: 0.5 }), [false, true, false, false]);
});

// A step of two classes and a mask: kept 0.8, replaced by each 0.05, masked 0.1; the steps before it
// kept 0.6, replaced by each 0.1, masked 0.2.
const STEP = [0.8, 0.05, 0.1];
const BEFORE = [0.6, 0.1, 0.2];
const TOGETHER = [0.48, 0.6 * 0.05 + 0.1 * 0.9, 0.28];
const SCHEDULE = floats(
  [[1, 1, 1, ...BEFORE], [...STEP, ...TOGETHER], [1, 1, 1, 1, 0, 0]].flat().map(Math.log),
  ...[3, 6],
);
const SIZES = { schedule: SCHEDULE, lastRow: 2, batch: 1, pixels: 2, classes: 3 };

Deno.test("posterior() is Bayes' rule for a masked and for a visible token", () => {
  const p = [0.7, 0.3];
  const logProbs = floats([...p, ...p].map(Math.log), 1, 2, 2);
  const inputs = { ...SIZES, logProbs, latents: ints([2, 0], 1, 2), row: ints([1], 1) };
  const out = computed([1, 2, 3], (y) => posterior(inputs, y));
  const [keep, swap, masked] = BEFORE as [number, number, number];
  // Masked: whatever x0 is, it is masked with 0.28 by now, with 0.1 in this step if not before.
  const fromMask = p.map((pk) => (keep * pk + swap) * 0.1 / 0.28).concat(masked / 0.28);
  // Visible 0: p(x0) / q(0 | x0), carried on by q(x1 | x0) and q(0 | x1); never from the mask.
  const r = [0.7 / (0.48 + 0.12), 0.3 / 0.12] as const;
  const total = r[0] + r[1];
  const fromToken = [
    (keep * r[0] + swap * total) * 0.85,
    (keep * r[1] + swap * total) * 0.05,
    1e-30 * masked * total,
  ];
  const expected = [...fromMask, ...fromToken].map(Math.log);
  assertClose(out, expected, { absolute: 2e-5 }, "posterior");
});

Deno.test("sampleStep() skips the posterior at row 0", () => {
  const logProbs = floats([0.6, 0.4, 0.6, 0.4].map(Math.log), 1, 2, 2);
  const step = (noise: number[], row: number) => {
    const latents = ints([2, 2], 1, 2);
    const inputs = { ...SIZES, logProbs, latents, row: ints([row], 1) };
    sampleStep({ ...inputs, noise: floats(noise, 1, 3, 2) });
    return [...latents.values];
  };
  // (classes, pixels): the second pixel has more noise on class 1.
  assertEquals(step([0.5, 0.5, 0.5, 0.9, 0, 0], 0), [0, 1]);
  // From the mask, the mask has probability 0.71; class 0 needs the noise of 0.99 to win.
  assertEquals(step([0.5, 0.99, 0.5, 0.5, 0.5, 0.5], 1), [2, 0]);
});

Deno.test("oracle's operations are those of the naive functions", async () => {
  await using backend = await createOracle();
  await compare(backend, "itself", (t) => t.frame.logSoftmax(t.floats(3, 5)), { absolute: 0 });
});
