/**
 * Frames of the Wasm backend: operations are recorded as commands in Wasm memory.
 *
 * @module
 */

import type {
  AdaLayerNormOptions,
  DType,
  GroupNormOptions,
  LayerNormOptions,
  RunOptions,
} from "../backend.ts";
import { CheckedFrame } from "../checked_frame.ts";
import type {
  AttentionInputs,
  Checked,
  CheckedColumns,
  ConvGeometry,
  Epilogue,
  PosteriorInputs,
  SampleStepInputs,
} from "../recording.ts";
import { columnsOf, rowsOf } from "../../base/shapes.ts";
import { Activation } from "../../../wasm/commands.ts";
import { type Addressed, NULL } from "./allocator.ts";
import type { Fields } from "./commands.ts";
import { Recorder } from "./recorder.ts";
import { type FloatTensor, type IntTensor, WasmTensor } from "./tensor.ts";
import type { WasmBackend } from "./wasm_backend.ts";
import { WasmConvWeight, WasmLinearWeight } from "./weights.ts";

/** Tiles of 6 rows are the smallest share of an attention worth packing its keys for. */
const FEWEST_CHUNK_QUERIES = 48;

const CLASSES = { tensor: WasmTensor, linear: WasmLinearWeight, conv: WasmConvWeight };

/** A frame of the Wasm backend. */
export class WasmFrame
  extends CheckedFrame<FloatTensor, IntTensor, WasmLinearWeight, WasmConvWeight> {
  readonly #backend: WasmBackend;
  readonly #recorder: Recorder;

  /** An empty frame. */
  constructor(backend: WasmBackend) {
    super(backend, CLASSES);
    this.#backend = backend;
    this.#recorder = new Recorder(backend);
  }

  scope(): Disposable {
    return this.#recorder.scope();
  }

  run(options?: RunOptions): Promise<void> {
    return this.#recorder.run(options);
  }

  dispose(): void {
    this.#recorder.dispose();
  }

  protected operation<T>(_name: string, record: () => T): T {
    this.#recorder.assertAlive();
    return record();
  }

  protected input<D extends DType>(shape: readonly number[], dtype: D): WasmTensor<D> {
    return this.#recorder.input(shape, dtype);
  }

  protected floats(shape: readonly number[]): FloatTensor {
    return this.#recorder.result(shape);
  }

  protected ints(shape: readonly number[]): IntTensor {
    return this.#recorder.result(shape, "i32");
  }

  protected view(x: FloatTensor, shape: readonly number[]): FloatTensor {
    return this.#recorder.view(x, shape);
  }

  protected recordEmbedding(
    ids: IntTensor,
    table: FloatTensor,
    position: FloatTensor | undefined,
    y: FloatTensor,
  ): void {
    this.#recorder.push("embedding", {
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

  protected recordLinear(
    x: FloatTensor,
    weight: WasmLinearWeight,
    y: FloatTensor,
    { activation, add }: Epilogue,
  ): void {
    const { inFeatures, outFeatures, panels, bias, scales, offsets } = weight;
    const sizes = { rows: rowsOf(x), n: outFeatures, k: inFeatures };
    const epilogue = { activation: Activation[activation], add };
    if (weight.dtype === "q8") {
      using _scope = this.scope();
      const rowBytes = this.#backend.kernels.quantizedRowBytes(inFeatures);
      const quantized = this.#recorder.scratch(sizes.rows * rowBytes);
      const xScales = this.#recorder.scratch(4 * sizes.rows);
      this.#recorder.push("quantizeRows", {
        x,
        out: quantized,
        scales: xScales,
        rows: sizes.rows,
        columns: inFeatures,
      });
      this.#recorder.push("linearQ8", {
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
      this.#recorder.push("linear", {
        x,
        weight: panels,
        bias,
        out: y,
        ...sizes,
        half: weight.dtype === "fp16",
        ...epilogue,
      });
    }
  }

  protected recordGeglu(x: FloatTensor, y: FloatTensor): void {
    this.#recorder.push("geglu", { x, out: y, rows: rowsOf(y), columns: columnsOf(y) });
  }

  protected recordAttention(inputs: AttentionInputs<FloatTensor>, y: FloatTensor): void {
    const { q, k, v, batch, heads, headDim, scale, causal } = inputs;
    // Enough chunks for all threads, even if there are few heads.
    const shares = Math.ceil(4 * this.#backend.device.threads / (batch * heads));
    const chunkQueries = Math.max(FEWEST_CHUNK_QUERIES, 6 * Math.ceil(q.rows / shares / 6));
    this.#recorder.push("attention", {
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

  protected recordLayerNorm(
    x: FloatTensor,
    { weight, bias, eps }: Checked<LayerNormOptions, FloatTensor, IntTensor>,
    y: FloatTensor,
  ): void {
    const sizes = { rows: rowsOf(x), columns: columnsOf(x) };
    this.#recorder.push("layerNorm", { x, weight, bias, out: y, ...sizes, eps });
  }

  protected recordAdaLayerNorm(
    x: FloatTensor,
    { table, timestep, eps }: Checked<AdaLayerNormOptions, FloatTensor, IntTensor>,
    y: FloatTensor,
  ): void {
    this.#recorder.push("adaLayerNorm", {
      x,
      table,
      timestep,
      out: y,
      rows: rowsOf(x),
      columns: columnsOf(x),
      timesteps: rowsOf(table),
      eps,
    });
  }

  protected recordGroupNorm(
    x: FloatTensor,
    options: Required<Checked<GroupNormOptions, FloatTensor, IntTensor>>,
    y: FloatTensor,
  ): void {
    const { weight, bias, groups, eps, silu } = options;
    const [batch, height, width, channels] = x.shape as [number, number, number, number];
    const pixels = height * width;
    using _scope = this.scope();
    const blocks = this.#backend.kernels.groupNormBlocks(pixels);
    const sumBytes = 2 * channels * Float64Array.BYTES_PER_ELEMENT;
    const command: Fields<"groupNormSums" | "groupNormApply"> = {
      x,
      out: y,
      sums: this.#recorder.scratch(batch * blocks * sumBytes),
      weight,
      bias,
      batch,
      pixels,
      channels,
      groups,
      eps,
      silu,
    };
    this.#recorder.push("groupNormSums", command);
    this.#recorder.push("groupNormApply", command);
  }

  protected recordConv2d(
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
      this.#recorder.push("winograd", { ...command, weight: panels });
    } else {
      const { matrix, kernelSize } = weight;
      this.#recorder.push("conv2d", { ...command, weight: matrix.panels, kernelSize, stride });
    }
  }

  protected recordTranspose(x: FloatTensor, y: FloatTensor): void {
    const [batch, rows, columns] = x.shape as [number, number, number];
    this.#recorder.push("transpose", { x, out: y, batch, rows, columns });
  }

  protected recordRepeat(x: FloatTensor, times: number, y: FloatTensor): void {
    this.#recorder.push("repeat", { x, out: y, times, size: x.size });
  }

  protected recordNormalizeRows(x: FloatTensor, y: FloatTensor): void {
    this.#recorder.push("normalizeRows", { x, out: y, rows: rowsOf(x), columns: columnsOf(x) });
  }

  protected recordNearestCode(x: FloatTensor, codebook: FloatTensor, y: IntTensor): void {
    const sizes = { rows: rowsOf(x), columns: columnsOf(x), codes: rowsOf(codebook) };
    this.#recorder.push("nearestCode", { x, codebook, out: y, ...sizes });
  }

  protected recordLogSoftmax(x: FloatTensor, y: FloatTensor): void {
    this.#recorder.push("logSoftmax", { x, out: y, rows: rowsOf(x), columns: columnsOf(x) });
  }

  protected recordPosterior(
    inputs: PosteriorInputs<FloatTensor, IntTensor>,
    y: FloatTensor,
  ): void {
    const { logProbs, latents, schedule, row, classes, lastRow } = inputs;
    this.#recorder.push("posterior", {
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

  protected recordSampleStep(inputs: SampleStepInputs<FloatTensor, IntTensor>): void {
    const { guidanceScale, truncationRate } = inputs;
    this.#recorder.push("sampleStep", {
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
    });
  }
}

/** Where the columns that an attention uses begin. */
function firstColumn({ tensor, offset }: CheckedColumns<FloatTensor>): Addressed {
  return { address: tensor.address + 4 * offset };
}
