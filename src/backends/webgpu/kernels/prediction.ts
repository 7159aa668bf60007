/**
 * The prediction log p(x_0) as Microsoft's samplers use it: clamped and guided, truncated, the greatest
 * of each pixel, and sharpened where it is sure. A workgroup computes one pixel.
 *
 * @module
 */

import { columnsOf, rowsOf } from "../../../base/shapes.ts";
import type { PredictStartInputs, SharpenInputs } from "../../recording.ts";
import { type Kernel, linearWorkgroups, reduction } from "./kernel.ts";
import { PRECISE_EXP } from "./math.ts";
import { forColumns, rowMain, threadsFor } from "./norms.ts";
import { PIXEL_REDUCTIONS, PIXEL_THREADS } from "./posterior.ts";
import { TRUNCATE, truncationBound } from "./truncation.ts";
import type { Recorder } from "../recorder.ts";
import type { FloatTensor } from "../tensor.ts";
import type { WebGpuDevice } from "../types.ts";

const THREADS = PIXEL_THREADS;

/**
 * WGSL that writes l = u + s (c − u), minus its log-sum-exp, into `values`. Needs `largest` and
 * `logSumExp`.
 *
 * @param read Makes the expression of a log p of that of an element of `logProbs`.
 */
export function guideRow(read: (logProb: string) => string): string {
  return `
  let conditional = start + params.rows * params.columns;
  var highest = -1e30;
  ${
    forColumns(
      THREADS,
      `
    let u = ${read("logProbs[start + i]")};
    let l = u + params.guidanceScale * (${read("logProbs[conditional + i]")} - u);
    values[start + i] = l;
    highest = max(highest, l);`,
    )
  }
  highest = largest(thread, highest);
  var sum = vec3u();
  ${forColumns(THREADS, "sum += digits(preciseExp(values[start + i] - highest));")}
  let all = logSumExp(thread, highest, sum);
  ${forColumns(THREADS, "values[start + i] -= all;")}`;
}

const clamped = (logProb: string) => `max(${logProb}, -70.0)`;

interface PredictionVariant {
  readonly guided: boolean;
  readonly truncated: boolean;
}

/** Each thread reads of `values` only what it wrote itself, `cutEquals` of the truncation excepted. */
function predictStartKernel({ guided, truncated }: PredictionVariant): Kernel {
  return {
    name: `predictStart${guided ? " guided" : ""}${truncated ? " truncated" : ""}`,
    inputs: { logProbs: "f32" },
    outputs: { values: "f32" },
    params: {
      rows: "u32",
      columns: "u32",
      guidanceScale: "f32",
      bound0: "u32",
      bound1: "u32",
      bound2: "u32",
      topK: "u32",
    },
    body: () => `
${guided || truncated ? PIXEL_REDUCTIONS : ""}
${truncated ? TRUNCATE : ""}
${rowMain(THREADS)}
  ${guided ? guideRow(clamped) : ""}
  ${
      forColumns(
        THREADS,
        `values[start + i] = ${clamped(guided ? "values[start + i]" : "logProbs[start + i]")};`,
      )
    }
  ${
      truncated
        ? `storageBarrier();
  truncate(thread, start, vec3u(params.bound0, params.bound1, params.bound2));`
        : ""
    }
}`,
  };
}

/** Records the guided and truncated prediction into y (batch, pixels, classes − 1). */
export function predictStart(
  recorder: Recorder,
  { logProbs, guidanceScale, truncationRate, topK }: PredictStartInputs<WebGpuDevice>,
  y: FloatTensor,
): void {
  const [rows, columns] = [rowsOf(y), columnsOf(y)];
  const guided = guidanceScale !== undefined;
  const truncated = truncationRate !== undefined || topK !== undefined;
  const [bound0, bound1, bound2] = truncationBound(truncationRate ?? Infinity);
  recorder.dispatch(
    predictStartKernel({ guided, truncated }),
    { logProbs, values: y },
    {
      rows,
      columns,
      guidanceScale: guidanceScale ?? 1,
      bound0,
      bound1,
      bound2,
      topK: Math.min(topK ?? columns, columns),
    },
    linearWorkgroups(rows),
  );
}

/** Below all floats: shaders may not rely on −∞. */
const LOWEST = "-3.4028234e38";

function rowMaxKernel(threads: number): Kernel {
  return {
    name: `rowMax ${threads}`,
    inputs: { x: "f32" },
    outputs: { y: "f32" },
    params: { rows: "u32", columns: "u32" },
    body: () => `
${reduction("largest", "f32", threads, "max(a, b)")}
${rowMain(threads)}
  var highest = ${LOWEST};
  ${forColumns(threads, "highest = max(highest, x[start + i]);")}
  highest = largest(thread, highest);
  if (thread == 0u) { y[row] = highest; }
}`,
  };
}

/** Records the greatest element of each row of x into y. */
export function rowMax(recorder: Recorder, x: FloatTensor, y: FloatTensor): void {
  const [rows, columns] = [rowsOf(x), columnsOf(x)];
  const kernel = rowMaxKernel(threadsFor(columns));
  recorder.dispatch(kernel, { x, y }, { rows, columns }, linearWorkgroups(rows));
}

function sharpenKernel(threads: number): Kernel {
  return {
    name: `sharpen ${threads}`,
    inputs: { logProbs: "f32", best: "f32", weight: "f32" },
    outputs: { y: "f32" },
    params: { rows: "u32", columns: "u32", pixels: "u32" },
    body: () => `
${PRECISE_EXP}
${reduction("largest", "f32", threads, "max(a, b)")}
${rowMain(threads)}
  let image = row - row % params.pixels;
  var highest = ${LOWEST};
  for (var i = thread; i < params.pixels; i += ${threads}u) {
    highest = max(highest, best[image + i]);
  }
  highest = largest(thread, highest);
  let purity = preciseExp(best[row]) / (preciseExp(highest) + 1e-10);
  let factor = 1.0 + weight[0] * purity;
  ${forColumns(threads, "y[start + i] = logProbs[start + i] * factor;")}
}`,
  };
}

/** Records the sharpened prediction into y (batch, pixels, classes − 1). */
export function sharpen(
  recorder: Recorder,
  { logProbs, best, weight }: SharpenInputs<WebGpuDevice>,
  y: FloatTensor,
): void {
  const [, pixels, columns] = y.shape as [number, number, number];
  const rows = rowsOf(y);
  recorder.dispatch(
    sharpenKernel(threadsFor(Math.max(columns, pixels))),
    { logProbs, best, weight, y },
    { rows, columns, pixels },
    linearWorkgroups(rows),
  );
}
