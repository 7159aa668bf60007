/**
 * The posterior of the diffusion, log q(x_{t−1} | x_t, x_0) summed over p(x_0), as WGSL that its own
 * kernel and the sampling step share. A workgroup computes one pixel.
 *
 * @module
 */

import { SCHEDULE_COLUMNS } from "../../backend.ts";
import { reduction } from "./kernel.ts";
import { EXACT_SUM, PRECISE_EXP, PRECISE_LOG } from "./math.ts";

/** Threads of a pixel. */
export const PIXEL_THREADS = 256;

/** Anything below stands for −∞, which shaders may not rely on. */
export const LOWEST = "-1e30";

/** log 1e-30: what the reference has in place of log 0 in a one-hot vector. */
export const LOG_ZERO = "-69.07755279";

/**
 * Reductions over the threads of a pixel, `largest` (f32), `total` (vec4u) and
 * `logSumExp(thread, maximum, sum)`, and the arithmetic that they need.
 */
export const PIXEL_REDUCTIONS = `
${PRECISE_EXP}${PRECISE_LOG}${EXACT_SUM}
${reduction("largest", "f32", PIXEL_THREADS, "max(a, b)")}
${reduction("total", "vec4u", PIXEL_THREADS, "a + b")}
fn logSumExp(thread: u32, maximum: f32, sum: vec3u) -> f32 {
  return maximum + logOfSum(total(thread, vec4u(sum, 0u)).xyz);
}`;

/**
 * WGSL that needs bindings `schedule`, `scheduleRow` and parameters `columns` (classes − 1) and
 * `lastRow` (T, the schedule's last row):
 *
 * - `transitionOf(token)`: what the transition probabilities are, given x_t, at the row that all images
 *   have; `transitionAt(token, image)` at that of an image
 * - `fromX0(s, k, value)`: log p(x_0 = k) − log q(x_t | x_0 = k)
 * - `previous(s, k, q, total)`: log q(x_{t−1} = k | x_t), from it and its log-sum-exp
 * - `previousMask(s, total)`: the same for the mask
 * - what {@linkcode PIXEL_REDUCTIONS} has
 */
export const POSTERIOR = `
${PIXEL_REDUCTIONS}
fn logAddExp(a: f32, b: f32) -> f32 {
  return max(a, b) + preciseLog(1.0 + preciseExp(-abs(a - b)));
}
${
  SCHEDULE_COLUMNS.map((name, i) => `
fn ${name}(t: i32) -> f32 {
  return max(schedule[u32(t) * ${SCHEDULE_COLUMNS.length}u + ${i}u], ${LOWEST});
}`).join("")
}
struct Transition {
  token: u32,
  // log q(x_t | x_{t−1} = k) and log q(x_t | x_0 = k), for k = x_t and for others.
  same: f32,
  other: f32,
  cumulativeSame: f32,
  cumulativeOther: f32,
  // log of the cumulative probabilities at t − 1: to keep, to replace, to mask.
  keep: f32,
  replace: f32,
  mask: f32,
}
fn transitionOf(token: u32) -> Transition { return transitionAt(token, 0u); }
fn transitionAt(token: u32, image: u32) -> Transition {
  let t = clamp(scheduleRow[image], 0, params.lastRow - 1);
  let before = select(t - 1, params.lastRow, t == 0);
  var s: Transition;
  s.token = token;
  s.keep = logCumprodAt(before);
  s.replace = logCumprodBt(before);
  if (token == params.columns) {
    s.same = logCt(t);
    s.other = s.same;
    s.cumulativeSame = logCumprodCt(t);
    s.cumulativeOther = s.cumulativeSame;
    s.mask = logCumprodCt(before);
  } else {
    s.same = logAddExp(logAt(t), logBt(t));
    s.other = logAddExp(${LOG_ZERO} + logAt(t), logBt(t));
    s.cumulativeSame = logAddExp(logCumprodAt(t), logCumprodBt(t));
    s.cumulativeOther = logAddExp(${LOG_ZERO} + logCumprodAt(t), logCumprodBt(t));
    s.mask = logCumprodCt(before) + ${LOG_ZERO};
  }
  return s;
}
fn fromX0(s: Transition, k: u32, value: f32) -> f32 {
  return max(value, ${LOWEST}) - select(s.cumulativeOther, s.cumulativeSame, k == s.token);
}
fn previous(s: Transition, k: u32, q: f32, total: f32) -> f32 {
  return logAddExp(q - total + s.keep, s.replace) +
    select(s.other, s.same, k == s.token) + total;
}
fn previousMask(s: Transition, total: f32) -> f32 {
  return s.mask + total;
}`;
