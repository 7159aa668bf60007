// The terms of the diffusion loss for each pixel (Gu et al., arXiv 2111.14822, equations 9 and 12), and
// their gradient by the prediction.

import { exp4, logAddExp4 } from "./math";
import { LOG_ZERO, logAddExp, scheduleRow } from "./sampling";
import { floats, fma, splat, sumLanesF64 } from "./simd";
import { logSumExp } from "./softmax";
import { claim, Control } from "./threads";

// logProbs is (batch, pixels, classes − 1), x0 and xt are (batch, pixels) int32, schedule is (lastRow + 1,
// 6), row is (batch) int32, out is (batch, pixels, 3)
@unmanaged
export class DiffusionLossCommand {
  opcode: i32;
  logProbs: usize;
  x0: usize;
  xt: usize;
  schedule: usize;
  /** For each image, the row of the schedule that the step goes from. */
  row: usize;
  out: usize;
  batch: i32;
  pixels: i32;
  classes: i32;
  lastRow: i32;
}

// As DiffusionLossCommand; dy is (batch, pixels, 3), out is (batch, pixels, classes − 1)
@unmanaged
export class DiffusionLossGradientCommand {
  opcode: i32;
  logProbs: usize;
  x0: usize;
  xt: usize;
  schedule: usize;
  /** For each image, the row of the schedule that the step goes from. */
  row: usize;
  /** Gradient of the terms. */
  dy: usize;
  out: usize;
  batch: i32;
  pixels: i32;
  classes: i32;
  lastRow: i32;
}

/** The lowest logarithm of a probability, as in the original. */
const LOWEST: f32 = -70;

/** A pixel while its terms are computed; rows of classes follow it in scratch memory. */
@unmanaged
class Pixel {
  x0: i32;
  /** log of the cumulative probabilities before the step: to keep a token, to replace it by another. */
  keep: f32;
  replace: f32;
  /** log Σ of p(x_0) / q(x_t | x_0). */
  total: f32;
  /** log q(x_{t−1} = mask | x_t, x_0), and what the prediction makes of it. */
  trueMask: f32;
  modelMask: f32;
}

/** Rows of a pixel, each with room for a vector that passes its end. */
const enum Row {
  /** log p(x_0). */
  logProbs,
  /** log p(x_0) / q(x_t | x_0), normalised. */
  quotient,
  /** log q(x_t | x_{t−1}); then the gradient of the quotient, but for the part through its sum. */
  single,
  /** log q(x_{t−1} | x_t, x_0). */
  truth,
  /** Its exponential; then the gradient of the prediction of it, negative. */
  weight,
}

function scratchBytes(classes: i32): usize {
  return offsetof<Pixel>() + 5 * floats((classes + 6) & ~3);
}

/** Bytes of scratch: a pixel and its rows. */
export function diffusionLossScratch(command: DiffusionLossCommand): usize {
  return scratchBytes(command.classes);
}

/** Bytes of scratch: a pixel and its rows. */
export function diffusionLossGradientScratch(command: DiffusionLossGradientCommand): usize {
  return scratchBytes(command.classes);
}

// @ts-ignore: decorator
@inline
function rowOf(pixel: Pixel, row: Row, count: i32): usize {
  return changetype<usize>(pixel) + offsetof<Pixel>() + <usize> row * floats((count + 7) & ~3);
}

/** KL, NLL and −log p(x_0) of each pixel. `diffusionLoss` of tests/backends/naive/loss.ts. */
export function diffusionLoss(
  command: DiffusionLossCommand,
  control: Control,
  scratch: usize,
): void {
  const pixels = command.batch * command.pixels, count = command.classes - 1;
  const pixel = changetype<Pixel>(scratch);
  for (let i = claim(control); i < pixels; i = claim(control)) {
    const x0 = load<i32>(command.x0 + floats(i)), xt = load<i32>(command.xt + floats(i));
    const row = load<i32>(command.row + floats(i / command.pixels));
    const logProbs = command.logProbs + <usize> i * floats(count);
    prepare(pixel, logProbs, x0, xt, count, row, command.schedule, command.lastRow);
    storeTerms(pixel, count, command.out + 3 * floats(i));
  }
}

/** Its gradient by log p(x_0). `diffusionLossGradient` of tests/backends/naive/loss.ts. */
export function diffusionLossGradient(
  command: DiffusionLossGradientCommand,
  control: Control,
  scratch: usize,
): void {
  const pixels = command.batch * command.pixels, count = command.classes - 1;
  const pixel = changetype<Pixel>(scratch);
  for (let i = claim(control); i < pixels; i = claim(control)) {
    const x0 = load<i32>(command.x0 + floats(i)), xt = load<i32>(command.xt + floats(i));
    const row = load<i32>(command.row + floats(i / command.pixels));
    const bytes = floats(count);
    const logProbs = command.logProbs + <usize> i * bytes;
    prepare(pixel, logProbs, x0, xt, count, row, command.schedule, command.lastRow);
    const gradient = gradientRow(pixel, count, command.dy + 3 * floats(i));
    memory.copy(command.out + <usize> i * bytes, gradient, bytes);
  }
}

/** Fills the pixel and its rows; ids outside are taken as the nearest inside. */
function prepare(
  pixel: Pixel,
  logProbs: usize,
  x0: i32,
  xt: i32,
  count: i32,
  row: i32,
  schedule: usize,
  lastRow: i32,
): void {
  const now = scheduleRow(schedule, max(row, 0), lastRow);
  const before = scheduleRow(schedule, max(row, 0) - 1, lastRow);
  x0 = min(max(x0, 0), count - 1), xt = min(max(xt, 0), count);
  const masked = xt == count;
  // log q(x_t | x_0) and log q(x_t | x_{t−1}), for x_t itself and for all others.
  const cumulative = masked
    ? now.logCumprodCt
    : logAddExp(LOG_ZERO + now.logCumprodAt, now.logCumprodBt);
  const cumulativeSame = masked ? cumulative : logAddExp(now.logCumprodAt, now.logCumprodBt);
  const single = masked ? now.logCt : logAddExp(LOG_ZERO + now.logAt, now.logBt);
  const singleSame = masked ? single : logAddExp(now.logAt, now.logBt);
  const ofMask = before.logCumprodCt + (masked ? 0 : LOG_ZERO);
  pixel.x0 = x0, pixel.keep = before.logCumprodAt, pixel.replace = before.logCumprodBt;

  memory.copy(rowOf(pixel, Row.logProbs, count), logProbs, floats(count));
  quotients(pixel, count, masked ? -1 : xt, cumulative, cumulativeSame);
  fill(rowOf(pixel, Row.single, count), single, count);
  if (!masked) store<f32>(rowOf(pixel, Row.single, count) + floats(xt), singleSame);
  pixel.modelMask = ofMask + pixel.total;

  const own = x0 == xt ? cumulativeSame : cumulative;
  truth(pixel, count, own, own - cumulative, single);
  if (!masked) setTruth(pixel, count, xt, LOG_ZERO + own - cumulativeSame, singleSame - own);
  setTruth(pixel, count, x0, 0, (x0 == xt ? singleSame : single) - own);
  pixel.trueMask = clampLog(ofMask - own);
}

function clampLog(x: f32): f32 {
  return min(max(x, LOWEST), 0);
}

/** @param xt The class whose divisor is `same`; −1 if there is none. */
function quotients(pixel: Pixel, count: i32, xt: i32, other: f32, same: f32): void {
  const x = rowOf(pixel, Row.logProbs, count), out = rowOf(pixel, Row.quotient, count);
  const lowest = splat(LOWEST), zero = splat(0), minus = splat(other);
  for (let i: usize = 0; i < floats(count); i += 16) {
    const p = f32x4.pmin(zero, f32x4.pmax(lowest, v128.load(x + i)));
    v128.store(out + i, f32x4.sub(p, minus));
  }
  if (xt >= 0) store<f32>(out + floats(xt), clampLog(load<f32>(x + floats(xt))) - same);
  const total = logSumExp(out, count), totals = splat(total);
  for (let i: usize = 0; i < floats(count); i += 16) {
    v128.store(out + i, f32x4.sub(v128.load(out + i), totals));
  }
  // The classes that fill up the last vector have no probability.
  for (let k = count; k & 3; k++) store<f32>(out + floats(k), LOWEST * 2);
  pixel.total = total;
}

function fill(x: usize, value: f32, count: i32): void {
  const values = splat(value);
  for (let i: usize = 0; i < floats(count); i += 16) v128.store(x + i, values);
}

/** The true posterior of classes that are neither x_0 nor x_t, in the rows of all. */
function truth(pixel: Pixel, count: i32, own: f32, quotient: f32, single: f32): void {
  const value = trueLog(pixel, LOG_ZERO + quotient, single - own);
  const weight = rowOf(pixel, Row.weight, count);
  fill(rowOf(pixel, Row.truth, count), value, count);
  fill(weight, exp(value), count);
  for (let k = count; k & 3; k++) store<f32>(weight + floats(k), 0);
}

function setTruth(pixel: Pixel, count: i32, k: i32, quotient: f32, rest: f32): void {
  const value = trueLog(pixel, quotient, rest);
  store<f32>(rowOf(pixel, Row.truth, count) + floats(k), value);
  store<f32>(rowOf(pixel, Row.weight, count) + floats(k), exp(value));
}

function trueLog(pixel: Pixel, quotient: f32, rest: f32): f32 {
  return clampLog(logAddExp(quotient + pixel.keep, pixel.replace) + rest);
}

function exp(x: f32): f32 {
  return f32x4.extract_lane(exp4(splat(x)), 0);
}

/** Stores KL, NLL and −log p(x_0). */
function storeTerms(pixel: Pixel, count: i32, out: usize): void {
  const quotient = rowOf(pixel, Row.quotient, count), single = rowOf(pixel, Row.single, count);
  const truth = rowOf(pixel, Row.truth, count), weight = rowOf(pixel, Row.weight, count);
  const keep = splat(pixel.keep), replace = splat(pixel.replace), total = splat(pixel.total);
  const lowest = splat(LOWEST), zero = splat(0);
  let sum = splat(0);
  for (let i: usize = 0; i < floats(count); i += 16) {
    const mixed = logAddExp4(f32x4.add(v128.load(quotient + i), keep), replace);
    const raw = f32x4.add(f32x4.add(mixed, v128.load(single + i)), total);
    const model = f32x4.pmin(zero, f32x4.pmax(lowest, raw));
    // The row of quotients has served its turn.
    v128.store(quotient + i, model);
    sum = fma(v128.load(weight + i), f32x4.sub(v128.load(truth + i), model), sum);
  }
  const ofMask = exp(pixel.trueMask) * (pixel.trueMask - clampLog(pixel.modelMask));
  const x0 = floats(pixel.x0);
  store<f32>(out, <f32> (sumLanesF64(sum) + ofMask));
  store<f32>(out, -load<f32>(quotient + x0), 4);
  store<f32>(out, -clampLog(load<f32>(rowOf(pixel, Row.logProbs, count) + x0)), 8);
}

/**
 * The gradient of a pixel's terms by log p(x_0).
 *
 * @param dy Those of KL, NLL and −log p(x_0).
 * @returns The row that holds it.
 */
function gradientRow(pixel: Pixel, count: i32, dy: usize): usize {
  const kl = load<f32>(dy), x0 = floats(pixel.x0), bytes = floats(count);
  const weight = rowOf(pixel, Row.weight, count), out = rowOf(pixel, Row.truth, count);
  const kls = splat(kl);
  for (let i: usize = 0; i < bytes; i += 16) {
    v128.store(weight + i, f32x4.mul(kls, v128.load(weight + i)));
  }
  store<f32>(weight + x0, load<f32>(weight + x0) + load<f32>(dy, 4));

  let rest = throughQuotients(pixel, count);
  if (inRange(pixel.modelMask)) rest -= kl * exp(pixel.trueMask);
  const quotient = rowOf(pixel, Row.quotient, count), direct = rowOf(pixel, Row.single, count);
  const logProbs = rowOf(pixel, Row.logProbs, count), rests = splat(rest);
  for (let i: usize = 0; i < bytes; i += 16) {
    const gradient = fma(exp4(v128.load(quotient + i)), rests, v128.load(direct + i));
    v128.store(out + i, v128.and(gradient, inRange4(v128.load(logProbs + i))));
  }
  if (inRange(load<f32>(logProbs + x0))) {
    store<f32>(out + x0, load<f32>(out + x0) - load<f32>(dy, 8));
  }
  return out;
}

/**
 * Replaces the row of log q(x_t | x_{t−1}) by the gradient by the quotients, but for what passes through
 * their sum.
 *
 * @returns The gradient by the logarithm of that sum.
 */
function throughQuotients(pixel: Pixel, count: i32): f32 {
  const quotient = rowOf(pixel, Row.quotient, count), single = rowOf(pixel, Row.single, count);
  const weight = rowOf(pixel, Row.weight, count), one = splat(1);
  const keep = splat(pixel.keep), replace = splat(pixel.replace), total = splat(pixel.total);
  let sum = splat(0);
  for (let i: usize = 0; i < floats(count); i += 16) {
    const kept = f32x4.add(v128.load(quotient + i), keep);
    const mixed = logAddExp4(kept, replace);
    const raw = f32x4.add(f32x4.add(mixed, v128.load(single + i)), total);
    const gradient = f32x4.neg(v128.and(v128.load(weight + i), inRange4(raw)));
    const share = exp4(f32x4.sub(kept, mixed));
    v128.store(single + i, f32x4.mul(gradient, share));
    sum = fma(gradient, f32x4.sub(one, share), sum);
  }
  return <f32> sumLanesF64(sum);
}

function inRange(x: f32): bool {
  return x >= LOWEST && x <= 0;
}

// @ts-ignore: decorator
@inline
function inRange4(x: v128): v128 {
  return v128.and(f32x4.ge(x, splat(LOWEST)), f32x4.le(x, splat(0)));
}
