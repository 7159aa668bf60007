/**
 * Gradients of convolutions by their weights, the weights of adjoint convolutions, and the adjoints of
 * strides and of doubling.
 *
 * @module
 */

import type { ConvGradientInputs } from "../../recording.ts";
import type { Recorder } from "../recorder.ts";
import type { FloatTensor } from "../tensor.ts";
import type { WebGpuDevice } from "../types.ts";
import { filledChannels, type WebGpuConvWeight } from "../weights.ts";
import { type Kernel, unroll } from "./kernel.ts";
import { elementMain, recordElements } from "./rows.ts";

/** The weight (out, in, taps) as rows of (tap, channel), or that of the adjoint, whose taps are turned. */
function packConvKernel(bias: boolean, transposed: boolean): Kernel {
  const source = transposed
    ? "(channel * params.rows + row) * params.taps + params.taps - 1u - tap"
    : "(row * params.channels + channel) * params.taps + tap";
  return {
    name: `packConv${bias ? " with bias" : ""}${transposed ? " transposed" : ""}`,
    inputs: { x: "f32", ...(bias && { bias: "f32" }) },
    outputs: { y: "f32", biasOut: "f32" },
    params: { count: "u32", rows: "u32", channels: "u32", filled: "u32", taps: "u32" },
    body: () =>
      elementMain(`
  let row = i / (params.filled * params.taps);
  let tap = i / params.filled % params.taps;
  let channel = i % params.filled;
  y[i] = 0.0;
  if (channel < params.channels) { y[i] = x[${source}]; }
  if (tap == 0u && channel == 0u) { biasOut[row] = ${bias ? "bias[row]" : "0.0"}; }`),
  };
}

/** Records the packing of a convolution's weight, or of that of the adjoint, into y. */
export function packConv(
  recorder: Recorder,
  weight: FloatTensor,
  bias: FloatTensor | undefined,
  transpose: boolean,
  y: WebGpuConvWeight,
): void {
  const { rows, columns, parts, bias: biasOut } = y.matrix;
  recordElements(
    recorder,
    packConvKernel(bias !== undefined, transpose),
    { x: weight, bias, y: parts[0]!.values, biasOut },
    rows * columns,
    {
      rows,
      channels: y.inChannels,
      filled: filledChannels(y.inChannels),
      taps: y.kernelSize ** 2,
    },
  );
}

/** Rows (tap, channel of x) and columns (channel of dy) of a tile: each thread computes 4×4 of them. */
const TILE = 32;
/** Pixels that lie in workgroup memory at a time. */
const DEPTH = 16;
const THREADS = (TILE / 4) ** 2;

const PARAMS = {
  height: "u32",
  width: "u32",
  inChannels: "u32",
  outHeight: "u32",
  outWidth: "u32",
  outChannels: "u32",
  pixels: "u32",
  slicePixels: "u32",
} as const;

type Sampling = Pick<ConvGradientInputs<WebGpuDevice>, "kernelSize" | "stride" | "upsample">;

/** Products of neighbourhoods of x with dy, summed over a slice of the pixels: (slices, out, tap, in). */
function partialKernel({ kernelSize, stride, upsample }: Sampling): Kernel {
  // With stride 2 the padding is below and to the right only.
  const padding = stride === 1 && kernelSize === 3 ? 1 : 0;
  const copies = DEPTH * TILE / THREADS;
  const rowsApart = THREADS / TILE;
  return {
    name: `conv2dWeightGradient ${kernelSize} stride ${stride}${upsample ? " upsample" : ""}`,
    inputs: { x: "f32", dy: "f32" },
    outputs: { partial: "f32" },
    params: PARAMS,
    body: () => `
fn loadX(pixel: u32, tap: u32, channel: u32) -> f32 {
  let image = pixel / params.outWidth / params.outHeight;
  // Negative coordinates become huge, so that one comparison is enough.
  let line = u32(i32(pixel / params.outWidth % params.outHeight * ${stride}u + tap / ${kernelSize}u)
    - ${padding})${upsample ? " / 2u" : ""};
  let column = u32(i32(pixel % params.outWidth * ${stride}u + tap % ${kernelSize}u)
    - ${padding})${upsample ? " / 2u" : ""};
  if (line >= params.height || column >= params.width) { return 0.0; }
  return x[((image * params.height + line) * params.width + column) * params.inChannels + channel];
}
var<workgroup> xTile: array<array<f32, ${TILE}>, ${DEPTH}>;
var<workgroup> yTile: array<array<f32, ${TILE}>, ${DEPTH}>;
@compute @workgroup_size(${THREADS})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let rows = ${kernelSize ** 2}u * params.inChannels;
  let own = thread % ${TILE}u;
  let row = group.x * ${TILE}u + own;
  let column = group.y * ${TILE}u + own;
  let first = group.z * params.slicePixels;
  let end = min(first + params.slicePixels, params.pixels);
  let left = thread % ${TILE / 4}u * 4u;
  let top = thread / ${TILE / 4}u * 4u;
  ${unroll(4, (i) => `var sum${i} = vec4f();`)}
  for (var at = first; at < end; at += ${DEPTH}u) {
    ${
      unroll(copies, (i) =>
        `{
      let depth = thread / ${TILE}u + ${i * rowsApart}u;
      let pixel = at + depth;
      xTile[depth][own] = 0.0;
      yTile[depth][own] = 0.0;
      if (pixel < end) {
        if (row < rows) {
          xTile[depth][own] = loadX(pixel, row / params.inChannels, row % params.inChannels);
        }
        if (column < params.outChannels) {
          yTile[depth][own] = dy[pixel * params.outChannels + column];
        }
      }
    }`)
    }
    workgroupBarrier();
    for (var k = 0u; k < ${DEPTH}u; k++) {
      let a = vec4f(${[0, 1, 2, 3].map((i) => `xTile[k][left + ${i}u]`).join(", ")});
      ${unroll(4, (i) => `sum${i} = fma(a, vec4f(yTile[k][top + ${i}u]), sum${i});`)}
    }
    workgroupBarrier();
  }
  ${
      unroll(16, (at) => {
        const [i, j] = [Math.floor(at / 4), at % 4];
        return `{
    let r = group.x * ${TILE}u + left + ${j}u;
    let c = group.y * ${TILE}u + top + ${i}u;
    if (r < rows && c < params.outChannels) {
      partial[(group.z * params.outChannels + c) * rows + r] = sum${i}[${j}];
    }
  }`;
      })
    }
}`,
  };
}

/** The sum of the slices, in the order of the weight. */
const SUM: Kernel = {
  name: "conv2dWeightGradient sum",
  inputs: { partial: "f32" },
  outputs: { dw: "f32" },
  params: { count: "u32", channels: "u32", taps: "u32", slices: "u32" },
  body: () =>
    elementMain(`
  let tap = i % params.taps;
  let channel = i / params.taps % params.channels;
  let out = i / params.taps / params.channels;
  let first = (out * params.taps + tap) * params.channels + channel;
  var sum = 0.0;
  for (var slice = 0u; slice < params.slices; slice++) {
    sum += partial[first + slice * params.count];
  }
  dw[i] = sum;`),
};

/** Pixels of the smallest slice, and workgroups that keep a large GPU busy. */
const SLICE_PIXELS = 256;
const ENOUGH_WORKGROUPS = 512;

/** Records the gradient of a convolution by its weight into dw. */
export function conv2dWeightGradient(
  recorder: Recorder,
  { x, dy, ...sampling }: ConvGradientInputs<WebGpuDevice>,
  dw: FloatTensor,
): void {
  const [, height, width, inChannels] = x.shape as [number, number, number, number];
  const [batch, outHeight, outWidth, outChannels] = dy.shape as [number, number, number, number];
  const taps = sampling.kernelSize ** 2;
  const pixels = batch * outHeight * outWidth;
  const tiles = [Math.ceil(taps * inChannels / TILE), Math.ceil(outChannels / TILE)] as const;
  const most = Math.ceil(ENOUGH_WORKGROUPS / (tiles[0] * tiles[1]));
  const slicePixels = Math.max(SLICE_PIXELS, Math.ceil(pixels / most));
  const slices = Math.ceil(pixels / slicePixels);
  using _scope = recorder.scope();
  const partial = recorder.result([slices, outChannels, taps, inChannels]);
  recorder.dispatch(
    partialKernel(sampling),
    { x, dy, partial },
    { height, width, inChannels, outHeight, outWidth, outChannels, pixels, slicePixels },
    [...tiles, slices],
  );
  const sizes = { channels: inChannels, taps, slices };
  recordElements(recorder, SUM, { partial, dw }, dw.size, sizes);
}

const DILATE: Kernel = {
  name: "dilate",
  inputs: { x: "f32" },
  outputs: { y: "f32" },
  params: { count: "u32", height: "u32", width: "u32", channels: "u32" },
  body: () =>
    elementMain(`
  let column = i / params.channels % params.width;
  let line = i / params.channels / params.width % params.height;
  let image = i / params.channels / params.width / params.height;
  y[i] = 0.0;
  if (line % 2u == 1u && column % 2u == 1u) {
    let pixel = (image * (params.height / 2u) + line / 2u) * (params.width / 2u) + column / 2u;
    y[i] = x[pixel * params.channels + i % params.channels];
  }`),
};

/** Records the pixels of x at odd places of y. */
export function dilate(recorder: Recorder, x: FloatTensor, y: FloatTensor): void {
  const [, height, width, channels] = y.shape as [number, number, number, number];
  recordElements(recorder, DILATE, { x, y }, y.size, { height, width, channels });
}

const SUM_BLOCKS: Kernel = {
  name: "sumBlocks",
  inputs: { x: "f32" },
  outputs: { y: "f32" },
  params: { count: "u32", width: "u32", channels: "u32" },
  body: () =>
    elementMain(`
  let column = i / params.channels % params.width;
  let line = i / params.channels / params.width;
  let at = (4u * line * params.width + 2u * column) * params.channels + i % params.channels;
  let below = at + 2u * params.width * params.channels;
  y[i] = (x[at] + x[at + params.channels]) + (x[below] + x[below + params.channels]);`),
};

/** Records sums of 2×2 pixels of x into y. */
export function sumBlocks(recorder: Recorder, x: FloatTensor, y: FloatTensor): void {
  const [, , width, channels] = y.shape as [number, number, number, number];
  recordElements(recorder, SUM_BLOCKS, { x, y }, y.size, { width, channels });
}
