/**
 * The terms of the diffusion loss for each pixel, and their gradient by the prediction.
 *
 * @module
 */

import type { DiffusionLossInputs } from "../../recording.ts";
import type { Recorder } from "../recorder.ts";
import type { FloatTensor } from "../tensor.ts";
import type { WebGpuDevice } from "../types.ts";
import {
  type Kernel,
  LINEAR_GROUP,
  LINEAR_MAIN_PARAMETERS,
  linearWorkgroups,
  reduction,
} from "./kernel.ts";
import { LOG_ZERO, PIXEL_THREADS, POSTERIOR } from "./posterior.ts";

const INPUTS = {
  logProbs: "f32",
  x0: "i32",
  xt: "i32",
  schedule: "f32",
  scheduleRow: "i32",
} as const;

const PARAMS = { count: "u32", pixels: "u32", columns: "u32", lastRow: "i32" } as const;

/** WGSL of what both kernels begin with: the pixel, its transitions, and the sum of its quotients. */
const PIXEL = `
${POSTERIOR}
${reduction("added", "f32", PIXEL_THREADS, "a + b")}
fn clampLog(x: f32) -> f32 { return clamp(x, -70.0, 0.0); }
fn inRange(x: f32) -> bool { return x >= -70.0 && x <= 0.0; }
/** log q(x_{t−1} = k | x_t, x_0). */
fn trueLog(s: Transition, k: u32, x0: u32) -> f32 {
  let own = select(s.cumulativeOther, s.cumulativeSame, x0 == s.token);
  return clampLog(previous(s, k, fromX0(s, k, select(${LOG_ZERO}, 0.0, k == x0)), -own));
}
fn trueMask(s: Transition, x0: u32) -> f32 {
  return clampLog(previousMask(s, -select(s.cumulativeOther, s.cumulativeSame, x0 == s.token)));
}
@compute @workgroup_size(${PIXEL_THREADS})
fn main(${LINEAR_MAIN_PARAMETERS}) {
  let pixel = ${LINEAR_GROUP};
  if (pixel >= params.count) { return; }
  let start = pixel * params.columns;
  let image = u32(clamp(x0[pixel], 0, i32(params.columns) - 1));
  let s = transitionAt(u32(clamp(xt[pixel], 0, i32(params.columns))), pixel / params.pixels);
  var highest = ${"-3.0e38"};
  for (var k = thread; k < params.columns; k += ${PIXEL_THREADS}u) {
    highest = max(highest, fromX0(s, k, clampLog(logProbs[start + k])));
  }
  highest = largest(thread, highest);
  var part = vec3u();
  for (var k = thread; k < params.columns; k += ${PIXEL_THREADS}u) {
    part += digits(preciseExp(fromX0(s, k, clampLog(logProbs[start + k])) - highest));
  }
  let sum = logSumExp(thread, highest, part);`;

const DIFFUSION_LOSS: Kernel = {
  name: "diffusionLoss",
  inputs: INPUTS,
  outputs: { y: "f32" },
  params: PARAMS,
  body: () => `
${PIXEL}
  var kl = 0.0;
  for (var k = thread; k < params.columns; k += ${PIXEL_THREADS}u) {
    let truth = trueLog(s, k, image);
    let q = fromX0(s, k, clampLog(logProbs[start + k]));
    let model = clampLog(previous(s, k, q, sum));
    kl += preciseExp(truth) * (truth - model);
    if (k == image) {
      y[3u * pixel + 1u] = -model;
      y[3u * pixel + 2u] = -clampLog(logProbs[start + k]);
    }
  }
  kl = added(thread, kl);
  let ofMask = trueMask(s, image);
  if (thread == 0u) {
    y[3u * pixel] = kl + preciseExp(ofMask) * (ofMask - clampLog(previousMask(s, sum)));
  }
}`,
};

/** Records the terms into y (batch, pixels, 3). */
export function diffusionLoss(
  recorder: Recorder,
  inputs: DiffusionLossInputs<WebGpuDevice>,
  y: FloatTensor,
): void {
  recordPixels(recorder, DIFFUSION_LOSS, inputs, { y });
}

const DIFFUSION_LOSS_GRADIENT: Kernel = {
  name: "diffusionLossGradient",
  inputs: { ...INPUTS, dy: "f32" },
  outputs: { dx: "f32" },
  params: PARAMS,
  body: () => `
${PIXEL}
  let klSlope = dy[3u * pixel];
  let nllSlope = dy[3u * pixel + 1u];
  var rest = 0.0;
  for (var k = thread; k < params.columns; k += ${PIXEL_THREADS}u) {
    let q = fromX0(s, k, clampLog(logProbs[start + k])) - sum;
    var slope = klSlope * preciseExp(trueLog(s, k, image));
    if (k == image) { slope += nllSlope; }
    if (!inRange(previous(s, k, q + sum, sum))) { slope = 0.0; }
    let share = preciseExp(q + s.keep - logAddExp(q + s.keep, s.replace));
    dx[start + k] = -slope * share;
    rest -= slope * (1.0 - share);
  }
  rest = added(thread, rest);
  if (inRange(previousMask(s, sum))) { rest -= klSlope * preciseExp(trueMask(s, image)); }
  for (var k = thread; k < params.columns; k += ${PIXEL_THREADS}u) {
    let value = logProbs[start + k];
    let q = fromX0(s, k, clampLog(value)) - sum;
    var slope = fma(preciseExp(q), rest, dx[start + k]);
    if (k == image) { slope -= dy[3u * pixel + 2u]; }
    dx[start + k] = select(0.0, slope, inRange(value));
  }
}`,
};

/** Records the gradient of the terms by the prediction into dx. */
export function diffusionLossGradient(
  recorder: Recorder,
  inputs: DiffusionLossInputs<WebGpuDevice>,
  dy: FloatTensor,
  dx: FloatTensor,
): void {
  recordPixels(recorder, DIFFUSION_LOSS_GRADIENT, inputs, { dy, dx });
}

function recordPixels(
  recorder: Recorder,
  kernel: Kernel,
  inputs: DiffusionLossInputs<WebGpuDevice>,
  buffers: Readonly<Record<string, FloatTensor>>,
): void {
  const { logProbs, x0, xt, schedule, row, batch, pixels, classes, lastRow } = inputs;
  const count = batch * pixels;
  recorder.dispatch(
    kernel,
    { logProbs, x0, xt, schedule, scheduleRow: row, ...buffers },
    { count, pixels, columns: classes - 1, lastRow },
    linearWorkgroups(count),
  );
}
