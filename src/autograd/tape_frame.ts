/**
 * Frames that remember what is recorded on them, so that gradients can be computed.
 *
 * @module
 */

import type {
  Activation,
  AdaLayerNormOptions,
  AttentionGradients,
  AttentionOptions,
  Columns,
  ConvGradientOptions,
  ConvOptions,
  ConvWeight,
  DiffusionLossTargets,
  DistanceKind,
  DType,
  Frame,
  GroupNormOptions,
  LayerNormOptions,
  LinearOptions,
  LinearWeight,
  NormGradients,
  PackOptions,
  PosteriorOptions,
  PredictStartOptions,
  RunOptions,
  Tensor,
} from "../backends/backend.ts";
import { recordCheckpoint } from "./checkpoint.ts";
import { attentionGradients, attentionInputs } from "./gradients/attention.ts";
import { conv2dGradients, type PackedKernel } from "./gradients/convolution.ts";
import { activateGradients, linearGradients, type PackedMatrix } from "./gradients/linear.ts";
import { diffusionLossGradients, distanceGradients } from "./gradients/loss.ts";
import {
  adaLayerNormGradients,
  groupNormGradients,
  layerNormGradients,
  normalizeRowsGradients,
} from "./gradients/norms.ts";
import {
  addGradients,
  embeddingGradients,
  gegluGradients,
  logSoftmaxGradients,
  multiplyGradients,
  repeatGradients,
  reshapeGradients,
  transposeGradients,
} from "./gradients/rows.ts";
import type { RecordGradients, TapeEntry } from "./tape.ts";

/**
 * A frame that keeps all results and a list of the operations that made them: no scope ends early, and
 * what would be added in place is added to a copy. Models run on it as on any frame, with the same
 * numbers; `backward` goes through the list from its end.
 *
 * The frame below stays its maker's, who runs and disposes of it.
 */
export class TapeFrame implements Frame {
  /** Where the operations are recorded, and gradients too. */
  readonly frame: Frame;
  readonly #recompute: boolean;
  readonly #entries: TapeEntry[] = [];
  readonly #matrices = new Map<LinearWeight, PackedMatrix>();
  readonly #kernels = new Map<ConvWeight, PackedKernel>();

  /**
   * Begins an empty tape.
   *
   * @param options.recompute Whether of a checkpoint only the result is kept, and the rest computed again for
   *   gradients: less memory, more time, the same numbers. Default false.
   */
  constructor(frame: Frame, { recompute = false }: { readonly recompute?: boolean } = {}) {
    this.frame = frame;
    this.#recompute = recompute;
  }

  /** The operations so far, in order. */
  get entries(): readonly TapeEntry[] {
    return this.#entries;
  }

  /** x, through which there are no gradients: the same memory. */
  detach(x: Tensor): Tensor {
    return this.frame.reshape(x, x.shape);
  }

  /** y, through which the gradients go to x instead, of the same number of elements. */
  straightThrough(x: Tensor, y: Tensor): Tensor {
    return this.#note("straightThrough", [x], this.detach(y), reshapeGradients());
  }

  empty<D extends DType>(shape: readonly number[], dtype: D): Tensor<D> {
    return this.frame.empty(shape, dtype);
  }

  /** Opens nothing: all results are kept. */
  scope(): Disposable {
    return { [Symbol.dispose]: () => {} };
  }

  keep<D extends DType>(x: Tensor<D>): Tensor<D> {
    return this.frame.keep(x);
  }

  checkpoint(x: Tensor, part: (frame: Frame, x: Tensor) => Tensor): Tensor {
    if (!this.#recompute) return part(this, x);
    const { inputs, result, gradients } = recordCheckpoint(() => this.#inside(), x, part);
    return this.#note("checkpoint", inputs, result, gradients);
  }

  run(options?: RunOptions): Promise<void> {
    return this.frame.run(options);
  }

  /** Does nothing: the frame below is its maker's. */
  dispose(): void {}

  /** Does nothing: the frame below is its maker's. */
  [Symbol.dispose](): void {}

  embedding(ids: Tensor<"i32">, table: Tensor, position?: Tensor): Tensor {
    const y = this.frame.embedding(ids, table, position);
    const inputs = position ? [table, position] : [table];
    return this.#note("embedding", inputs, y, embeddingGradients(ids, table, position));
  }

  /** Of a weight that was not packed on this tape there are no gradients, and none by x. */
  linear(x: Tensor, weight: LinearWeight, options: LinearOptions = {}): Tensor {
    const { activation = "none", addTo } = options;
    if (activation !== "none") return this.activate(this.linear(x, weight), activation);
    const sum = addTo && this.frame.repeat(addTo, 1);
    const y = this.frame.linear(x, weight, sum && { addTo: sum });
    const packed = this.#matrices.get(weight);
    if (packed === undefined) {
      const inputs = addTo ? [x, addTo] : [x];
      return this.#note("linear", inputs, y, noGradients("linear of a weight packed elsewhere"));
    }
    const { matrix, bias } = packed;
    const inputs = [x, matrix, ...(bias ? [bias] : []), ...(addTo ? [addTo] : [])];
    return this.#note("linear", inputs, y, linearGradients(x, packed, addTo));
  }

  geglu(x: Tensor): Tensor {
    return this.#note("geglu", [x], this.frame.geglu(x), gegluGradients(x));
  }

  attention(q: Columns, k: Columns, v: Columns, options: AttentionOptions): Tensor {
    const y = this.frame.attention(q, k, v, options);
    const gradients = attentionGradients(q, k, v, options);
    return this.#note("attention", attentionInputs(q, k, v), y, gradients);
  }

  layerNorm(x: Tensor, options: LayerNormOptions): Tensor {
    const y = this.frame.layerNorm(x, options);
    const inputs = [x, options.weight, options.bias];
    return this.#note("layerNorm", inputs, y, layerNormGradients(x, options));
  }

  adaLayerNorm(x: Tensor, options: AdaLayerNormOptions): Tensor {
    const y = this.frame.adaLayerNorm(x, options);
    return this.#note("adaLayerNorm", [x, options.table], y, adaLayerNormGradients(x, options));
  }

  groupNorm(x: Tensor, options: GroupNormOptions): Tensor {
    const y = this.frame.groupNorm(x, options);
    const inputs = [x, options.weight, options.bias];
    return this.#note("groupNorm", inputs, y, groupNormGradients(x, options));
  }

  /** Of a weight that was not packed on this tape there are no gradients, and none by x. */
  conv2d(x: Tensor, weight: ConvWeight, options: ConvOptions = {}): Tensor {
    const { addTo, ...sampling } = options;
    const sum = addTo && { addTo: this.frame.repeat(addTo, 1) };
    const y = this.frame.conv2d(x, weight, { ...sampling, ...sum });
    const packed = this.#kernels.get(weight);
    const added = addTo ? [addTo] : [];
    if (packed === undefined) {
      return this.#note(
        "conv2d",
        [x, ...added],
        y,
        noGradients("conv2d of a weight packed elsewhere"),
      );
    }
    const { kernel, bias } = packed;
    const inputs = [x, kernel, ...(bias ? [bias] : []), ...added];
    return this.#note("conv2d", inputs, y, conv2dGradients(x, packed, sampling, addTo));
  }

  transpose(x: Tensor): Tensor {
    return this.#note("transpose", [x], this.frame.transpose(x), transposeGradients());
  }

  reshape(x: Tensor, shape: readonly number[]): Tensor {
    return this.#note("reshape", [x], this.frame.reshape(x, shape), reshapeGradients());
  }

  repeat<D extends DType>(x: Tensor<D>, times: number): Tensor<D> {
    const y = this.frame.repeat(x, times);
    if (isFloats(x) && isFloats(y)) this.#note("repeat", [x], y, repeatGradients(x, times));
    return y;
  }

  normalizeRows(x: Tensor): Tensor {
    const y = this.frame.normalizeRows(x);
    return this.#note("normalizeRows", [x], y, normalizeRowsGradients(x));
  }

  nearestCode(x: Tensor, codebook: Tensor): Tensor<"i32"> {
    return this.frame.nearestCode(x, codebook);
  }

  logSoftmax(x: Tensor): Tensor {
    const y = this.frame.logSoftmax(x);
    return this.#note("logSoftmax", [x], y, logSoftmaxGradients(y));
  }

  rowMax(x: Tensor): Tensor {
    return this.#note("rowMax", [x], this.frame.rowMax(x), noGradients("rowMax"));
  }

  predictStart(logProbs: Tensor, options: PredictStartOptions): Tensor {
    const y = this.frame.predictStart(logProbs, options);
    return this.#note("predictStart", [logProbs], y, noGradients("predictStart"));
  }

  sharpen(logProbs: Tensor, best: Tensor, weight: Tensor): Tensor {
    const y = this.frame.sharpen(logProbs, best, weight);
    return this.#note("sharpen", [logProbs, best, weight], y, noGradients("sharpen"));
  }

  posterior(logProbs: Tensor, latents: Tensor<"i32">, options: PosteriorOptions): Tensor {
    const y = this.frame.posterior(logProbs, latents, options);
    return this.#note("posterior", [logProbs], y, noGradients("posterior"));
  }

  /** @throws {TypeError} Always: it replaces its argument. */
  sampleStep(): never {
    throw new TypeError("Cannot record sampleStep on a tape: it replaces its argument");
  }

  pack(matrix: Tensor, options: PackOptions = {}): LinearWeight {
    const weight = this.frame.pack(matrix, options);
    this.#matrices.set(weight, { matrix, ...options });
    return weight;
  }

  packConv(kernel: Tensor, options: PackOptions = {}): ConvWeight {
    const weight = this.frame.packConv(kernel, options);
    // The adjoint's is not that of a kernel: there are no gradients through it.
    const { bias, transpose = false } = options;
    if (!transpose) this.#kernels.set(weight, { kernel, ...(bias && { bias }) });
    return weight;
  }

  add(x: Tensor, y: Tensor): Tensor {
    return this.#note("add", [x, y], this.frame.add(x, y), addGradients());
  }

  multiply(x: Tensor, y: Tensor): Tensor {
    return this.#note("multiply", [x, y], this.frame.multiply(x, y), multiplyGradients(x, y));
  }

  scatterAdd(x: Tensor, ids: Tensor<"i32">, rows: number): Tensor {
    const y = this.frame.scatterAdd(x, ids, rows);
    return this.#note("scatterAdd", [x], y, noGradients("scatterAdd"));
  }

  activate(x: Tensor, activation: Activation): Tensor {
    const y = this.frame.activate(x, activation);
    return this.#note("activate", [x], y, activateGradients(x, activation));
  }

  activateGradient(x: Tensor, dy: Tensor, activation: Activation): Tensor {
    const dx = this.frame.activateGradient(x, dy, activation);
    return this.#note("activateGradient", [x, dy], dx, noGradients("activateGradient"));
  }

  gegluGradient(x: Tensor, dy: Tensor): Tensor {
    const dx = this.frame.gegluGradient(x, dy);
    return this.#note("gegluGradient", [x, dy], dx, noGradients("gegluGradient"));
  }

  logSoftmaxGradient(y: Tensor, dy: Tensor): Tensor {
    const dx = this.frame.logSoftmaxGradient(y, dy);
    return this.#note("logSoftmaxGradient", [y, dy], dx, noGradients("logSoftmaxGradient"));
  }

  layerNormGradient(
    x: Tensor,
    dy: Tensor,
    options: LayerNormOptions | AdaLayerNormOptions,
  ): NormGradients {
    const gradients = this.frame.layerNormGradient(x, dy, options);
    for (const dx of [gradients.x, gradients.affine]) {
      this.#note("layerNormGradient", [x, dy], dx, noGradients("layerNormGradient"));
    }
    return gradients;
  }

  groupNormGradient(x: Tensor, dy: Tensor, options: GroupNormOptions): NormGradients {
    const gradients = this.frame.groupNormGradient(x, dy, options);
    for (const dx of [gradients.x, gradients.affine]) {
      this.#note("groupNormGradient", [x, dy], dx, noGradients("groupNormGradient"));
    }
    return gradients;
  }

  normalizeRowsGradient(x: Tensor, dy: Tensor): Tensor {
    const dx = this.frame.normalizeRowsGradient(x, dy);
    return this.#note("normalizeRowsGradient", [x, dy], dx, noGradients("normalizeRowsGradient"));
  }

  conv2dWeightGradient(x: Tensor, dy: Tensor, options: ConvGradientOptions): Tensor {
    const dw = this.frame.conv2dWeightGradient(x, dy, options);
    return this.#note("conv2dWeightGradient", [x, dy], dw, noGradients("conv2dWeightGradient"));
  }

  dilate(x: Tensor, height: number, width: number): Tensor {
    const y = this.frame.dilate(x, height, width);
    return this.#note("dilate", [x], y, noGradients("dilate"));
  }

  sumBlocks(x: Tensor): Tensor {
    return this.#note("sumBlocks", [x], this.frame.sumBlocks(x), noGradients("sumBlocks"));
  }

  distance(x: Tensor, y: Tensor, kind: DistanceKind): Tensor {
    const z = this.frame.distance(x, y, kind);
    return this.#note("distance", [x, y], z, distanceGradients(x, y, kind));
  }

  distanceGradient(x: Tensor, y: Tensor, dy: Tensor, kind: DistanceKind): Tensor {
    const dx = this.frame.distanceGradient(x, y, dy, kind);
    return this.#note("distanceGradient", [x, y, dy], dx, noGradients("distanceGradient"));
  }

  attentionGradient(
    q: Columns,
    k: Columns,
    v: Columns,
    dy: Tensor,
    options: AttentionOptions,
  ): AttentionGradients {
    const gradients = this.frame.attentionGradient(q, k, v, dy, options);
    const inputs = [...attentionInputs(q, k, v), dy];
    for (const dx of [gradients.q, gradients.k, gradients.v]) {
      this.#note("attentionGradient", inputs, dx, noGradients("attentionGradient"));
    }
    return gradients;
  }

  diffusionLoss(logProbs: Tensor, options: DiffusionLossTargets): Tensor {
    const y = this.frame.diffusionLoss(logProbs, options);
    return this.#note("diffusionLoss", [logProbs], y, diffusionLossGradients(logProbs, options));
  }

  diffusionLossGradient(logProbs: Tensor, dy: Tensor, options: DiffusionLossTargets): Tensor {
    const dx = this.frame.diffusionLossGradient(logProbs, dy, options);
    const gradients = noGradients("diffusionLossGradient");
    return this.#note("diffusionLossGradient", [logProbs, dy], dx, gradients);
  }

  /** An empty tape on the same frame, on which weights that were packed on this one can be used. */
  #inside(): TapeFrame {
    const tape = new TapeFrame(this.frame);
    this.#matrices.forEach((matrix, weight) => tape.#matrices.set(weight, matrix));
    this.#kernels.forEach((kernel, weight) => tape.#kernels.set(weight, kernel));
    return tape;
  }

  #note(
    name: string,
    inputs: readonly Tensor[],
    result: Tensor,
    gradients: RecordGradients,
  ): Tensor {
    this.#entries.push({ name, inputs, result, gradients });
    return result;
  }
}

/** The gradients of an operation through which there are none. */
function noGradients(what: string): RecordGradients {
  return () => {
    throw new TypeError(`Cannot compute gradients through ${what}`);
  };
}

function isFloats(tensor: Tensor<DType>): tensor is Tensor {
  return tensor.dtype === "f32";
}
