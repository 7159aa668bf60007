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
  ConvGeometry,
  Epilogue,
  PosteriorInputs,
  SampleStepInputs,
} from "../recording.ts";
import { columnsOf, rowsOf } from "../../base/shapes.ts";
import { ACTIVATIONS, float, Opcode } from "./commands.ts";
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
    this.#recorder.life.assertAlive();
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

  protected kept<D extends DType>(shape: readonly number[], dtype: D): WasmTensor<D> {
    return this.#recorder.kept(shape, dtype);
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
    this.#recorder.push(
      Opcode.embedding,
      ids.address,
      table.address,
      position?.address ?? 0,
      y.address,
      ids.size,
      columnsOf(table),
      position ? rowsOf(position) : 1,
      rowsOf(table),
    );
  }

  protected recordLinear(
    x: FloatTensor,
    weight: WasmLinearWeight,
    y: FloatTensor,
    { activation, add }: Epilogue,
  ): void {
    const rows = rowsOf(x);
    const { inFeatures, outFeatures, panels, bias } = weight;
    const sizes = [y.address, rows, outFeatures, inFeatures];
    const act = ACTIVATIONS[activation];
    if (weight.dtype === "q8") {
      using _scope = this.scope();
      const rowWords = this.#backend.kernels.quantizedRowBytes(inFeatures) / 4;
      const quantized = this.ints([rows, rowWords]).address;
      const scales = this.floats([rows]).address;
      const toInt8 = [x.address, quantized, scales, rows, inFeatures];
      this.#recorder.push(Opcode.quantizeRows, ...toInt8);
      const factors = [quantized, scales, panels, weight.scales, bias, weight.offsets];
      this.#recorder.push(Opcode.linearQ8, ...factors, ...sizes, act, add);
    } else {
      const half = weight.dtype === "fp16";
      this.#recorder.push(Opcode.linear, x.address, panels, bias, ...sizes, half, act, add);
    }
  }

  protected recordGeglu(x: FloatTensor, y: FloatTensor): void {
    this.#recorder.push(Opcode.geglu, x.address, y.address, rowsOf(y), columnsOf(y));
  }

  protected recordAttention(inputs: AttentionInputs<FloatTensor>, y: FloatTensor): void {
    const { q, k, v, batch, heads, headDim, scale, causal } = inputs;
    const columns = [q, k, v];
    // Enough chunks for all threads, even if there are few heads.
    const shares = Math.ceil(4 * this.#backend.device.threads / (batch * heads));
    const chunkQueries = Math.max(FEWEST_CHUNK_QUERIES, 6 * Math.ceil(q.rows / shares / 6));
    this.#recorder.push(
      Opcode.attention,
      ...columns.map(({ tensor, offset }) => tensor.address + 4 * offset),
      y.address,
      ...columns.map(({ tensor }) => 4 * columnsOf(tensor)),
      batch,
      heads,
      headDim,
      q.rows,
      k.rows,
      float(scale),
      causal,
      chunkQueries,
    );
  }

  protected recordLayerNorm(
    x: FloatTensor,
    { weight, bias, eps }: Checked<LayerNormOptions, FloatTensor, IntTensor>,
    y: FloatTensor,
  ): void {
    this.#recordNorm(x, eps, [weight.address, bias.address, false, 0], y);
  }

  protected recordAdaLayerNorm(
    x: FloatTensor,
    { table, timestep, eps }: Checked<AdaLayerNormOptions, FloatTensor, IntTensor>,
    y: FloatTensor,
  ): void {
    this.#recordNorm(x, eps, [table.address, timestep.address, true, rowsOf(table)], y);
  }

  /** @param parameters Addresses of both, whether they are adaptive, and the rows of the table. */
  #recordNorm(
    x: FloatTensor,
    eps: number,
    parameters: readonly [number, number, boolean, number],
    y: FloatTensor,
  ): void {
    const sizes = [rowsOf(x), columnsOf(x), float(eps)];
    this.#recorder.push(Opcode.layerNorm, x.address, y.address, ...sizes, ...parameters);
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
    const sums = this.floats([batch, blocks, 2, 2 * channels]);
    const fields = [
      x.address,
      y.address,
      sums.address,
      weight.address,
      bias.address,
      batch,
      pixels,
      channels,
      groups,
      float(eps),
      silu,
    ];
    this.#recorder.push(Opcode.groupNormSums, ...fields);
    this.#recorder.push(Opcode.groupNormApply, ...fields);
  }

  protected recordConv2d(
    x: FloatTensor,
    weight: WasmConvWeight,
    y: FloatTensor,
    { shape, stride, upsample, add }: ConvGeometry,
  ): void {
    const from = [x.address, weight.zero];
    const to = [weight.matrix.bias, y.address];
    const sizes = [...x.shape, ...shape.slice(1)];
    const panels = stride === 1 ? weight.winogradPanels() : undefined;
    if (panels !== undefined) {
      this.#recorder.push(Opcode.winograd, ...from, panels, ...to, ...sizes, upsample, add);
    } else {
      const direct = weight.matrix.panels;
      const kernel = [weight.kernelSize, stride, upsample, add];
      this.#recorder.push(Opcode.convolution, ...from, direct, ...to, ...sizes, ...kernel);
    }
  }

  protected recordTranspose(x: FloatTensor, y: FloatTensor): void {
    this.#recorder.push(Opcode.transpose, x.address, y.address, ...x.shape);
  }

  protected recordRepeat(x: WasmTensor, times: number, y: WasmTensor): void {
    this.#recorder.push(Opcode.repeat, x.address, y.address, times, x.size);
  }

  protected recordNormalizeRows(x: FloatTensor, y: FloatTensor): void {
    this.#recorder.push(Opcode.normalizeRows, x.address, y.address, rowsOf(x), columnsOf(x));
  }

  protected recordNearestCode(x: FloatTensor, codebook: FloatTensor, y: IntTensor): void {
    const sizes = [rowsOf(x), columnsOf(x), rowsOf(codebook)];
    this.#recorder.push(Opcode.nearestCode, x.address, codebook.address, y.address, ...sizes);
  }

  protected recordLogSoftmax(x: FloatTensor, y: FloatTensor): void {
    this.#recorder.push(Opcode.logSoftmax, x.address, y.address, rowsOf(x), columnsOf(x));
  }

  protected recordPosterior(
    inputs: PosteriorInputs<FloatTensor, IntTensor>,
    y: FloatTensor,
  ): void {
    const { logProbs, latents, schedule, row, classes, timesteps } = inputs;
    this.#recorder.push(
      Opcode.posterior,
      logProbs.address,
      latents.address,
      schedule.address,
      row.address,
      y.address,
      latents.size,
      classes,
      timesteps,
    );
  }

  protected recordSampleStep(inputs: SampleStepInputs<FloatTensor, IntTensor>): void {
    const { logProbs, latents, noise, schedule, row } = inputs;
    const { batch, pixels, classes, timesteps, guidanceScale, truncationRate } = inputs;
    this.#recorder.push(
      Opcode.sampleStep,
      logProbs.address,
      latents.address,
      noise.address,
      schedule.address,
      row.address,
      batch,
      pixels,
      classes,
      timesteps,
      guidanceScale !== undefined,
      float(guidanceScale ?? 1),
      truncationRate !== undefined,
      float(truncationRate ?? 1),
    );
  }
}
