// Tests of Frame.predictStart(), Frame.rowMax() and Frame.sharpen().

import { assertEquals } from "@std/assert";
import type { Tensor } from "../../../src/backends/backend.ts";
import { compare, type MakeBackend, type Refusals, result, ROWS, type Trial } from "./trial.ts";

// Batch, pixels, classes without the mask.
const SHAPES: readonly [number, number, number][] = [
  [1, 1, 1],
  [1, 5, 2],
  [2, 33, 12],
  [3, 7, 64],
  [1, 70, 129],
  [2, 3, 1024],
];

/** Registers the tests. */
export function testPrediction(name: string, makeBackend: MakeBackend): void {
  Deno.test(`${name}: Frame.predictStart() clamps, guides and truncates`, async () => {
    await using backend = await makeBackend();
    for (const [batch, pixels, classes] of SHAPES) {
      for (const guidanceScale of [undefined, 0.5, 5]) {
        for (const truncationRate of [undefined, 0.5, 0.86]) {
          const options = { guidanceScale, truncationRate };
          const images = (guidanceScale === undefined ? 1 : 2) * batch;
          await compare(
            backend,
            `${batch} × ${pixels} of ${classes}, ${guidanceScale}, ${truncationRate}`,
            (t) => t.frame.predictStart(predictions(t, images, pixels, classes), options),
            // Values from −70 to 0, and guided ones of some hundred before they are normalised, where
            // the spacing of float32 is 3e-5.
            { absolute: 1e-4 },
          );
        }
      }
    }
  });

  Deno.test(`${name}: Frame.predictStart() keeps no more than the best classes`, async () => {
    await using backend = await makeBackend();
    for (const [batch, pixels, classes] of SHAPES) {
      for (const topK of [1, 5, 100]) {
        for (const options of [{ topK }, { topK, truncationRate: 0.86 }]) {
          await compare(
            backend,
            `${batch} × ${pixels} of ${classes}, ${JSON.stringify(options)}`,
            (t) => t.frame.predictStart(predictions(t, batch, pixels, classes), options),
            // The log-softmax before it; a class too many or too few would be off by far more.
            { absolute: 1e-4 },
          );
        }
      }
    }
    const equals = [-2, -1, -2, -2];
    const { data } = await result(
      backend,
      (t) => t.frame.predictStart(t.tensor(equals, 1, 1, 4), { topK: 3 }),
    );
    assertEquals([...data], [-2, -1, -2, -70]);
  });

  Deno.test(`${name}: Frame.predictStart() clamps what it guides by first`, async () => {
    await using backend = await makeBackend();
    // Unclamped, the third class would win by far: −90 + 5 · (−60 − −90) = 60.
    const values = [-0.1, -2.4, -90, -0.1, -2.4, -60];
    const { data } = await result(
      backend,
      (t) => t.frame.predictStart(t.tensor(values, 2, 1, 3), { guidanceScale: 5 }),
    );
    assertEquals(data[0]! > -1 && data[2]! < -10, true, `${data}`);
  });

  Deno.test(`${name}: Frame.rowMax() finds the greatest of each row`, async () => {
    await using backend = await makeBackend();
    for (const [rows, columns] of ROWS) {
      const label = `${rows} × ${columns}`;
      const exact = { absolute: 0 };
      await compare(backend, label, (t) => t.frame.rowMax(t.floats(rows, columns)), exact);
      const below = (t: Trial) => t.frame.rowMax(t.floatsIn(-70, -60, 1, rows, columns));
      await compare(backend, label, below, exact);
    }
  });

  Deno.test(`${name}: Frame.sharpen() raises the pixels of an image by their purity`, async () => {
    await using backend = await makeBackend();
    for (const [batch, pixels, classes] of SHAPES) {
      for (const weight of [0, 0.5, 2]) {
        await compare(
          backend,
          `${batch} × ${pixels} of ${classes}, weight ${weight}`,
          (t) => {
            const logProbs = t.floatsIn(-30, 0, batch, pixels, classes);
            const best = t.floatsIn(-9, 0, batch, pixels);
            return t.frame.sharpen(logProbs, best, t.tensor([weight], 1));
          },
          // The error of an exponential and of a few roundings.
          { absolute: 0, relative: 1e-6 },
        );
      }
    }
  });

  Deno.test(`${name}: Frame.sharpen() leaves all as it is at weight 0`, async () => {
    await using backend = await makeBackend();
    const values = [-3, -70, -0.1, -5, -6, -7];
    const { data } = await result(
      backend,
      (t) => t.frame.sharpen(t.tensor(values, 1, 3, 2), t.tensor([0, -1, -2], 1, 3), zero(t)),
    );
    assertEquals(data, Float32Array.from(values));
  });
}

/** Rows of log p of all sharpnesses, some below −70. */
function predictions(t: Trial, batch: number, pixels: number, classes: number): Tensor {
  const logits = t.random.floats(batch * pixels * classes, -4, 4)
    .map((value, i) => value * (1 + 3 * (Math.floor(i / classes) % 5)));
  return t.frame.logSoftmax(t.tensor(logits, batch, pixels, classes));
}

function zero(t: Trial): Tensor {
  return t.tensor([0], 1);
}

/** Calls with arguments that do not fit. */
export const PREDICTION_REFUSALS: Refusals = {
  predictStart: [
    (t, f) => f.predictStart(t.floats(2, 8), {}),
    (t, f) => f.predictStart(t.floats(3, 2, 8), { guidanceScale: 5 }),
    (t, f) => f.predictStart(t.floats(2, 2, 8), { guidanceScale: NaN }),
    (t, f) => f.predictStart(t.floats(2, 2, 8), { truncationRate: Infinity }),
    (t, f) => f.predictStart(t.floats(2, 2, 8), { topK: 0 }),
  ],
  rowMax: [
    (t, f) => f.rowMax(t.floats(8)),
    (t, f) => f.rowMax(t.ids([1, 2], 1, 2) as unknown as Tensor),
  ],
  sharpen: [
    (t, f) => f.sharpen(t.floats(6, 8), t.floats(2, 3), zero(t)),
    (t, f) => f.sharpen(t.floats(2, 3, 8), t.floats(3, 2), zero(t)),
    (t, f) => f.sharpen(t.floats(2, 3, 8), t.floats(2, 3), t.floats(2)),
  ],
};
