/**
 * Normalisation of rows and of groups of channels.
 *
 * @module
 */

import type { AdaLayerNormOptions, LayerNormOptions } from "../../backend.ts";
import type { Checked, GroupNormInputs } from "../../recording.ts";
import {
  type Kernel,
  LINEAR_GROUP,
  LINEAR_MAIN_PARAMETERS,
  linearWorkgroups,
  reduction,
  type Workgroups,
} from "./kernel.ts";
import { SIGMOID } from "./math.ts";
import type { Recorder } from "../recorder.ts";
import type { BufferSlice, FloatTensor } from "../tensor.ts";
import type { WebGpuDevice } from "../types.ts";

/** Threads for a row: no more than have something to do, as a power of two. */
export function threadsFor(columns: number): number {
  return columns > 512 ? 256 : 64;
}

/** Begins `main` of a kernel with one workgroup for each of `params.rows` rows. */
export function rowMain(threads: number): string {
  return `
@compute @workgroup_size(${threads})
fn main(${LINEAR_MAIN_PARAMETERS}) {
  let row = ${LINEAR_GROUP};
  if (row >= params.rows) { return; }
  let start = row * params.columns;`;
}

/** A loop of a row's threads over its columns: `body` is WGSL of column `i`. */
export function forColumns(threads: number, body: string): string {
  return `for (var i = thread; i < params.columns; i += ${threads}u) { ${body} }`;
}

/** (x − mean) / sqrt(variance + eps), then an expression of `normed` and column `i`. */
function layerNormKernel(kind: "plain" | "adaptive", threads: number): Kernel {
  const plain = kind === "plain";
  return {
    name: `layerNorm ${kind} ${threads}`,
    inputs: {
      x: "f32",
      ...(plain ? { weight: "f32", bias: "f32" } : { table: "f32", timestep: "i32" }),
    },
    outputs: { y: "f32" },
    params: { rows: "u32", columns: "u32", lastTimestep: "u32", rowsEach: "u32", eps: "f32" },
    body: () => `
${reduction("total", "f32", threads, "a + b")}
${rowMain(threads)}
  let count = f32(params.columns);
  var sum = 0.0;
  ${forColumns(threads, "sum += x[start + i];")}
  let mean = total(thread, sum) / count;
  var squares = 0.0;
  ${forColumns(threads, "let d = x[start + i] - mean; squares = fma(d, d, squares);")}
  let factor = 1.0 / sqrt(total(thread, squares) / count + params.eps);
  ${
      plain
        ? ""
        : `let scaleStart = u32(clamp(timestep[row / params.rowsEach], 0, i32(params.lastTimestep)))
    * 2u * params.columns;`
    }
  ${
      forColumns(
        threads,
        `
    let normed = (x[start + i] - mean) * factor;
    y[start + i] = ${
          plain
            ? "fma(normed, weight[i], bias[i])"
            : "fma(normed, 1.0 + table[scaleStart + i], table[scaleStart + params.columns + i])"
        };`,
      )
    }
}`,
  };
}

function recordRows(
  recorder: Recorder,
  kind: "plain" | "adaptive",
  x: FloatTensor,
  y: FloatTensor,
  buffers: Readonly<Record<string, BufferSlice>>,
  params: { readonly eps: number; readonly lastTimestep: number; readonly timesteps: number },
): void {
  const columns = x.shape.at(-1)!;
  const rows = x.size / columns;
  const { eps, lastTimestep, timesteps } = params;
  recorder.dispatch(
    layerNormKernel(kind, threadsFor(columns)),
    { x, y, ...buffers },
    { rows, columns, rowsEach: rows / timesteps, lastTimestep, eps },
    linearWorkgroups(rows),
  );
}

/** Records a layer norm of x into y. */
export function layerNorm(
  recorder: Recorder,
  x: FloatTensor,
  { weight, bias, eps }: Checked<LayerNormOptions, WebGpuDevice>,
  y: FloatTensor,
): void {
  recordRows(recorder, "plain", x, y, { weight, bias }, { eps, lastTimestep: 0, timesteps: 1 });
}

/** Records an adaptive layer norm of x into y. */
export function adaLayerNorm(
  recorder: Recorder,
  x: FloatTensor,
  { table, timestep, eps }: Checked<AdaLayerNormOptions, WebGpuDevice>,
  y: FloatTensor,
): void {
  const lastTimestep = table.shape[0]! - 1;
  const params = { eps, lastTimestep, timesteps: timestep.size };
  recordRows(recorder, "adaptive", x, y, { table, timestep }, params);
}

/** Pixels of a group whose mean and variance one workgroup finds. */
const CHUNK_PIXELS = 1024;

const GROUP_THREADS = 256;

/** Parameters of the kernels of a group norm. */
export const GROUP_PARAMS = {
  pixels: "u32",
  channels: "u32",
  groups: "u32",
  chunks: "u32",
  images: "u32",
  eps: "f32",
} as const;

/**
 * Count, mean and sum of squared differences from it of each piece (chunk, group, image): two passes
 * over few numbers, where one pass over sums of squares would cancel.
 */
const GROUP_PIECES: Kernel = {
  name: "groupNorm pieces",
  inputs: { x: "f32" },
  outputs: { pieces: "f32" },
  params: GROUP_PARAMS,
  body: () => {
    const forElements = (body: string) => `
  for (var i = thread; i < count; i += ${GROUP_THREADS}u) {
    let value = x[(start + i / width) * params.channels + group.y * width + i % width];
    ${body}
  }`;
    return `
${reduction("total", "f32", GROUP_THREADS, "a + b")}
@compute @workgroup_size(${GROUP_THREADS})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let width = params.channels / params.groups;
  let first = group.x * ${CHUNK_PIXELS}u;
  let count = min(${CHUNK_PIXELS}u, params.pixels - first) * width;
  let start = group.z * params.pixels + first;
  var sum = 0.0;
  ${forElements("sum += value;")}
  let mean = total(thread, sum) / f32(count);
  var squares = 0.0;
  ${forElements("let d = value - mean; squares = fma(d, d, squares);")}
  let spread = total(thread, squares);
  if (thread == 0u) {
    let at = ((group.z * params.groups + group.y) * params.chunks + group.x) * 3u;
    pieces[at] = f32(count);
    pieces[at + 1u] = mean;
    pieces[at + 2u] = spread;
  }
}`;
  },
};

/** Mean and 1 / sqrt(variance + eps) of each group, from its pieces (Chan et al. 1979). */
const GROUP_MERGE: Kernel = {
  name: "groupNorm merge",
  inputs: { pieces: "f32" },
  outputs: { moments: "f32" },
  params: GROUP_PARAMS,
  body: () => `
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
  if (id.x >= params.groups * params.images) { return; }
  var count = 0.0;
  var mean = 0.0;
  var spread = 0.0;
  for (var chunk = 0u; chunk < params.chunks; chunk++) {
    let at = (id.x * params.chunks + chunk) * 3u;
    let more = pieces[at];
    let all = count + more;
    let difference = pieces[at + 1u] - mean;
    mean += difference * (more / all);
    spread += pieces[at + 2u] + difference * difference * (count / all) * more;
    count = all;
  }
  moments[2u * id.x] = mean;
  moments[2u * id.x + 1u] = 1.0 / sqrt(spread / count + params.eps);
}`,
};

/**
 * A pass over the elements of a group norm.
 *
 * @param body WGSL of element `i`: its `image`, `channel`, group (image, group) `at` and `normed` value.
 */
export function groupElementsMain(body: string): string {
  return `
@compute @workgroup_size(${GROUP_THREADS})
fn main(${LINEAR_MAIN_PARAMETERS}) {
  let i = (${LINEAR_GROUP}) * ${GROUP_THREADS}u + thread;
  let imageSize = params.pixels * params.channels;
  if (i >= params.images * imageSize) { return; }
  let channel = i % params.channels;
  let image = i / imageSize;
  let at = 2u * (image * params.groups + channel / (params.channels / params.groups));
  let normed = (x[i] - moments[at]) * moments[at + 1u];
  ${body}
}`;
}

/** Applies the moments, the factors and summands of channels and, if asked for, SiLU. */
function groupApply(silu: boolean): Kernel {
  return {
    name: `groupNorm apply${silu ? " silu" : ""}`,
    inputs: { x: "f32", moments: "f32", weight: "f32", bias: "f32" },
    outputs: { y: "f32" },
    params: GROUP_PARAMS,
    body: () => `
${silu ? SIGMOID : ""}
${
      groupElementsMain(`let value = fma(normed, weight[channel], bias[channel]);
  y[i] = ${silu ? "value * sigmoid(value)" : "value"};`)
    }`,
  };
}

/** What passes over the elements of a group norm read. */
interface GroupMoments {
  /** (images, groups, 2): mean and 1 / sqrt(variance + eps). */
  readonly moments: FloatTensor;
  /** Parameters of {@linkcode GROUP_PARAMS}. */
  readonly params: Readonly<Record<keyof typeof GROUP_PARAMS, number>>;
}

/** Records mean and variance of each group, in memory of the open scope. */
export function recordMoments(
  recorder: Recorder,
  { x, groups, eps }: GroupNormInputs<WebGpuDevice>,
): GroupMoments {
  const [images, channels] = [x.shape[0]!, x.shape.at(-1)!];
  const pixels = x.size / images / channels;
  const chunks = Math.ceil(pixels / CHUNK_PIXELS);
  const params = { pixels, channels, groups, chunks, images, eps };
  const pieces = recorder.result([images, groups, chunks, 3]);
  const moments = recorder.result([images, groups, 2]);
  recorder.dispatch(GROUP_PIECES, { x, pieces }, params, [chunks, groups, images]);
  recorder.dispatch(GROUP_MERGE, { pieces, moments }, params, [
    Math.ceil(groups * images / 64),
    1,
    1,
  ]);
  return { moments, params };
}

/** Workgroups of a pass over the elements of a group norm. */
export function groupWorkgroups(x: FloatTensor): Workgroups {
  return linearWorkgroups(Math.ceil(x.size / GROUP_THREADS));
}

/** Records a group norm into y. */
export function groupNorm(
  recorder: Recorder,
  inputs: GroupNormInputs<WebGpuDevice>,
  y: FloatTensor,
): void {
  const { x, weight, bias, silu } = inputs;
  using _scope = recorder.scope();
  const { moments, params } = recordMoments(recorder, inputs);
  const buffers = { x, moments, weight, bias, y };
  recorder.dispatch(groupApply(silu), buffers, params, groupWorkgroups(x));
}
