// Tests of Frame.diffusionLoss() and diffusionLossGradient().

import type { Tensor } from "../../../src/backends/backend.ts";
import type { DiffusionLossTargets } from "../../../src/backends/backend.ts";
import { compare, type MakeBackend, type Refusals, type Trial } from "./trial.ts";

/** Images, pixels, classes. */
const SHAPES: readonly [number, number, number][] = [[1, 1, 3], [2, 3, 4], [3, 5, 18], [1, 4, 67]];

/** log α, β, γ and their cumulative products of ten steps like those of a trained model, and of none. */
function schedule(classes: number): Float32Array {
  const rows = Array.from({ length: 11 }, (_, t) => {
    const keep = (t: number) => t < 0 ? 1 : 0.99999 + (9e-6 - 0.99999) * t / 9;
    const mask = (t: number) => t < 0 ? 0 : 9e-6 + (0.99999 - 9e-6) * t / 9;
    if (t === 10) return [0, -70, -70, 0, Math.log(1e-30), Math.log(1e-30)];
    const a = keep(t) / keep(t - 1);
    const c = 1 - (1 - mask(t)) / (1 - mask(t - 1));
    const b = (1 - a - c) / (classes - 1);
    const cumulative = (1 - keep(t) - mask(t)) / (classes - 1);
    return [a, b, c, keep(t), cumulative, mask(t)].map(Math.log);
  });
  return Float32Array.from(rows.flat());
}

/** Predictions that are sharp or flat, of images of which half the pixels are masked. */
function inputs(t: Trial, [batch, pixels, classes]: readonly [number, number, number], size = 5) {
  const codes = classes - 1;
  const logProbs = t.frame.logSoftmax(t.floatsIn(-size, size, batch, pixels, codes));
  const x0 = t.random.ints(batch * pixels, codes);
  const xt = x0.map((code, i) => i % 2 ? codes : i % 3 ? code : (code + 1) % codes);
  const options: DiffusionLossTargets = {
    x0: t.ids(x0, batch, pixels),
    xt: t.ids(xt, batch, pixels),
    schedule: t.tensor(schedule(classes), 11, 6),
    row: t.ids([0, 1, 9].slice(0, batch), batch),
  };
  return { logProbs, options };
}

/** Registers the tests. */
export function testLoss(name: string, makeBackend: MakeBackend): void {
  Deno.test(`${name}: Frame.diffusionLoss() compares the posterior with the true one`, async () => {
    await using backend = await makeBackend();
    for (const shape of SHAPES) {
      for (const size of [0.1, 5, 40]) {
        await compare(
          backend,
          `${shape}, logits up to ${size}`,
          (t) => {
            const { logProbs, options } = inputs(t, shape, size);
            return t.frame.diffusionLoss(logProbs, options);
          },
          // Differences of logarithms down to −70, each to some ulp.
          { absolute: 5e-5 },
        );
      }
    }
  });

  Deno.test(`${name}: Frame.diffusionLossGradient() is the slope of the terms`, async () => {
    await using backend = await makeBackend();
    for (const shape of SHAPES) {
      for (const size of [0.1, 4]) {
        await compare(
          backend,
          `${shape}, logits up to ${size}`,
          (t) => {
            const { logProbs, options } = inputs(t, shape, size);
            const dy = t.floats(shape[0], shape[1], 3);
            return t.frame.diffusionLossGradient(logProbs, dy, options);
          },
          // Slopes are up to 2, made of exponentials of such differences.
          { absolute: 1e-4 },
        );
      }
    }
  });
}

/** Calls with arguments that do not fit. */
export const LOSS_REFUSALS: Refusals = {
  diffusionLoss: [
    (t, f) => f.diffusionLoss(t.floats(2, 3, 4), inputs(t, [2, 4, 5]).options),
    (t, f) => f.diffusionLoss(...withRow(t, t.ids([1], 1))),
    (t, f) => {
      const { logProbs, options } = inputs(t, [2, 3, 5]);
      return f.diffusionLoss(logProbs, { ...options, schedule: t.floats(3, 5) });
    },
  ],
  diffusionLossGradient: [
    (t, f) => {
      const { logProbs, options } = inputs(t, [2, 3, 5]);
      return f.diffusionLossGradient(logProbs, t.floats(2, 3), options);
    },
  ],
};

function withRow(t: Trial, row: Tensor<"i32">): [Tensor, DiffusionLossTargets] {
  const { logProbs, options } = inputs(t, [2, 3, 5]);
  return [logProbs, { ...options, row }];
}
