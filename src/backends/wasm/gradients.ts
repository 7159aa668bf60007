/**
 * The operations of training on the Wasm backend: each is recorded as one command.
 *
 * @module
 */

import type { Activation as ActivationName, DistanceKind } from "../backend.ts";
import type {
  AttentionInputs,
  CheckedColumns,
  ConvGradientInputs,
  DiffusionLossInputs,
  GroupNormInputs,
  LayerNormGradientInputs,
} from "../recording.ts";
import { columnsOf, rowsOf } from "../../base/shapes.ts";
import { Activation } from "../../../wasm/commands.ts";
import { type Addressed, NULL } from "./allocator.ts";
import type { Fields } from "./commands.ts";
import { groupFields, type WasmDevice } from "./operations.ts";
import type { Recorder } from "./recorder.ts";
import type { FloatTensor, IntTensor } from "./tensor.ts";
import type { WasmConvWeight, WasmLinearWeight } from "./weights.ts";

/** Records the packing of a matrix, or of its transpose, into y. */
export function pack(
  recorder: Recorder,
  matrix: FloatTensor,
  bias: FloatTensor | undefined,
  transpose: boolean,
  y: WasmLinearWeight,
): void {
  recorder.push("pack", {
    x: matrix,
    bias: bias ?? NULL,
    out: y.panels,
    outBias: y.bias,
    n: y.outFeatures,
    k: y.inFeatures,
    transposed: transpose,
  });
}

/** Records the packing of a convolution's weight, or of that of the adjoint, into y. */
export function packConv(
  recorder: Recorder,
  weight: FloatTensor,
  bias: FloatTensor | undefined,
  transpose: boolean,
  y: WasmConvWeight,
): void {
  recorder.push("packConv", {
    weight,
    bias: bias ?? NULL,
    out: y.matrix.panels,
    outBias: y.matrix.bias,
    zero: y.zero,
    n: y.outChannels,
    k: y.inChannels,
    taps: y.kernelSize ** 2,
    transposed: transpose,
  });
}

/** Records x + y into z. */
export function add(recorder: Recorder, x: FloatTensor, y: FloatTensor, z: FloatTensor): void {
  recorder.push("add", { x, other: y, out: z, count: x.size, activation: Activation.none });
}

/** Records x · y into z. */
export function multiply(
  recorder: Recorder,
  x: FloatTensor,
  y: FloatTensor,
  z: FloatTensor,
): void {
  recorder.push("multiply", { x, other: y, out: z, count: x.size, activation: Activation.none });
}

/** Records sums of the rows of x into the rows of y that the ids name. */
export function scatterAdd(
  recorder: Recorder,
  x: FloatTensor,
  ids: IntTensor,
  y: FloatTensor,
): void {
  recorder.push("scatterAdd", {
    x,
    ids,
    out: y,
    count: ids.size,
    rowsEach: rowsOf(x) / ids.size,
    columns: columnsOf(x),
    outRows: rowsOf(y),
  });
}

/** Records activation(x) into y. */
export function activate(
  recorder: Recorder,
  x: FloatTensor,
  activation: ActivationName,
  y: FloatTensor,
): void {
  const elements = { count: x.size, activation: Activation[activation] };
  recorder.push("activate", { x, other: NULL, out: y, ...elements });
}

/** Records dy · activation′(x) into dx. */
export function activateGradient(
  recorder: Recorder,
  x: FloatTensor,
  dy: FloatTensor,
  activation: ActivationName,
  dx: FloatTensor,
): void {
  const elements = { count: x.size, activation: Activation[activation] };
  recorder.push("activateGradient", { x, other: dy, out: dx, ...elements });
}

/** Records the gradient of geglu into dx. */
export function gegluGradient(
  recorder: Recorder,
  x: FloatTensor,
  dy: FloatTensor,
  dx: FloatTensor,
): void {
  const sizes = { rows: rowsOf(x), columns: columnsOf(x) / 2 };
  recorder.push("gegluGradient", { x, dy, out: dx, ...sizes });
}

/** Records the gradient of logSoftmax, whose result is y, into dx. */
export function logSoftmaxGradient(
  recorder: Recorder,
  y: FloatTensor,
  dy: FloatTensor,
  dx: FloatTensor,
): void {
  const sizes = { rows: rowsOf(y), columns: columnsOf(y) };
  recorder.push("logSoftmaxGradient", { x: y, dy, out: dx, ...sizes });
}

/** Records the gradients of a norm of rows into dx and, for each row, into `affine`. */
export function layerNormGradient(
  recorder: Recorder,
  { x, dy, factors, timestep, eps }: LayerNormGradientInputs<WasmDevice>,
  dx: FloatTensor,
  affine: FloatTensor,
): void {
  recorder.push("layerNormGradient", {
    x,
    dy,
    factors,
    timestep: timestep ?? NULL,
    out: dx,
    affine,
    rows: rowsOf(x),
    rowsEach: rowsOf(x) / (timestep?.size ?? 1),
    columns: columnsOf(x),
    timesteps: rowsOf(factors),
    eps,
  });
}

/** Records the gradients of a group norm into dx and, for each image, into `affine`. */
export function groupNormGradient(
  recorder: Recorder,
  inputs: GroupNormInputs<WasmDevice>,
  dy: FloatTensor,
  dx: FloatTensor,
  affine: FloatTensor,
): void {
  using _scope = recorder.scope();
  const fields = { ...groupFields(recorder, inputs), out: dx };
  const { batch, pixels, channels } = fields;
  const blocks = recorder.backend.kernels.groupNormBlocks(pixels);
  const slopes = recorder.scratch(4 * batch * blocks * 2 * channels);
  recorder.push("groupNormSums", fields);
  recorder.push("groupNormGradient", { ...fields, dy, slopes, affine });
  recorder.push("groupNormGradientApply", { ...fields, dy, slopes, affine });
}

/** Records the gradient of normalizeRows into dx. */
export function normalizeRowsGradient(
  recorder: Recorder,
  x: FloatTensor,
  dy: FloatTensor,
  dx: FloatTensor,
): void {
  const sizes = { rows: rowsOf(x), columns: columnsOf(x) };
  recorder.push("normalizeRowsGradient", { x, dy, out: dx, ...sizes });
}

/** Pixels of the smallest slice of a gradient by a weight, and the most slices. */
const SLICE_PIXELS = 512;
const MOST_SLICES = 16;

/** Records the gradient of a convolution by its weight into dw. */
export function conv2dWeightGradient(
  recorder: Recorder,
  { x, dy, kernelSize, stride, upsample }: ConvGradientInputs<WasmDevice>,
  dw: FloatTensor,
): void {
  const [batch, height, width, inChannels] = x.shape as [number, number, number, number];
  const [, outHeight, outWidth, outChannels] = dy.shape as [number, number, number, number];
  const passes = Math.ceil(batch * outHeight * outWidth / SLICE_PIXELS);
  const slicePixels = SLICE_PIXELS * Math.ceil(passes / MOST_SLICES);
  const slices = Math.ceil(batch * outHeight * outWidth / slicePixels);
  using _scope = recorder.scope();
  const partial = Math.ceil(outChannels / 6) * 6 * kernelSize ** 2 * Math.ceil(inChannels / 8) * 8;
  const command: Fields<"conv2dWeightGradient"> = {
    x,
    dy,
    partial: recorder.scratch(4 * slices * partial),
    out: dw,
    ...{ batch, height, width, inChannels, outHeight, outWidth, outChannels },
    ...{ kernelSize, stride, slicePixels, slices, upsample },
  };
  recorder.push("conv2dWeightGradient", command);
  recorder.push("conv2dWeightGradientSum", command);
}

/** Records the pixels of x at odd places of y. */
export function dilate(recorder: Recorder, x: FloatTensor, y: FloatTensor): void {
  const [batch, height, width, channels] = y.shape as [number, number, number, number];
  recorder.push("dilate", { x, out: y, batch, height, width, channels });
}

/** Records sums of 2×2 pixels of x into y. */
export function sumBlocks(recorder: Recorder, x: FloatTensor, y: FloatTensor): void {
  const [batch, height, width, channels] = x.shape as [number, number, number, number];
  recorder.push("sumBlocks", { x, out: y, batch, height, width, channels });
}

/** Records |x − y| or (x − y)² into z. */
export function distance(
  recorder: Recorder,
  x: FloatTensor,
  y: FloatTensor,
  kind: DistanceKind,
  z: FloatTensor,
): void {
  recorder.push("distance", { x, y, dy: NULL, out: z, count: x.size, squared: kind === "l2" });
}

/** Records the gradient of that by x into dx. */
export function distanceGradient(
  recorder: Recorder,
  x: FloatTensor,
  y: FloatTensor,
  dy: FloatTensor,
  kind: DistanceKind,
  dx: FloatTensor,
): void {
  recorder.push("distanceGradient", { x, y, dy, out: dx, count: x.size, squared: kind === "l2" });
}

/** Records the gradients of an attention. */
export function attentionGradient(
  recorder: Recorder,
  { q, k, v, batch, heads, headDim, scale, causal }: AttentionInputs<WasmDevice>,
  dy: FloatTensor,
  dq: FloatTensor,
  dk: FloatTensor,
  dv: FloatTensor,
): void {
  recorder.push("attentionGradient", {
    q: firstColumn(q.tensor, q),
    k: firstColumn(k.tensor, k),
    v: firstColumn(v.tensor, v),
    dy,
    dq: firstColumn(dq, q),
    dk: firstColumn(dk, k),
    dv: firstColumn(dv, v),
    qStride: columnsOf(q.tensor),
    kStride: columnsOf(k.tensor),
    vStride: columnsOf(v.tensor),
    batch,
    heads,
    headDim,
    queries: q.rows,
    keys: k.rows,
    scale,
    causal,
  });
}

/** Where the columns that an attention uses begin, in their tensor or in its gradient. */
function firstColumn(
  tensor: FloatTensor,
  { offset }: Pick<CheckedColumns<WasmDevice>, "offset">,
): Addressed {
  return { address: tensor.address + 4 * offset };
}

/** Records the terms of the diffusion loss into y. */
export function diffusionLoss(
  recorder: Recorder,
  inputs: DiffusionLossInputs<WasmDevice>,
  y: FloatTensor,
): void {
  recorder.push("diffusionLoss", { ...inputs, out: y });
}

/** Records their gradient by the prediction into dx. */
export function diffusionLossGradient(
  recorder: Recorder,
  inputs: DiffusionLossInputs<WasmDevice>,
  dy: FloatTensor,
  dx: FloatTensor,
): void {
  recorder.push("diffusionLossGradient", { ...inputs, dy, out: dx });
}
