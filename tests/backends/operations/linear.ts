// Tests of Frame.linear().

import type { WeightDType } from "../../../src/base/dtypes.ts";
import type { Activation, HostArray, Tensor } from "../../../src/backends/backend.ts";
import { compare, type MakeBackend, type Refusals, ROUNDOFF, sumTolerance } from "./trial.ts";

// Rows, inFeatures, outFeatures: 1, primes, and the sizes around tiles and blocks of products.
const SHAPES: readonly [number, number, number][] = [
  [1, 1, 1],
  [2, 3, 5],
  [3, 4, 4],
  [5, 7, 6],
  [7, 11, 13],
  [4, 8, 8],
  [6, 16, 24],
  [9, 17, 15],
  [13, 31, 63],
  [8, 33, 9],
  [1, 64, 129],
  [32, 64, 32],
  [33, 65, 31],
  [63, 63, 65],
  [64, 128, 64],
  [65, 127, 130],
  [12, 353, 17],
  [241, 36, 9],
  [129, 257, 129],
  [77, 88, 704],
];
const ACTIVATIONS: readonly Activation[] = ["none", "quickGelu", "silu", "gelu"];
// Weights as stored and as held; the result of q8 has the error of its quantised factors.
const WEIGHTS: readonly [HostArray["dtype"], WeightDType | undefined][] = [
  ["f32", undefined],
  ["f32", "fp16"],
  ["f16", undefined],
  ["f16", "fp32"],
  ["bf16", undefined],
  ["bf16", "fp16"],
  ["i8", "fp32"],
  ["f32", "q8"],
  ["f16", "q8"],
  ["i8", undefined],
];

/** Registers the tests. */
export function testLinear(name: string, makeBackend: MakeBackend): void {
  Deno.test(`${name}: Frame.linear() multiplies shapes around its tiles`, async () => {
    await using backend = await makeBackend();
    for (const [rows, inFeatures, outFeatures] of SHAPES) {
      await compare(
        backend,
        `${rows} × ${inFeatures} → ${outFeatures}`,
        (t) => t.frame.linear(t.floats(rows, inFeatures), t.linear([outFeatures], inFeatures)),
        { absolute: sumTolerance(inFeatures) },
      );
    }
  });

  Deno.test(`${name}: Frame.linear() combines biases, activations and addTo`, async () => {
    await using backend = await makeBackend();
    for (const activation of ACTIVATIONS) {
      for (const add of activation === "none" ? [false, true] : [false]) {
        for (const [outs, bias] of BIASES) {
          const total = outs.reduce((a, b) => a + b, 0);
          await compare(
            backend,
            `${activation}, addTo ${add}, ${outs} joined, bias ${bias}`,
            (t) => {
              const x = t.floats(2, 7, 21);
              const addTo = t.floats(14, total);
              const weight = t.linear(outs, 21, { bias });
              return t.frame.linear(x, weight, { activation, ...(add && { addTo }) });
            },
            // The slope of an activation is at most 1.13.
            { absolute: 2 * sumTolerance(21) },
          );
        }
      }
    }
  });

  Deno.test(`${name}: Frame.linear() saturates activations of large numbers`, async () => {
    await using backend = await makeBackend();
    for (const activation of ACTIVATIONS) {
      await compare(
        backend,
        activation,
        (t) => {
          const x = t.tensor([0, -0, 1e-30, 5, -5, 20, -20, 90, -90, 1e3, -1e3, 1e9, -1e9], 13, 1);
          const weight = { shape: [1, 1], dtype: "f32", data: Float32Array.of(1) } as const;
          return t.frame.linear(x, t.own(t.backend.linearWeight([weight], [])), { activation });
        },
        // Below −5 a GELU by way of 1 + erf keeps only the absolute accuracy of erf times |x|.
        { absolute: 20 * ROUNDOFF, relative: 16 * ROUNDOFF },
      );
    }
  });

  Deno.test(`${name}: Frame.linear() takes weights as checkpoints store them`, async () => {
    await using backend = await makeBackend();
    for (const [stored, held] of WEIGHTS) {
      for (const [rows, inFeatures, outs] of STORED_SHAPES) {
        const isQ8 = held === "q8" || (stored === "i8" && held === undefined);
        await compare(
          backend,
          `${stored} held as ${held}, ${rows} × ${inFeatures} → ${outs}`,
          (t) => {
            const weight = t.linear(outs, inFeatures, { stored, ...(held && { held }) });
            return t.frame.linear(t.floats(rows, inFeatures), weight);
          },
          { absolute: isQ8 ? q8Tolerance(inFeatures) : sumTolerance(inFeatures) },
        );
      }
    }
  });

  Deno.test(`${name}: Frame.linear() takes kernels of 1×1 convolutions and tiny float16`, async () => {
    await using backend = await makeBackend();
    await compare(
      backend,
      "f16 with denormals and the largest",
      (t) => {
        const data = Uint16Array.of(0x0001, 0x83ff, 0x0400, 0x7bff, 0x8000, 0x3c01, 0x0200, 0xfbff);
        const weight = { shape: [8, 1, 1, 1], dtype: "f16", data } as const;
        return t.frame.linear(t.tensor([1, 3], 2, 1), t.own(t.backend.linearWeight([weight], [])));
      },
      { absolute: 0, relative: 2 * ROUNDOFF },
    );
  });
}

const BIASES: readonly [readonly number[], boolean][] = [
  [[9], false],
  [[9], true],
  [[5, 8, 3], false],
  [[5, 8, 3], true],
  [[16, 16], true],
];

const STORED_SHAPES: readonly [number, number, readonly number[]][] = [
  [1, 1, [1]],
  [3, 32, [8]],
  [7, 37, [13, 6]],
  [17, 130, [33]],
];

/**
 * Six standard deviations of the error that rounding numbers in −1…1 brings to a sum of products:
 * activations to 7 bits (steps of 1/63, the coarsest in use) and weights to 8 (steps of 1/127) in
 * another grouping than the oracle's. A step s has the error s/√12 times 0.58, the other factor's rms.
 */
function q8Tolerance(terms: number): number {
  return 6 * Math.sqrt(terms) * 0.58 / Math.sqrt(12) * Math.hypot(1 / 63, 1 / 127);
}

/** Calls with arguments that do not fit. */
export const LINEAR_REFUSALS: Refusals = {
  linear: [
    (t, f) => f.linear(t.floats(3, 5), t.linear([2], 4)),
    (t, f) => f.linear(t.ids([1, 2], 1, 2) as unknown as Tensor, t.linear([2], 2)),
    (t, f) => f.linear(t.floats(3, 4), t.linear([2], 4), { addTo: t.floats(3, 3) }),
    (t, f) => f.linear(t.floats(3, 4), t.linear([2], 4), { addTo: t.floats(2, 2) }),
    (t, f) => {
      const options = { addTo: t.floats(3, 2), activation: "silu" } as const;
      return f.linear(t.floats(3, 4), t.linear([2], 4), options);
    },
    (t, f) => {
      const x = t.floats(3, 4);
      return f.linear(x, t.linear([4], 4), { addTo: x });
    },
    (t, f) => {
      const x = t.floats(3, 4);
      return f.linear(x, t.linear([4], 4), { addTo: f.reshape(x, [12]) });
    },
  ],
};
