/**
 * Gradients of group norms, and of rows that are divided by their L2 norms.
 *
 * @module
 */

import type { GroupNormInputs } from "../../recording.ts";
import type { Recorder } from "../recorder.ts";
import type { FloatTensor } from "../tensor.ts";
import type { WebGpuDevice } from "../types.ts";
import { type Kernel, linearWorkgroups, reduction } from "./kernel.ts";
import { SIGMOID } from "./math.ts";
import {
  forColumns,
  GROUP_PARAMS,
  groupElementsMain,
  groupWorkgroups,
  recordMoments,
  rowMain,
  threadsFor,
} from "./norms.ts";

/** Gradients by the values that SiLU was applied to. */
const SLOPES: Kernel = {
  name: "groupNormGradient slopes",
  inputs: { x: "f32", dy: "f32", moments: "f32", weight: "f32", bias: "f32" },
  outputs: { slopes: "f32" },
  params: GROUP_PARAMS,
  body: () =>
    SIGMOID + groupElementsMain(`
  let value = fma(normed, weight[channel], bias[channel]);
  let s = sigmoid(value);
  slopes[i] = dy[i] * s * fma(value, 1.0 - s, 1.0);`),
};

/** Channels and pixels that a workgroup reads at a time. */
const SUM_CHANNELS = 16;
const SUM_THREADS = 256;

/** For each image the sums over its pixels of slopes · normed, then of slopes, for each channel. */
const AFFINE: Kernel = {
  name: "groupNormGradient affine",
  inputs: { x: "f32", slopes: "f32", moments: "f32" },
  outputs: { affine: "f32" },
  params: GROUP_PARAMS,
  body: () => `
var<workgroup> sums: array<vec2f, ${SUM_THREADS}>;
@compute @workgroup_size(${SUM_THREADS})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let channel = group.x * ${SUM_CHANNELS}u + thread % ${SUM_CHANNELS}u;
  let image = group.y;
  var sum = vec2f();
  if (channel < params.channels) {
    let at = 2u * (image * params.groups + channel / (params.channels / params.groups));
    for (var p = thread / ${SUM_CHANNELS}u; p < params.pixels; p += ${
    SUM_THREADS / SUM_CHANNELS
  }u) {
      let i = (image * params.pixels + p) * params.channels + channel;
      let normed = (x[i] - moments[at]) * moments[at + 1u];
      sum += vec2f(slopes[i] * normed, slopes[i]);
    }
  }
  sums[thread] = sum;
  workgroupBarrier();
  for (var span = ${SUM_THREADS / 2}u; span >= ${SUM_CHANNELS}u; span >>= 1u) {
    if (thread < span) { sums[thread] += sums[thread + span]; }
    workgroupBarrier();
  }
  if (thread < ${SUM_CHANNELS}u && channel < params.channels) {
    let at = 2u * image * params.channels + channel;
    affine[at] = sums[thread].x;
    affine[at + params.channels] = sums[thread].y;
  }
}`,
};

/** For each group the means of the gradients by normed values, and of those times the values. */
const MEANS: Kernel = {
  name: "groupNormGradient means",
  inputs: { affine: "f32", weight: "f32" },
  outputs: { means: "f32" },
  params: GROUP_PARAMS,
  body: () => `
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
  if (id.x >= params.groups * params.images) { return; }
  let width = params.channels / params.groups;
  let first = id.x % params.groups * width;
  let start = id.x / params.groups * 2u * params.channels;
  var sum = 0.0;
  var product = 0.0;
  for (var c = first; c < first + width; c++) {
    product = fma(weight[c], affine[start + c], product);
    sum = fma(weight[c], affine[start + params.channels + c], sum);
  }
  let count = f32(width) * f32(params.pixels);
  means[2u * id.x] = sum / count;
  means[2u * id.x + 1u] = product / count;
}`,
};

const APPLY: Kernel = {
  name: "groupNormGradient apply",
  inputs: { x: "f32", slopes: "f32", moments: "f32", means: "f32", weight: "f32" },
  outputs: { dx: "f32" },
  params: GROUP_PARAMS,
  body: () =>
    groupElementsMain(`
  let part = fma(normed, means[at + 1u], means[at]);
  dx[i] = fma(slopes[i], weight[channel], -part) * moments[at + 1u];`),
};

/** Records the gradients of a group norm into dx and, for each image, into `affine`. */
export function groupNormGradient(
  recorder: Recorder,
  inputs: GroupNormInputs<WebGpuDevice>,
  dy: FloatTensor,
  dx: FloatTensor,
  affine: FloatTensor,
): void {
  const { x, weight, bias, silu } = inputs;
  using _scope = recorder.scope();
  const { moments, params } = recordMoments(recorder, inputs);
  const { images, channels, groups } = params;
  const means = recorder.result([images, groups, 2]);
  const elements = groupWorkgroups(x);
  const slopes = silu ? recorder.result(x.shape) : dy;
  if (silu) {
    recorder.dispatch(SLOPES, { x, dy, moments, weight, bias, slopes }, params, elements);
  }
  recorder.dispatch(AFFINE, { x, slopes, moments, affine }, params, [
    Math.ceil(channels / SUM_CHANNELS),
    images,
    1,
  ]);
  recorder.dispatch(MEANS, { affine, weight, means }, params, [
    Math.ceil(groups * images / 64),
    1,
    1,
  ]);
  recorder.dispatch(APPLY, { x, slopes, moments, means, weight, dx }, params, elements);
}

function normalizeRowsKernel(threads: number): Kernel {
  return {
    name: `normalizeRowsGradient ${threads}`,
    inputs: { x: "f32", dy: "f32" },
    outputs: { dx: "f32" },
    params: { rows: "u32", columns: "u32" },
    body: () => `
${reduction("total", "vec2f", threads, "a + b")}
${rowMain(threads)}
  var part = vec2f();
  ${
      forColumns(
        threads,
        "let v = x[start + i]; part = fma(vec2f(v), vec2f(v, dy[start + i]), part);",
      )
    }
  let sums = total(thread, part);
  let share = sums.y / sums.x;
  let norm = sqrt(sums.x);
  ${forColumns(threads, "dx[start + i] = (dy[start + i] - x[start + i] * share) / norm;")}
}`,
  };
}

/** Records the gradient of normalizeRows into dx. */
export function normalizeRowsGradient(
  recorder: Recorder,
  x: FloatTensor,
  dy: FloatTensor,
  dx: FloatTensor,
): void {
  const columns = x.shape.at(-1)!;
  const rows = x.size / columns;
  const kernel = normalizeRowsKernel(threadsFor(columns));
  recorder.dispatch(kernel, { x, dy, dx }, { rows, columns }, linearWorkgroups(rows));
}
