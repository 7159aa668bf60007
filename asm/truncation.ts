// Truncation of log p(x_0): the most probable classes stay until their sum passes the rate, or a number
// of them.
//
// Which classes stay depends on how the reference rounds: exp rounded to float32, sums in float64,
// each partial sum rounded to float32 before it is compared with the rate. Partial sums grow, so it is
// enough to sort the one bucket of classes in which they pass the rate.

import { exp2F64 } from "./math";
import { floats, splat } from "./simd";

/** Buckets of log p, 1/16 wide, from 0 down to −70. */
const BUCKETS: i32 = 1121;
/** Clamp that follows the truncation. */
export const LOWEST: f32 = -70;

/** Bytes of scratch: sums of the buckets and the classes of one. */
export function truncationScratch(classes: i32): usize {
  return <usize> BUCKETS * 8 + floats(classes);
}

/** Buckets of four log p. */
// @ts-ignore: decorator
@inline
function bucketsOf(logProbs: v128): v128 {
  const scaled = f32x4.mul(logProbs, splat(-16));
  const inside = f32x4.min(f32x4.max(scaled, splat(0)), splat(<f32> (BUCKETS - 1)));
  return i32x4.trunc_sat_f32x4_s(inside);
}

/** Two probabilities as float32 rounds them, from two log p in the low half. */
// @ts-ignore: decorator
@inline
function probabilities(logProbs: v128): v128 {
  return f32x4.demote_f64x2_zero(exp2F64(f64x2.promote_low_f32x4(logProbs)));
}

// @ts-ignore: decorator
@inline
function addTo(sums: usize, bucket: i32, probability: f32): void {
  const at = sums + (<usize> bucket << 3);
  store<f64>(at, load<f64>(at) + <f64> probability);
}

/** Adds the probability of each class to its bucket. */
function fillBuckets(row: usize, count: i32, sums: usize): void {
  memory.fill(sums, 0, <usize> BUCKETS * 8);
  let at = row;
  for (const end = row + floats(count & ~3); at < end; at += 16) {
    const logProbs = v128.load(at), buckets = bucketsOf(logProbs);
    const low = probabilities(logProbs);
    const high = probabilities(v128.load64_zero(at, 8));
    addTo(sums, i32x4.extract_lane(buckets, 0), f32x4.extract_lane(low, 0));
    addTo(sums, i32x4.extract_lane(buckets, 1), f32x4.extract_lane(low, 1));
    addTo(sums, i32x4.extract_lane(buckets, 2), f32x4.extract_lane(high, 0));
    addTo(sums, i32x4.extract_lane(buckets, 3), f32x4.extract_lane(high, 1));
  }
  for (const end = row + floats(count); at < end; at += 4) {
    const logProb = splat(load<f32>(at));
    const probability = f32x4.extract_lane(probabilities(logProb), 0);
    addTo(sums, i32x4.extract_lane(bucketsOf(logProb), 0), probability);
  }
}

/** Collects the log p of one bucket; returns their number. */
function collectBucket(row: usize, count: i32, bucket: i32, candidates: usize): i32 {
  const wanted = i32x4.splat(bucket);
  let found = 0;
  for (let i = 0; i < count; i += 4) {
    // Past the end of the row lies scratch memory of the thread: such lanes are left out.
    const logProbs = v128.load(row + floats(i));
    let mask = i32x4.bitmask(i32x4.eq(bucketsOf(logProbs), wanted));
    for (let lane = i; mask != 0 && lane < count; lane++, mask >>= 1) {
      if (mask & 1) store<f32>(candidates + floats(found++), load<f32>(row + floats(lane)));
    }
  }
  return found;
}

/** Drops the improbable classes of a row to −70 and clamps the others there, in place. */
export function truncateRow(row: usize, count: i32, rate: f32, scratch: usize): void {
  const sums = scratch, candidates = scratch + <usize> BUCKETS * 8;
  fillBuckets(row, count, sums);

  let sum: f64 = 0, bucket = 0;
  for (; bucket < BUCKETS; bucket++) {
    const inBucket = load<f64>(sums + (<usize> bucket << 3));
    if (inBucket > 0 && <f32> (sum + inBucket) >= rate) break;
    sum += inBucket;
  }
  let threshold: f32 = -Infinity, equal = i32.MAX_VALUE;
  if (bucket < BUCKETS) {
    const found = collectBucket(row, count, bucket, candidates);
    sortDescending(candidates, found);
    // The first always stays: if it is the very best class, whatever the rate.
    let kept = 0;
    do {
      threshold = load<f32>(candidates + floats(kept));
      equal = kept > 0 && threshold == load<f32>(candidates + floats(kept - 1)) ? equal + 1 : 1;
      sum += <f64> f32x4.extract_lane(probabilities(splat(threshold)), 0);
      kept++;
    } while (kept < found && <f32> sum < rate);
  }
  dropBelow(row, count, threshold, equal);
}

/** Drops all but the `most` most probable classes of a row, of equals the first, as `truncateRow` does. */
export function keepBest(row: usize, count: i32, most: i32, scratch: usize): void {
  let threshold: f32 = -Infinity, equal = i32.MAX_VALUE;
  if (most < count) {
    const counts = scratch, candidates = scratch + <usize> BUCKETS * 8;
    countBuckets(row, count, counts);
    let before = 0, bucket = 0;
    for (; bucket < BUCKETS - 1; bucket++) {
      const inBucket = load<i32>(counts + floats(bucket));
      if (before + inBucket >= most) break;
      before += inBucket;
    }
    sortDescending(candidates, collectBucket(row, count, bucket, candidates));
    const last = most - before - 1;
    threshold = load<f32>(candidates + floats(last));
    equal = 1;
    while (equal <= last && load<f32>(candidates + floats(last - equal)) == threshold) equal++;
  }
  dropBelow(row, count, threshold, equal);
}

/** Counts the classes of each bucket. */
function countBuckets(row: usize, count: i32, counts: usize): void {
  memory.fill(counts, 0, floats(BUCKETS));
  for (let i = 0; i < count; i++) {
    const bucket = i32x4.extract_lane(bucketsOf(splat(load<f32>(row + floats(i)))), 0);
    const at = counts + floats(bucket);
    store<i32>(at, load<i32>(at) + 1);
  }
}

/** Lowers what is below the threshold, and all but `equal` of what is equal to it, to the lowest. */
function dropBelow(row: usize, count: i32, threshold: f32, equal: i32): void {
  const least = splat(threshold), lowest = splat(LOWEST);
  for (let i = 0; i < count; i += 4) {
    const at = row + floats(i), logProbs = v128.load(at);
    const kept = v128.bitselect(logProbs, lowest, f32x4.ge(logProbs, least));
    v128.store(at, f32x4.max(kept, lowest));
    let ties = i32x4.bitmask(f32x4.eq(logProbs, least));
    for (let lane = i; ties != 0 && lane < count; lane++, ties >>= 1) {
      if (ties & 1 && equal-- <= 0) store<f32>(row + floats(lane), LOWEST);
    }
  }
}

/** Shell sort, by the gaps of Ciura: a bucket holds a few dozen values, rarely all. */
function sortDescending(values: usize, count: i32): void {
  let gap = 1;
  while (gap < count) gap = gap * 9 / 4 + 1;
  for (; gap > 0; gap = gap * 4 / 9) {
    for (let i = gap; i < count; i++) {
      const value = load<f32>(values + floats(i));
      let j = i;
      for (; j >= gap && load<f32>(values + floats(j - gap)) < value; j -= gap) {
        store<f32>(values + floats(j), load<f32>(values + floats(j - gap)));
      }
      store<f32>(values + floats(j), value);
    }
  }
}
