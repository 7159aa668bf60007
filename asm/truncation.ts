// Truncation of log p(x_0): the most probable classes stay until their sum passes the rate.
//
// Which classes stay depends on how the reference rounds: exp rounded to float32, sums in float64,
// each partial sum rounded to float32 before it is compared with the rate. Partial sums grow, so it is
// enough to sort the one bucket of classes in which they pass the rate.

import { floats } from "./simd";

/** Buckets of log p, 1/16 wide, from 0 down to −70. */
const BUCKETS: i32 = 1121;
/** Clamp that follows the truncation. */
const LOWEST: f32 = -70;

/** Bytes of scratch: sums of the buckets and the classes of one. */
export function truncationScratch(classes: i32): usize {
  return <usize> BUCKETS * 8 + floats(classes);
}

// @ts-ignore: decorator

function bucketOf(logProb: f32): i32 {
  return <i32> min<f32>(max<f32>(logProb * -16, 0), <f32> (BUCKETS - 1));
}

// @ts-ignore: decorator

function probability(logProb: f32): f32 {
  return <f32> Math.exp(<f64> logProb);
}

/** Drops the improbable classes of a row to −70 and clamps the others there, in place. */
export function truncateRow(row: usize, count: i32, rate: f32, scratch: usize): void {
  const sums = scratch, candidates = scratch + <usize> BUCKETS * 8;
  memory.fill(sums, 0, <usize> BUCKETS * 8);
  for (let i = 0; i < count; i++) {
    const logProb = load<f32>(row + floats(i));
    const at = sums + (<usize> bucketOf(logProb) << 3);
    store<f64>(at, load<f64>(at) + <f64> probability(logProb));
  }

  let sum: f64 = 0, bucket = 0;
  for (; bucket < BUCKETS; bucket++) {
    const inBucket = load<f64>(sums + (<usize> bucket << 3));
    if (inBucket > 0 && <f32> (sum + inBucket) >= rate) break;
    sum += inBucket;
  }
  let threshold: f32 = -Infinity, equal = i32.MAX_VALUE;
  if (bucket < BUCKETS) {
    let found = 0;
    for (let i = 0; i < count; i++) {
      const logProb = load<f32>(row + floats(i));
      if (bucketOf(logProb) == bucket) store<f32>(candidates + floats(found++), logProb);
    }
    sortDescending(candidates, found);
    // The first always stays: if it is the very best class, whatever the rate.
    let kept = 0;
    do {
      threshold = load<f32>(candidates + floats(kept));
      equal = kept > 0 && threshold == load<f32>(candidates + floats(kept - 1)) ? equal + 1 : 1;
      sum += <f64> probability(threshold);
      kept++;
    } while (kept < found && <f32> sum < rate);
  }
  for (let i = 0; i < count; i++) {
    const at = row + floats(i), logProb = load<f32>(at);
    const keep = logProb > threshold || (logProb == threshold && equal-- > 0);
    store<f32>(at, keep ? max<f32>(logProb, LOWEST) : LOWEST);
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
