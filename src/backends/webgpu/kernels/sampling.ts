/**
 * The posterior, and the denoising step in one kernel: guidance, truncation, posterior, Gumbel noise
 * and argmax. A workgroup computes one pixel.
 *
 * Truncation keeps the most probable classes up to the one whose partial sum reaches the rate. Instead
 * of sorting, the least probable class to keep is found digit by digit: four times, the classes that
 * begin with the digits found so far are counted and summed by their next eight bits, and the lowest
 * bin is taken that the partial sum of all above it does not exclude. Sums are integers, so that they
 * are exact in any order.
 *
 * @module
 */

import type { PosteriorInputs, SampleStepInputs } from "../../recording.ts";
import { type Kernel, linearWorkgroups, reduction } from "./kernel.ts";
import { forColumns, rowMain } from "./norms.ts";
import { LOWEST, PIXEL_THREADS, POSTERIOR } from "./posterior.ts";
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

/** A bin of the histogram for each thread. */
const BINS = THREADS;

/**
 * `truncate(thread, start, bound)` replaces improbable classes of `values` by −70 and raises the
 * others to it.
 */
const TRUNCATE = `
// Larger for larger floats.
fn keyOf(x: f32) -> u32 {
  let bits = bitcast<u32>(x);
  return select(bits | 0x80000000u, ~bits, bits >= 0x80000000u);
}
fn ofKey(key: u32) -> f32 {
  return bitcast<f32>(select(~key, key & 0x7fffffffu, key >= 0x80000000u));
}
fn less(a: vec3u, b: vec3u) -> bool {
  if (a.x != b.x) { return a.x < b.x; }
  if (a.y != b.y) { return a.y < b.y; }
  return a.z < b.z;
}
// Whether the rate leaves room for a class when classes of this sum and number are more probable.
fn hasRoom(before: vec4u, bound: vec3u) -> bool {
  return before.w == 0u || less(carried(before.xyz), bound);
}
var<workgroup> binCounts: array<atomic<u32>, ${BINS}>;
var<workgroup> binDigits: array<atomic<u32>, ${3 * BINS}>;
var<workgroup> lowestBin: atomic<u32>;
// Sum and number of the classes before the bin taken last, and the number of those in it.
var<workgroup> binBefore: vec4u;
var<workgroup> binMembers: u32;
// Of classes as probable as the least one kept, the first that is not.
var<workgroup> firstLeftOut: u32;

fn addToBin(bin: u32, probability: f32) {
  let d = digits(probability);
  atomicAdd(&binCounts[bin], 1u);
  atomicAdd(&binDigits[3u * bin], d.x);
  atomicAdd(&binDigits[3u * bin + 1u], d.y);
  atomicAdd(&binDigits[3u * bin + 2u], d.z);
}
// Sums and counts of the bins above that of this thread; its own are given.
fn sumAbove(thread: u32, own: vec4u) -> vec4u {
  total_values[thread] = own;
  workgroupBarrier();
  for (var span = 1u; span < ${BINS}u; span <<= 1u) {
    var sum = total_values[thread];
    if (thread + span < ${BINS}u) { sum += total_values[thread + span]; }
    workgroupBarrier();
    total_values[thread] = sum;
    workgroupBarrier();
  }
  return total_values[thread] - own;
}
// Index of the first of some equals that the rate leaves no room for.
fn cutEquals(start: u32, key: u32, before: vec4u, members: u32, bound: vec3u) -> u32 {
  let step = vec4u(digits(preciseExp(ofKey(key))), 1u);
  var sum = before + step;
  var kept = 1u;
  while (kept < members && hasRoom(sum, bound)) {
    sum += step;
    kept++;
  }
  if (kept == members) { return params.columns; }
  var seen = 0u;
  for (var i = 0u; i < params.columns; i++) {
    if (keyOf(values[start + i]) == key) {
      if (seen == kept) { return i; }
      seen++;
    }
  }
  return params.columns;
}
fn truncate(thread: u32, start: u32, bound: vec3u) {
  var prefix = 0u;
  var before = vec4u();
  for (var digit = 0u; digit < 4u; digit++) {
    let shift = 24u - 8u * digit;
    atomicStore(&binCounts[thread], 0u);
    atomicStore(&binDigits[3u * thread], 0u);
    atomicStore(&binDigits[3u * thread + 1u], 0u);
    atomicStore(&binDigits[3u * thread + 2u], 0u);
    if (thread == 0u) { atomicStore(&lowestBin, ${BINS - 1}u); }
    workgroupBarrier();
    ${
  forColumns(
    THREADS,
    `
      let bits = keyOf(values[start + i]) >> shift;
      if ((bits >> 8u) == prefix) { addToBin(bits & 255u, preciseExp(values[start + i])); }`,
  )
}
    workgroupBarrier();
    let own = vec4u(
      atomicLoad(&binDigits[3u * thread]),
      atomicLoad(&binDigits[3u * thread + 1u]),
      atomicLoad(&binDigits[3u * thread + 2u]),
      atomicLoad(&binCounts[thread]),
    );
    let above = before + sumAbove(thread, own);
    if (own.w > 0u && hasRoom(above, bound)) { atomicMin(&lowestBin, thread); }
    workgroupBarrier();
    let bin = atomicLoad(&lowestBin);
    if (thread == bin) {
      binBefore = above;
      binMembers = own.w;
    }
    workgroupBarrier();
    before = binBefore;
    prefix = (prefix << 8u) | bin;
  }
  if (thread == 0u) { firstLeftOut = cutEquals(start, prefix, before, binMembers, bound); }
  workgroupBarrier();
  let end = firstLeftOut;
  ${
  forColumns(
    THREADS,
    `
    let key = keyOf(values[start + i]);
    let keeps = key > prefix || (key == prefix && i < end);
    values[start + i] = select(-70.0, max(values[start + i], -70.0), keeps);`,
  )
}
}`;

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
  ${guided ? GUIDE : changed ? forColumns(THREADS, "values[start + i] = logProbs[start + i];") : ""}
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

/** l = u + s (c − u), minus its log-sum-exp. */
const GUIDE = `
  let conditional = start + params.rows * params.columns;
  var highest = -1e30;
  ${
  forColumns(
    THREADS,
    `
    let u = logProbs[start + i];
    let l = u + params.guidanceScale * (logProbs[conditional + i] - u);
    values[start + i] = l;
    highest = max(highest, l);`,
  )
}
  highest = largest(thread, highest);
  var sum = vec3u();
  ${forColumns(THREADS, "sum += digits(preciseExp(values[start + i] - highest));")}
  let all = logSumExp(thread, highest, sum);
  ${forColumns(THREADS, "values[start + i] -= all;")}`;

/**
 * The rate as an exact bound: a partial sum, rounded to float32, is below `rate` if and only if its
 * units of 2⁻⁴² are below the bound. As three digits of 14 bits, the first unbounded.
 */
export function truncationBound(rate: number): readonly [number, number, number] {
  // No sum of probabilities comes near the upper limit.
  const rounded = Math.fround(Math.min(rate, 2048));
  if (rounded <= 0) return [0, 0, 0];
  const word = new Uint32Array(Float32Array.of(rounded).buffer);
  const isOdd = word[0]! % 2 === 1;
  word[0]!--;
  const below = new Float32Array(word.buffer)[0]!;
  // What lies half-way is rounded to the even one of both.
  const middle = (below + rounded) / 2 * 2 ** 42;
  const units = isOdd ? Math.floor(middle) + 1 : Math.ceil(middle);
  return [Math.floor(units / 2 ** 28), Math.floor(units / 2 ** 14) % 2 ** 14, units % 2 ** 14];
}

/** Records a denoising step of `latents`. */
export function sampleStep(
  recorder: Recorder,
  inputs: SampleStepInputs<WebGpuDevice>,
): void {
  const { logProbs, latents, schedule, row, noise } = inputs;
  const { guidanceScale, truncationRate, pixels, classes, lastRow } = inputs;
  const rows = latents.size;
  const columns = classes - 1;
  const [guided, truncated] = [guidanceScale !== undefined, truncationRate !== undefined];
  const [bound0, bound1, bound2] = truncationBound(truncationRate ?? 1);
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
    },
    linearWorkgroups(rows),
  );
}
