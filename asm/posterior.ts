// log q(x_{t−1} | x_t, x_0) in float32, in the order of operations of diffusers' `q_posterior`.

import { logSumExp } from "./elementwise";
import { logAddExp4 } from "./math";
import { floats, splat } from "./simd";
import { claim, Control } from "./threads";

/** log(1e-30): diffusers' logarithm of the zeros of a one-hot vector. */
const LOG_ZERO: f32 = -69.07755278982137;

/** A row of the schedule table: logarithms of one transition and of the cumulative one. */
@unmanaged
export class ScheduleRow {
  logAt: f32;
  logBt: f32;
  logCt: f32;
  logCumprodAt: f32;
  logCumprodBt: f32;
  logCumprodCt: f32;
}

/** The table has one row more than timesteps; index −1 means the last, as in Python. */
export function scheduleRow(schedule: usize, timestep: i32, timesteps: i32): ScheduleRow {
  const index = timestep < 0 ? timesteps : min(timestep, timesteps);
  return changetype<ScheduleRow>(schedule + <usize> index * offsetof<ScheduleRow>());
}

function logAddExp(a: f32, b: f32): f32 {
  return f32x4.extract_lane(logAddExp4(splat(a), splat(b)), 0);
}

/**
 * Replaces log p(x_0) (classes − 1) by the posterior (classes), in place.
 *
 * @param latent x_t of this pixel; ids outside are taken as the nearest inside.
 * @param now, before Schedule at t and at t − 1.
 */
export function posteriorRow(
  row: usize,
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

  const same = row + floats(token);
  const atToken = masked ? <f32> 0 : load<f32>(same) - cumulativeSame;
  const end = row + floats(count);
  const minus = splat(cumulative);
  for (let p = row; p < end; p += 16) v128.store(p, f32x4.sub(v128.load(p), minus));
  if (!masked) store<f32>(same, atToken);

  const total = logSumExp(row, count), totals = splat(total);
  const a = splat(before.logCumprodAt), b = splat(before.logCumprodBt), q = splat(single);
  let atSame: f32 = 0;
  if (!masked) {
    atSame = logAddExp(load<f32>(same) - total + before.logCumprodAt, before.logCumprodBt) +
      singleSame + total;
  }
  for (let p = row; p < end; p += 16) {
    const shifted = f32x4.add(f32x4.sub(v128.load(p), totals), a);
    v128.store(p, f32x4.add(f32x4.add(logAddExp4(shifted, b), q), totals));
  }
  if (!masked) store<f32>(same, atSame);
  const ofMask: f32 = masked ? 0 : LOG_ZERO;
  store<f32>(end, before.logCumprodCt + ofMask + total);
}

@unmanaged
export class PosteriorCommand {
  opcode: i32;
  logProbs: usize;
  latents: usize;
  schedule: usize;
  timestep: usize;
  out: usize;
  /** batch · pixels */
  rows: i32;
  classes: i32;
  timesteps: i32;
}

/** Bytes of scratch: a row, with room for the vectors that pass its end. */
export function posteriorScratch(classes: i32): usize {
  return floats(classes + 8);
}

export function posterior(command: PosteriorCommand, control: Control, scratch: usize): void {
  const classes = command.classes, timestep = load<i32>(command.timestep);
  const now = scheduleRow(command.schedule, timestep, command.timesteps);
  const before = scheduleRow(command.schedule, timestep - 1, command.timesteps);
  for (let row = claim(control); row < command.rows; row = claim(control)) {
    memory.copy(scratch, command.logProbs + <usize> row * floats(classes - 1), floats(classes - 1));
    posteriorRow(scratch, load<i32>(command.latents + floats(row)), classes, now, before);
    memory.copy(command.out + <usize> row * floats(classes), scratch, floats(classes));
  }
}
