/**
 * Frames of the WebGPU backend: operations are recorded as dispatches of kernels.
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
import { recordAttention } from "./kernels/attention.ts";
import { recordConvolution } from "./kernels/convolution.ts";
import { EXACT_SUM_TERMS } from "./kernels/math.ts";
import { denseFactor, recordMatmul } from "./kernels/linear.ts";
import { recordAdaLayerNorm, recordGroupNorm, recordLayerNorm } from "./kernels/norms.ts";
import { recordPosterior } from "./kernels/posterior.ts";
import type { Recorder } from "./recorder.ts";
import * as rows from "./kernels/rows.ts";
import { recordSampleStep } from "./kernels/sampling.ts";
import { type FloatTensor, type IntTensor, WebGpuTensor } from "./tensor.ts";
import { WebGpuConvWeight, WebGpuLinearWeight } from "./weights.ts";

const CLASSES = {
  tensor: WebGpuTensor,
  linear: WebGpuLinearWeight,
  conv: WebGpuConvWeight,
  mostSummed: EXACT_SUM_TERMS,
};

/** A frame of the WebGPU backend. */
export class WebGpuFrame
  extends CheckedFrame<FloatTensor, IntTensor, WebGpuLinearWeight, WebGpuConvWeight> {
  readonly #recorder: Recorder;

  /** A frame that records to `recorder`. */
  constructor(recorder: Recorder) {
    super(recorder.backend, CLASSES);
    this.#recorder = recorder;
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

  protected operation<T>(name: string, record: () => T): T {
    return this.#recorder.operation(name, record);
  }

  protected input<D extends DType>(shape: readonly number[], dtype: D): WebGpuTensor<D> {
    return this.#recorder.input(shape, dtype);
  }

  protected floats(shape: readonly number[]): FloatTensor {
    return this.#recorder.result(shape);
  }

  protected ints(shape: readonly number[]): IntTensor {
    return this.#recorder.result(shape, "i32");
  }

  protected kept<D extends DType>(shape: readonly number[], dtype: D): WebGpuTensor<D> {
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
    rows.recordEmbedding(this.#recorder, ids, table, position, y);
  }

  protected recordLinear(
    x: FloatTensor,
    { matrix, inFeatures }: WebGpuLinearWeight,
    y: FloatTensor,
    epilogue: Epilogue,
  ): void {
    const left = { factor: denseFactor(inFeatures), params: { inner: inFeatures } };
    recordMatmul(this.#recorder, left, x, matrix, y, epilogue);
  }

  protected recordGeglu(x: FloatTensor, y: FloatTensor): void {
    rows.recordGeglu(this.#recorder, x, y);
  }

  protected recordAttention(inputs: AttentionInputs<FloatTensor>, y: FloatTensor): void {
    recordAttention(this.#recorder, inputs, y);
  }

  protected recordLayerNorm(
    x: FloatTensor,
    options: Checked<LayerNormOptions, FloatTensor, IntTensor>,
    y: FloatTensor,
  ): void {
    recordLayerNorm(this.#recorder, x, options, y);
  }

  protected recordAdaLayerNorm(
    x: FloatTensor,
    options: Checked<AdaLayerNormOptions, FloatTensor, IntTensor>,
    y: FloatTensor,
  ): void {
    recordAdaLayerNorm(this.#recorder, x, options, y);
  }

  protected recordGroupNorm(
    x: FloatTensor,
    options: Required<Checked<GroupNormOptions, FloatTensor, IntTensor>>,
    y: FloatTensor,
  ): void {
    recordGroupNorm(this.#recorder, x, options, y);
  }

  protected recordConv2d(
    x: FloatTensor,
    weight: WebGpuConvWeight,
    y: FloatTensor,
    geometry: ConvGeometry,
  ): void {
    recordConvolution(this.#recorder, x, weight, y, geometry);
  }

  protected recordTranspose(x: FloatTensor, y: FloatTensor): void {
    rows.recordTranspose(this.#recorder, x, y);
  }

  protected recordRepeat(x: WebGpuTensor, _times: number, y: WebGpuTensor): void {
    rows.recordRepeat(this.#recorder, x, y);
  }

  protected recordNormalizeRows(x: FloatTensor, y: FloatTensor): void {
    rows.recordNormalizeRows(this.#recorder, x, y);
  }

  protected recordNearestCode(x: FloatTensor, codebook: FloatTensor, y: IntTensor): void {
    rows.recordNearestCode(this.#recorder, x, codebook, y);
  }

  protected recordLogSoftmax(x: FloatTensor, y: FloatTensor): void {
    rows.recordLogSoftmax(this.#recorder, x, y);
  }

  protected recordPosterior(
    inputs: PosteriorInputs<FloatTensor, IntTensor>,
    y: FloatTensor,
  ): void {
    recordPosterior(this.#recorder, inputs, y);
  }

  protected recordSampleStep(inputs: SampleStepInputs<FloatTensor, IntTensor>): void {
    recordSampleStep(this.#recorder, inputs);
  }
}
