/**
 * The operations of the Wasm backend: each is recorded as one command or two.
 *
 * @module
 */

import type { Device } from "../arguments.ts";
import type { AdaLayerNormOptions, LayerNormOptions } from "../backend.ts";
import type {
  AttentionInputs,
  Checked,
  CheckedColumns,
  ConvGeometry,
  Epilogue,
  GroupNormInputs,
  PosteriorInputs,
  PredictStartInputs,
  SampleStepInputs,
  SharpenInputs,
} from "../recording.ts";
import { columnsOf, rowsOf } from "../../base/shapes.ts";
import { Activation } from "../../../wasm/commands.ts";
import { type Addressed, NULL } from "./allocator.ts";
import type { Fields } from "./commands.ts";
import type { Recorder } from "./recorder.ts";
import type { FloatTensor, IntTensor, WasmTensor } from "./tensor.ts";
import { panelColumns, type WasmConvWeight, type WasmLinearWeight } from "./weights.ts";

/** Tiles of 6 rows are the smallest share of an attention worth packing its keys for. */
const FEWEST_CHUNK_QUERIES = 48;

/** Rows of a chunk of a product, as in `asm/linear.ts`; and columns. */
const LINEAR_CHUNK_ROWS = 192;
const FEWEST_CHUNK_COLUMNS = 64;
const MOST_CHUNK_COLUMNS = 256;

/** The types of the Wasm backend. */
export interface WasmDevice extends Device {
  readonly floats: FloatTensor;
  readonly ints: IntTensor;
  readonly linear: WasmLinearWeight;
  readonly conv: WasmConvWeight;
  readonly recorder: Recorder;
}

/** Records the rows of `table` for the ids, plus positions, into y. */
export function embedding(
  recorder: Recorder,
  ids: IntTensor,
  table: FloatTensor,
  position: FloatTensor | undefined,
  y: FloatTensor,
): void {
  recorder.push("embedding", {
    ids,
    table,
    position: position ?? NULL,
    out: y,
    count: ids.size,
    columns: columnsOf(table),
    positions: position ? rowsOf(position) : 1,
    tableRows: rowsOf(table),
  });
}

/** Records activation(x·Wᵀ + b) into y, or its addition to y. */
export function linear(
  recorder: Recorder,
  x: FloatTensor,
  weight: WasmLinearWeight,
  y: FloatTensor,
  { activation, add }: Epilogue,
): void {
  const { inFeatures, outFeatures, panels, bias, scales, offsets } = weight;
  const sizes = { rows: rowsOf(x), n: outFeatures, k: inFeatures };
  const epilogue = { activation: Activation[activation], add };
  if (weight.dtype === "q8") {
    using _scope = recorder.scope();
    const rowBytes = recorder.backend.kernels.quantizedRowBytes(inFeatures);
    const quantized = recorder.scratch(sizes.rows * rowBytes);
    const xScales = recorder.scratch(4 * sizes.rows);
    recorder.push("quantizeRows", {
      x,
      out: quantized,
      scales: xScales,
      rows: sizes.rows,
      columns: inFeatures,
    });
    recorder.push("linearQ8", {
      x: quantized,
      xScales,
      weight: panels,
      weightScales: scales,
      bias,
      offsets,
      out: y,
      ...sizes,
      ...epilogue,
    });
  } else {
    recorder.push("linear", {
      x,
      weight: panels,
      bias,
      out: y,
      ...sizes,
      half: weight.dtype === "fp16",
      ...epilogue,
      chunkColumns: linearChunkColumns(sizes.rows, sizes.n, recorder.backend.device.threads),
    });
  }
}

/** Columns of a chunk of a product: many, so that x is seldom read, but enough chunks for all threads. */
function linearChunkColumns(rows: number, columns: number, threads: number): number {
  const shares = Math.ceil(3 * threads / Math.ceil(rows / LINEAR_CHUNK_ROWS));
  const most = Math.ceil(columns / FEWEST_CHUNK_COLUMNS);
  const chunks = Math.max(Math.ceil(columns / MOST_CHUNK_COLUMNS), Math.min(shares, most));
  return panelColumns(Math.ceil(columns / chunks));
}

/** Records a · gelu(b) for the rows (a, b) of x into y. */
export function geglu(recorder: Recorder, x: FloatTensor, y: FloatTensor): void {
  recorder.push("geglu", { x, out: y, rows: rowsOf(y), columns: columnsOf(y) });
}

/** Records an attention into y. */
export function attention(
  recorder: Recorder,
  inputs: AttentionInputs<WasmDevice>,
  y: FloatTensor,
): void {
  const { q, k, v, batch, heads, headDim, scale, causal } = inputs;
  // Enough chunks for all threads, even if there are few heads.
  const shares = Math.ceil(4 * recorder.backend.device.threads / (batch * heads));
  const chunkQueries = Math.max(FEWEST_CHUNK_QUERIES, 6 * Math.ceil(q.rows / shares / 6));
  recorder.push("attention", {
    q: firstColumn(q),
    k: firstColumn(k),
    v: firstColumn(v),
    out: y,
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
    chunkQueries,
  });
}

/** Records a layer norm of x into y. */
export function layerNorm(
  recorder: Recorder,
  x: FloatTensor,
  { weight, bias, eps }: Checked<LayerNormOptions, WasmDevice>,
  y: FloatTensor,
): void {
  const sizes = { rows: rowsOf(x), columns: columnsOf(x) };
  recorder.push("layerNorm", { x, weight, bias, out: y, ...sizes, eps });
}

/** Records an adaptive layer norm of x into y. */
export function adaLayerNorm(
  recorder: Recorder,
  x: FloatTensor,
  { table, timestep, eps }: Checked<AdaLayerNormOptions, WasmDevice>,
  y: FloatTensor,
): void {
  recorder.push("adaLayerNorm", {
    x,
    table,
    timestep,
    out: y,
    rows: rowsOf(x),
    rowsEach: rowsOf(x) / timestep.size,
    columns: columnsOf(x),
    timesteps: rowsOf(table),
    eps,
  });
}

/** Records a group norm into y. */
export function groupNorm(
  recorder: Recorder,
  inputs: GroupNormInputs<WasmDevice>,
  y: FloatTensor,
): void {
  using _scope = recorder.scope();
  const command = { ...groupFields(recorder, inputs), out: y };
  recorder.push("groupNormSums", command);
  recorder.push("groupNormApply", command);
}

/** The fields that commands of a group norm share, with memory for sums. */
export function groupFields(
  recorder: Recorder,
  { x, weight, bias, groups, eps, silu }: GroupNormInputs<WasmDevice>,
): Omit<Fields<"groupNormSums">, "out"> {
  const [batch, height, width, channels] = x.shape as [number, number, number, number];
  const pixels = height * width;
  const blocks = recorder.backend.kernels.groupNormBlocks(pixels);
  const sumBytes = 2 * channels * Float64Array.BYTES_PER_ELEMENT;
  const sums = recorder.scratch(batch * blocks * sumBytes);
  return { x, sums, weight, bias, batch, pixels, channels, groups, eps, silu };
}

/** Records a convolution of x into y, or its addition to y. */
export function conv2d(
  recorder: Recorder,
  x: FloatTensor,
  weight: WasmConvWeight,
  y: FloatTensor,
  { shape, stride, upsample, add }: ConvGeometry,
): void {
  const [batch, height, width, inChannels] = x.shape as [number, number, number, number];
  const [, outHeight, outWidth, outChannels] = shape as [number, number, number, number];
  const command: Omit<Fields<"winograd">, "weight"> = {
    x,
    zero: weight.zero,
    bias: weight.matrix.bias,
    out: y,
    batch,
    height,
    width,
    inChannels,
    outHeight,
    outWidth,
    outChannels,
    upsample,
    add,
  };
  const panels = stride === 1 ? weight.winogradPanels() : undefined;
  if (panels !== undefined) {
    recorder.prepare(() => weight.packWinograd());
    recorder.push("winograd", { ...command, weight: panels });
  } else {
    const { matrix, kernelSize } = weight;
    recorder.push("conv2d", { ...command, weight: matrix.panels, kernelSize, stride });
  }
}

/** Records the transposes of the matrices of x into y. */
export function transpose(recorder: Recorder, x: FloatTensor, y: FloatTensor): void {
  const [batch, rows, columns] = x.shape as [number, number, number];
  recorder.push("transpose", { x, out: y, batch, rows, columns });
}

/** Records copies of x, one behind the other, into y. */
export function repeat(recorder: Recorder, x: WasmTensor, times: number, y: WasmTensor): void {
  recorder.push("repeat", { x, out: y, times, size: x.size });
}

/** Records the rows of x, divided by their L2 norms, into y. */
export function normalizeRows(recorder: Recorder, x: FloatTensor, y: FloatTensor): void {
  recorder.push("normalizeRows", { x, out: y, rows: rowsOf(x), columns: columnsOf(x) });
}

/** Records the index of the nearest row of the codebook for each row of x into y. */
export function nearestCode(
  recorder: Recorder,
  x: FloatTensor,
  codebook: FloatTensor,
  y: IntTensor,
): void {
  const sizes = { rows: rowsOf(x), columns: columnsOf(x), codes: rowsOf(codebook) };
  recorder.push("nearestCode", { x, codebook, out: y, ...sizes });
}

/** Records x − log Σ exp x for each row into y. */
export function logSoftmax(recorder: Recorder, x: FloatTensor, y: FloatTensor): void {
  recorder.push("logSoftmax", { x, out: y, rows: rowsOf(x), columns: columnsOf(x) });
}

/** Records the greatest element of each row of x into y. */
export function rowMax(recorder: Recorder, x: FloatTensor, y: FloatTensor): void {
  recorder.push("rowMax", { x, out: y, rows: rowsOf(x), columns: columnsOf(x) });
}

/** Records the guided and truncated prediction into y (batch, pixels, classes − 1). */
export function predictStart(
  recorder: Recorder,
  { logProbs, guidanceScale, truncationRate, topK }: PredictStartInputs<WasmDevice>,
  y: FloatTensor,
): void {
  recorder.push("predictStart", {
    logProbs,
    out: y,
    pixels: rowsOf(y),
    columns: columnsOf(y),
    guided: guidanceScale !== undefined,
    guidanceScale: guidanceScale ?? 1,
    truncated: truncationRate !== undefined,
    truncationRate: truncationRate ?? 1,
    topK: Math.min(topK ?? 0, columnsOf(y)),
  });
}

/** Records the sharpened prediction into y (batch, pixels, classes − 1). */
export function sharpen(
  recorder: Recorder,
  { logProbs, best, weight }: SharpenInputs<WasmDevice>,
  y: FloatTensor,
): void {
  const [batch, pixels, columns] = y.shape as [number, number, number];
  recorder.push("sharpen", { logProbs, best, weight, out: y, batch, pixels, columns });
}

/** Records the posterior into y (batch, pixels, classes). */
export function posterior(
  recorder: Recorder,
  inputs: PosteriorInputs<WasmDevice>,
  y: FloatTensor,
): void {
  const { logProbs, latents, schedule, row, classes, lastRow } = inputs;
  recorder.push("posterior", {
    logProbs,
    latents,
    schedule,
    row,
    out: y,
    pixels: latents.size,
    classes,
    lastRow,
  });
}

/** Records a denoising step of `latents`. */
export function sampleStep(recorder: Recorder, inputs: SampleStepInputs<WasmDevice>): void {
  const { guidanceScale, truncationRate, topK } = inputs;
  recorder.push("sampleStep", {
    logProbs: inputs.logProbs,
    latents: inputs.latents,
    noise: inputs.noise,
    schedule: inputs.schedule,
    row: inputs.row,
    batch: inputs.batch,
    pixels: inputs.pixels,
    classes: inputs.classes,
    lastRow: inputs.lastRow,
    guided: guidanceScale !== undefined,
    guidanceScale: guidanceScale ?? 1,
    truncated: truncationRate !== undefined,
    truncationRate: truncationRate ?? 1,
    topK: Math.min(topK ?? 0, inputs.classes),
  });
}

/** Where the columns that an attention uses begin. */
function firstColumn({ tensor, offset }: CheckedColumns<WasmDevice>): Addressed {
  return { address: tensor.address + 4 * offset };
}
