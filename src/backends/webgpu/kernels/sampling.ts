/**
 * The posterior, and the denoising step in one kernel: guidance, truncation, posterior, Gumbel noise
 * and argmax. A workgroup computes one pixel.
 *
 * @module
 */

import type { PosteriorInputs, SampleStepInputs } from "../../recording.ts";
import { type Kernel, linearWorkgroups, reduction } from "./kernel.ts";
import { forColumns, rowMain } from "./norms.ts";
import { LOWEST, PIXEL_THREADS, POSTERIOR } from "./posterior.ts";
import { guideRow } from "./prediction.ts";
import { TRUNCATE, truncationBound } from "./truncation.ts";
import type { Recorder } from "../recorder.ts";
import type { FloatTensor } from "../tensor.ts";
import type { WebGpuDevice } from "../types.ts";

const THREADS = PIXEL_THREADS;

/** log p(x_0) (rows, columns) → `y` (rows, columns + 1), as bits: −∞ would not survive arithmetic. */
const POSTERIOR_KERNEL: Kernel = {
  name: "posterior",
  inputs: { logProbs: "f32", latents: "i32", schedule: "f32", scheduleRow: "i32" },
  outputs: { y: "u32" },
  params: { rows: "u32", columns: "u32", lastRow: "i32" },
  body: () => `
${POSTERIOR}
fn bits(value: f32) -> u32 {
  return select(bitcast<u32>(value), 0xff800000u, value < -1e29);
}
${rowMain(THREADS)}
  let s = transitionOf(u32(latents[row]));
  var highest = ${LOWEST};
  ${forColumns(THREADS, "highest = max(highest, fromX0(s, i, logProbs[start + i]));")}
  highest = largest(thread, highest);
  var sum = vec3u();
  ${
    forColumns(
      THREADS,
      "sum += digits(preciseExp(fromX0(s, i, logProbs[start + i]) - highest));",
    )
  }
  let all = logSumExp(thread, highest, sum);
  ${
    forColumns(
      THREADS,
      "y[start + row + i] = bits(previous(s, i, fromX0(s, i, logProbs[start + i]), all));",
    )
  }
  if (thread == 0u) { y[start + row + params.columns] = bits(previousMask(s, all)); }
}`,
};

/** Records the posterior into y (batch, pixels, classes). */
export function posterior(
  recorder: Recorder,
  inputs: PosteriorInputs<WebGpuDevice>,
  y: FloatTensor,
): void {
  const { logProbs, latents, schedule, row, classes, lastRow } = inputs;
  const rows = latents.size;
  recorder.dispatch(
    POSTERIOR_KERNEL,
    { logProbs, latents, schedule, scheduleRow: row, y },
    { rows, columns: classes - 1, lastRow },
    linearWorkgroups(rows),
  );
}

interface StepVariant {
  readonly guided: boolean;
  readonly truncated: boolean;
}

/**
 * One step. `values` is scratch memory of (rows, columns), wherever log p(x_0) has to be changed
 * first; each thread reads there only what it wrote itself, `cutEquals` excepted.
 */
function sampleStepKernel({ guided, truncated }: StepVariant): Kernel {
  const changed = guided || truncated;
  return {
    name: `sampleStep${guided ? " guided" : ""}${truncated ? " truncated" : ""}`,
    inputs: { logProbs: "f32", noise: "f32", schedule: "f32", scheduleRow: "i32" },
    outputs: { latents: "i32", ...(changed && { values: "f32" }) },
    params: {
      rows: "u32",
      columns: "u32",
      pixels: "u32",
      lastRow: "i32",
      guidanceScale: "f32",
      bound0: "u32",
      bound1: "u32",
      bound2: "u32",
      topK: "u32",
    },
    body: () => `
${POSTERIOR}
struct Candidate { score: f32, class_id: u32 }
fn better(a: Candidate, b: Candidate) -> Candidate {
  let second = b.score > a.score || (b.score == a.score && b.class_id < a.class_id);
  if (second) { return b; }
  return a;
}
${reduction("best", "Candidate", THREADS, "better(a, b)")}
fn gumbel(uniform: f32) -> f32 {
  return -preciseLog(1e-30 - preciseLog(uniform + 1e-30));
}
${truncated ? TRUNCATE : ""}
${rowMain(THREADS)}
  let image = row / params.pixels;
  let pixel = row % params.pixels;
  ${
      guided
        ? guideRow((logProb) => logProb)
        : changed
        ? forColumns(THREADS, "values[start + i] = logProbs[start + i];")
        : ""
    }
  ${
      truncated
        ? `storageBarrier();
  truncate(thread, start, vec3u(params.bound0, params.bound1, params.bound2));`
        : ""
    }
  var candidate = Candidate(-3e38, params.columns);
  if (scheduleRow[0] > 0) {
    let s = transitionOf(u32(latents[row]));
    let noiseStart = image * (params.columns + 1u) * params.pixels + pixel;
    var highest = -1e30;
    ${forColumns(THREADS, `highest = max(highest, fromX0(s, i, ${value(changed)}));`)}
    highest = largest(thread, highest);
    var sum = vec3u();
    ${
      forColumns(
        THREADS,
        `sum += digits(preciseExp(fromX0(s, i, ${value(changed)}) - highest));`,
      )
    }
    let all = logSumExp(thread, highest, sum);
    ${
      forColumns(
        THREADS,
        `
      let score = previous(s, i, fromX0(s, i, ${value(changed)}), all) +
        gumbel(noise[noiseStart + i * params.pixels]);
      candidate = better(candidate, Candidate(score, i));`,
      )
    }
    if (thread == 0u) {
      let score = previousMask(s, all) + gumbel(noise[noiseStart + params.columns * params.pixels]);
      candidate = better(candidate, Candidate(score, params.columns));
    }
  } else {
    let noiseStart = image * params.columns * params.pixels + pixel;
    ${
      forColumns(
        THREADS,
        `
      let score = max(${value(changed)}, -1e30) + gumbel(noise[noiseStart + i * params.pixels]);
      candidate = better(candidate, Candidate(score, i));`,
      )
    }
  }
  candidate = best(thread, candidate);
  if (thread == 0u) { latents[row] = i32(candidate.class_id); }
}`,
  };
}

const value = (changed: boolean) => changed ? "values[start + i]" : "logProbs[start + i]";

/** Records a denoising step of `latents`. */
export function sampleStep(
  recorder: Recorder,
  inputs: SampleStepInputs<WebGpuDevice>,
): void {
  const { logProbs, latents, schedule, row, noise } = inputs;
  const { guidanceScale, truncationRate, topK, pixels, classes, lastRow } = inputs;
  const rows = latents.size;
  const columns = classes - 1;
  const guided = guidanceScale !== undefined;
  const truncated = truncationRate !== undefined || topK !== undefined;
  const [bound0, bound1, bound2] = truncationBound(truncationRate ?? Infinity);
  using _scope = recorder.scope();
  const values = guided || truncated ? recorder.result([rows, columns]) : undefined;
  recorder.dispatch(
    sampleStepKernel({ guided, truncated }),
    { logProbs, noise, schedule, scheduleRow: row, latents, values },
    {
      rows,
      columns,
      pixels,
      lastRow,
      guidanceScale: guidanceScale ?? 1,
      bound0,
      bound1,
      bound2,
      topK: Math.min(topK ?? columns, columns),
    },
    linearWorkgroups(rows),
  );
}
