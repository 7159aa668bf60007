// Sums of exponentials over a row, which the softmax of rows and the posterior are made of.

import { exp4 } from "./math";
import { floats, maxLanes, splat, sumLanesF64 } from "./simd";

/** Largest of `count` floats. */
export function maxOf(x: usize, count: i32): f32 {
  let highest = splat(-Infinity), i: usize = 0;
  for (const end = floats(count & ~3); i < end; i += 16) {
    highest = f32x4.max(highest, v128.load(x + i));
  }
  let result = maxLanes(highest);
  for (; i < floats(count); i += 4) result = max(result, load<f32>(x + i));
  return result;
}

/** log Σ exp x */
export function logSumExp(x: usize, count: i32): f32 {
  const highest = maxOf(x, count), top = splat(highest);
  let sum = splat(0), i: usize = 0;
  for (const end = floats(count & ~3); i < end; i += 16) {
    sum = f32x4.add(sum, exp4(f32x4.sub(v128.load(x + i), top)));
  }
  let total = sumLanesF64(sum);
  for (; i < floats(count); i += 4) {
    total += <f64> f32x4.extract_lane(exp4(splat(load<f32>(x + i) - highest)), 0);
  }
  return highest + <f32> Math.log(total);
}
