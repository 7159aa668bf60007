// The posterior log q(x_{t−1} | x_t, x_0), and one denoising step: guidance, truncation, clamp,
// posterior, Gumbel noise, argmax. All in float32, in the order of operations of diffusers'
// `q_posterior` and `step`.

import { gumbel4, logAddExp4 } from "./math";
import { guideRow } from "./prediction";
import { ceilDiv, floats, smaller, splat } from "./simd";
import { logSumExp } from "./softmax";
import { claim, Control } from "./threads";
import { keepBest, truncateRow, truncationScratch } from "./truncation";

/** log(1e-30): diffusers' logarithm of the zeros of a one-hot vector. */
export const LOG_ZERO: f32 = -69.07755278982137;

/** A row of the schedule table: logarithms of one transition and of the cumulative one. */
@unmanaged
class ScheduleRow {
  logAt: f32;
  logBt: f32;
  logCt: f32;
  logCumprodAt: f32;
  logCumprodBt: f32;
  logCumprodCt: f32;
}

/** Row of the table; −1 means the last, as in Python, and what is past the last is taken as the last. */
export function scheduleRow(schedule: usize, row: i32, lastRow: i32): ScheduleRow {
  const index = row < 0 ? lastRow : min(row, lastRow);
  return changetype<ScheduleRow>(schedule + <usize> index * offsetof<ScheduleRow>());
}

export function logAddExp(a: f32, b: f32): f32 {
  return f32x4.extract_lane(logAddExp4(splat(a), splat(b)), 0);
}

/**
 * Replaces log p(x_0) (classes − 1) of a pixel by the posterior (classes), in place.
 *
 * @param latent x_t of this pixel; ids outside are taken as the nearest inside.
 * @param now, before The rows of the schedule that the step goes from and leads to.
 */
function posteriorOfPixel(
  logProbs: usize,
  latent: i32,
  classes: i32,
  now: ScheduleRow,
  before: ScheduleRow,
): void {
  const count = classes - 1, token = min(max(latent, 0), count);
  const masked = token == count;
  // log q(x_t | x_0) and log q(x_t | x_{t−1}): one value for x_0 = x_t, another for all else.
  const cumulative = masked
    ? now.logCumprodCt
    : logAddExp(LOG_ZERO + now.logCumprodAt, now.logCumprodBt);
  const single = masked ? now.logCt : logAddExp(LOG_ZERO + now.logAt, now.logBt);
  const cumulativeSame = masked ? cumulative : logAddExp(now.logCumprodAt, now.logCumprodBt);
  const singleSame = masked ? single : logAddExp(now.logAt, now.logBt);

  const same = logProbs + floats(token);
  const atToken = masked ? <f32> 0 : load<f32>(same) - cumulativeSame;
  const end = logProbs + floats(count);
  const minus = splat(cumulative);
  for (let p = logProbs; p < end; p += 16) v128.store(p, f32x4.sub(v128.load(p), minus));
  if (!masked) store<f32>(same, atToken);

  const total = logSumExp(logProbs, count), totals = splat(total);
  const a = splat(before.logCumprodAt), b = splat(before.logCumprodBt), q = splat(single);
  let atSame: f32 = 0;
  if (!masked) {
    atSame = logAddExp(load<f32>(same) - total + before.logCumprodAt, before.logCumprodBt) +
      singleSame + total;
  }
  for (let p = logProbs; p < end; p += 16) {
    const shifted = f32x4.add(f32x4.sub(v128.load(p), totals), a);
    v128.store(p, f32x4.add(f32x4.add(logAddExp4(shifted, b), q), totals));
  }
  if (!masked) store<f32>(same, atSame);
  const ofMask: f32 = masked ? 0 : LOG_ZERO;
  store<f32>(end, before.logCumprodCt + ofMask + total);
}

// logProbs is (pixels, classes − 1), latents is (pixels) int32, schedule is (lastRow + 1, 6), row is (1)
// int32, out is (pixels, classes)
@unmanaged
export class PosteriorCommand {
  opcode: i32;
  logProbs: usize;
  latents: usize;
  schedule: usize;
  /** The row of the schedule that the step goes from; the row before it is where it leads. */
  row: usize;
  out: usize;
  /** Those of all images. */
  pixels: i32;
  classes: i32;
  lastRow: i32;
}

/** Bytes of scratch: log p of a pixel, with room for the vectors that pass its end. */
export function posteriorScratch(command: PosteriorCommand): usize {
  return floats(command.classes + 8);
}

/** The posterior of each pixel. `posterior` of tests/backends/naive/sampling.ts. */
export function posterior(command: PosteriorCommand, control: Control, scratch: usize): void {
  const classes = command.classes, bytes = floats(classes - 1), row = load<i32>(command.row);
  const now = scheduleRow(command.schedule, row, command.lastRow);
  const before = scheduleRow(command.schedule, row - 1, command.lastRow);
  for (let pixel = claim(control); pixel < command.pixels; pixel = claim(control)) {
    const latent = load<i32>(command.latents + floats(pixel));
    memory.copy(scratch, command.logProbs + <usize> pixel * bytes, bytes);
    posteriorOfPixel(scratch, latent, classes, now, before);
    memory.copy(command.out + <usize> pixel * floats(classes), scratch, floats(classes));
  }
}

// logProbs is (batch or, if guided, 2 · batch, pixels, classes − 1), latents is (batch, pixels) int32, noise
// is (batch, classes, pixels), or (batch, classes − 1, pixels) from row 0, schedule is (lastRow + 1, 6),
// row is (1) int32
@unmanaged
export class SampleStepCommand {
  opcode: i32;
  logProbs: usize;
  /** x_t, replaced by x_{t−1}. */
  latents: usize;
  /** Uniform numbers. */
  noise: usize;
  schedule: usize;
  /** The row of the schedule that the step goes from; the row before it is where it leads. */
  row: usize;
  batch: i32;
  pixels: i32;
  classes: i32;
  lastRow: i32;
  guided: bool;
  guidanceScale: f32;
  truncated: bool;
  truncationRate: f32;
  /** Most classes that are kept; 0 for all. */
  topK: i32;
}

/** Pixels of a chunk: those whose noise for one class shares a cache line. */
const LANES: i32 = 16;

/** Bytes of scratch: log p of a pixel, what truncation needs, log p of all lanes as (classes, lanes). */
export function sampleStepScratch(command: SampleStepCommand): usize {
  const classes = command.classes;
  return floats(classes + 8) + truncationScratch(classes) + 64 + floats(classes * LANES);
}

/** One denoising step of each pixel. `sampleStep` of tests/backends/naive/sampling.ts. */
export function sampleStep(command: SampleStepCommand, control: Control, scratch: usize): void {
  const classes = command.classes, row = max(load<i32>(command.row), 0);
  const now = scheduleRow(command.schedule, row, command.lastRow);
  const before = scheduleRow(command.schedule, row - 1, command.lastRow);
  const spare = scratch + floats(classes + 8);
  const lanes = (spare + truncationScratch(classes) + 63) & ~63;
  const perImage = ceilDiv(command.pixels, LANES);
  const chunks = command.batch * perImage;
  // The last step samples x_0 itself, which is never the mask.
  const outcomes = row == 0 ? classes - 1 : classes;
  for (let chunk = claim(control); chunk < chunks; chunk = claim(control)) {
    const image = chunk / perImage, first = chunk % perImage * LANES;
    const count = smaller(LANES, command.pixels - first);
    for (let lane = 0; lane < count; lane++) {
      const pixel = image * command.pixels + first + lane;
      predictPixel(command, pixel, scratch, spare);
      if (row > 0) {
        const latent = load<i32>(command.latents + floats(pixel));
        posteriorOfPixel(scratch, latent, classes, now, before);
      }
      for (let k = 0; k < outcomes; k++) {
        store<f32>(lanes + floats(k * LANES + lane), load<f32>(scratch + floats(k)));
      }
    }
    const noise = command.noise + floats(image * outcomes * command.pixels + first);
    const latents = command.latents + floats(image * command.pixels + first);
    drawLanes(lanes, noise, floats(command.pixels), outcomes, latents, count);
  }
}

/** log p(x_0) of one pixel after guidance, truncation and clamp. */
function predictPixel(command: SampleStepCommand, pixel: i32, out: usize, spare: usize): void {
  const count = command.classes - 1;
  const from = command.logProbs + <usize> pixel * floats(count);
  if (command.guided) {
    const conditional = from + <usize> (command.batch * command.pixels) * floats(count);
    guideRow(from, conditional, command.guidanceScale, count, out);
  } else {
    memory.copy(out, from, floats(count));
  }
  if (command.truncated) truncateRow(out, count, command.truncationRate, spare);
  if (command.topK > 0) keepBest(out, count, command.topK, spare);
}

/** Adds Gumbel noise to log p (outcomes, lanes); the best outcome of each lane, the first of equals. */
function drawLanes(
  lanes: usize,
  noise: usize,
  noiseStride: usize,
  outcomes: i32,
  latents: usize,
  count: i32,
): void {
  for (let lane = 0; lane < count; lane += 8) {
    let p = lanes + floats(lane), u = noise + floats(lane);
    let best0 = splat(-Infinity), best1 = best0;
    let index0 = i32x4.splat(0), index1 = index0;
    for (let k = 0; k < outcomes; k++) {
      const value0 = f32x4.add(gumbel4(v128.load(u)), v128.load(p));
      const value1 = f32x4.add(gumbel4(v128.load(u, 16)), v128.load(p, 16));
      const better0 = f32x4.gt(value0, best0), better1 = f32x4.gt(value1, best1);
      const outcome = i32x4.splat(k);
      best0 = v128.bitselect(value0, best0, better0);
      best1 = v128.bitselect(value1, best1, better1);
      index0 = v128.bitselect(outcome, index0, better0);
      index1 = v128.bitselect(outcome, index1, better1);
      p += floats(LANES), u += noiseStride;
    }
    storeLanes(latents + floats(lane), index0, count - lane);
    storeLanes(latents + floats(lane + 4), index1, count - lane - 4);
  }
}

function storeLanes(to: usize, index: v128, count: i32): void {
  if (count >= 4) {
    v128.store(to, index);
    return;
  }
  if (count > 0) store<i32>(to, i32x4.extract_lane(index, 0));
  if (count > 1) store<i32>(to, i32x4.extract_lane(index, 1), 4);
  if (count > 2) store<i32>(to, i32x4.extract_lane(index, 2), 8);
}
