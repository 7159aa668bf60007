// One denoising step: guidance, truncation, clamp, posterior, Gumbel noise, argmax.

import { logSumExp } from "./elementwise";
import { gumbel4 } from "./math";
import { posteriorRow, ScheduleRow, scheduleRow } from "./posterior";
import { ceilDiv, floats, smaller, splat } from "./simd";
import { claim, Control } from "./threads";
import { truncateRow, truncationScratch } from "./truncation";

@unmanaged
export class SampleCommand {
  opcode: i32;
  /** (batch or 2 · batch, pixels, classes − 1) */
  logProbs: usize;
  /** (batch, pixels), replaced. */
  latents: usize;
  /** (batch, classes, pixels) uniform numbers; (batch, classes − 1, pixels) at t = 0. */
  noise: usize;
  schedule: usize;
  timestep: usize;
  batch: i32;
  pixels: i32;
  classes: i32;
  timesteps: i32;
  guided: i32;
  guidanceScale: f32;
  truncated: i32;
  truncationRate: f32;
}

/** Pixels of a chunk: those whose noise for one class shares a cache line. */
const LANES: i32 = 16;

/** Bytes of scratch: a row, what truncation needs, and log p of all lanes as (classes, lanes). */
export function sampleScratch(classes: i32): usize {
  return floats(classes + 8) + truncationScratch(classes) + 64 + floats(classes * LANES);
}

export function sampleStep(command: SampleCommand, control: Control, scratch: usize): void {
  const classes = command.classes, timestep = max(load<i32>(command.timestep), 0);
  const now = scheduleRow(command.schedule, timestep, command.timesteps);
  const before = scheduleRow(command.schedule, timestep - 1, command.timesteps);
  const spare = scratch + floats(classes + 8);
  const lanes = (spare + truncationScratch(classes) + 63) & ~63;
  const perImage = ceilDiv(command.pixels, LANES);
  const chunks = command.batch * perImage;
  // The last step samples x_0 itself, which is never the mask.
  const outcomes = timestep == 0 ? classes - 1 : classes;
  for (let chunk = claim(control); chunk < chunks; chunk = claim(control)) {
    const image = chunk / perImage, first = chunk % perImage * LANES;
    const count = smaller(LANES, command.pixels - first);
    for (let lane = 0; lane < count; lane++) {
      const pixel = image * command.pixels + first + lane;
      predictRow(command, pixel, scratch, spare);
      if (timestep > 0) {
        posteriorRow(scratch, load<i32>(command.latents + floats(pixel)), classes, now, before);
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
function predictRow(command: SampleCommand, pixel: i32, row: usize, spare: usize): void {
  const count = command.classes - 1;
  const from = command.logProbs + <usize> pixel * floats(count);
  if (command.guided) {
    const conditional = from + <usize> (command.batch * command.pixels) * floats(count);
    const scale = splat(command.guidanceScale);
    for (let i: usize = 0; i < floats(count); i += 16) {
      const u = v128.load(from + i), c = v128.load(conditional + i);
      v128.store(row + i, f32x4.add(u, f32x4.mul(scale, f32x4.sub(c, u))));
    }
    const total = splat(logSumExp(row, count));
    for (let i: usize = 0; i < floats(count); i += 16) {
      v128.store(row + i, f32x4.sub(v128.load(row + i), total));
    }
  } else {
    memory.copy(row, from, floats(count));
  }
  if (command.truncated) truncateRow(row, count, command.truncationRate, spare);
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
