// The prediction as Microsoft's samplers use it, written to be read: float64 inside, rounded to float32
// when stored.

import type { PredictStartInputs, SharpenInputs } from "../../../src/backends/recording.ts";
import { columnsOf } from "../../../src/base/shapes.ts";
import { type Floats, type Naive, store } from "./arrays.ts";
import { mapRows } from "./rows.ts";
import { guide, truncate } from "./sampling.ts";

/** Clamp, guidance, clamp, truncation: (batch, pixels, classes − 1). */
export function predictStart(
  { logProbs, guidanceScale, ...kept }: PredictStartInputs<Naive>,
  y: Floats,
): void {
  const columns = columnsOf(logProbs);
  let p = clamped(logProbs.values);
  if (guidanceScale !== undefined) p = clamped(guide(p, columns, guidanceScale));
  if (kept.truncationRate !== undefined || kept.topK !== undefined) {
    p = clamped(truncate(p, columns, kept));
  }
  store(y, p);
}

function clamped(values: Float32Array): Float32Array {
  return values.map((value) => Math.max(value, -70));
}

/** The greatest element of each row. */
export function rowMax(x: Floats, y: Floats): void {
  const columns = columnsOf(x);
  store(
    y,
    y.values.map((_, row) => Math.max(...x.values.subarray(row * columns, (row + 1) * columns))),
  );
}

/** log p of each pixel times 1 + weight · purity. */
export function sharpen({ logProbs, best, weight }: SharpenInputs<Naive>, y: Floats): void {
  const [, pixels] = best.shape as [number, number];
  const out = mapRows(logProbs.values, columnsOf(logProbs), (row, pixel) => {
    const first = pixel - pixel % pixels;
    const highest = Math.max(...best.values.subarray(first, first + pixels));
    const purity = Math.exp(best.values[pixel]!) / (Math.exp(highest) + 1e-10);
    return row.map((value) => value * (1 + weight.values[0]! * purity));
  });
  store(y, out);
}
