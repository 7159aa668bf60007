/**
 * Truncation of log p(x_0), as WGSL that the kernels of sampling and prediction share.
 *
 * It keeps the most probable classes up to the one whose partial sum reaches the rate, but no more than
 * a number of them. Instead of
 * sorting, the least probable class to keep is found digit by digit: four times, the classes that
 * begin with the digits found so far are counted and summed by their next eight bits, and the lowest
 * bin is taken that the partial sum of all above it does not exclude. Sums are integers, so that they
 * are exact in any order.
 *
 * @module
 */

import { forColumns } from "./norms.ts";
import { PIXEL_THREADS } from "./posterior.ts";

const THREADS = PIXEL_THREADS;

/** A bin of the histogram for each thread. */
const BINS = THREADS;

/**
 * `truncate(thread, start, bound)` replaces improbable classes of `values` by −70 and raises the
 * others to it. Needs `PIXEL_REDUCTIONS` of posterior.ts and the parameters `columns` and `topK`.
 */
export const TRUNCATE = `
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
// Whether there is room for a class when classes of this sum and number are more probable.
fn hasRoom(before: vec4u, bound: vec3u) -> bool {
  return before.w == 0u || (before.w < params.topK && less(carried(before.xyz), bound));
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
// Index of the first of some equals that there is no room for.
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
