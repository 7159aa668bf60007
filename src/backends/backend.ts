/**
 * What a model may ask of a device. A model is written once, as calls of the operations of a
 * {@linkcode Frame}; a backend is an implementation of them. This file knows no model, and no
 * operation here knows which device it runs on.
 *
 * Conventions: arrays are dense and row-major. A tensor of shape (a, b, c) given where "rows" are
 * expected has a·b rows of c columns. Images inside the networks are (batch, height, width,
 * channels), so that a pixel is a row. All arithmetic is float32 unless said otherwise.
 *
 * @module
 */

import type { ConvWeight, LinearWeight } from "./weights.ts";
import type {
  Activation,
  AttentionOptions,
  ConvGradientOptions,
  ConvSampling,
  DataOf,
  DeviceInfo,
  DistanceKind,
  DType,
  FrameOptions,
  HeldMemory,
  HostArray,
  LinearWeightSources,
  MemoryUse,
  RunOptions,
} from "./values.ts";

export * from "./values.ts";
export type { ConvWeight, LinearWeight } from "./weights.ts";

/** An array in the memory of a device. */
export interface Tensor<D extends DType = "f32"> extends Disposable {
  /** Backend whose memory it lies in. */
  readonly backend: Backend;
  /** Lengths of the dimensions, outermost first. */
  readonly shape: readonly number[];
  /** Element type. */
  readonly dtype: D;
  /**
   * Reads the elements once all work submitted so far has been done, into an array of the caller's.
   *
   * @throws {ReferenceError} If the tensor was disposed of.
   * @throws The error of its frame's last run, if that failed.
   */
  data(): Promise<DataOf<D>>;
  /**
   * Replaces all elements. Takes effect after the runs submitted so far and before those submitted
   * later; `values` may be reused at once.
   *
   * @throws {RangeError} If the number of values is not the number of elements.
   */
  write(values: DataOf<D>): void;
  /** Gives the memory back. Tensors of a frame go with the frame and need no call, unless they are kept. */
  dispose(): void;
}

/** Options of {@linkcode Frame.linear}. */
export interface LinearOptions {
  /** Applied after the bias. Default `"none"`. */
  readonly activation?: Activation;
  /**
   * Tensor of the result's size, another one than the argument, that the result is added to, in
   * place, instead of making a new one. Not beside an activation.
   */
  readonly addTo?: Tensor;
}

/** Columns `offset … offset + heads · headDim` of a tensor's rows. */
export interface Columns {
  /** Tensor of (rows, columns). */
  readonly tensor: Tensor;
  /** First column. */
  readonly offset: number;
}

/** Options of {@linkcode Frame.conv2d}. */
export interface ConvOptions extends ConvSampling {
  /** Tensor of the result's size, another one than the argument, that the result is added to, in place. */
  readonly addTo?: Tensor;
}

/** Options of {@linkcode Frame.layerNorm}: both parameters have one element per column. */
export interface LayerNormOptions {
  /** Factor on each column. */
  readonly weight: Tensor;
  /** Added to each column. */
  readonly bias: Tensor;
  /** Added to the variance. */
  readonly eps: number;
}

/** Options of {@linkcode Frame.adaLayerNorm}. */
export interface AdaLayerNormOptions {
  /** (timesteps, 2 · columns): for each timestep the scales, then the shifts. */
  readonly table: Tensor;
  /** The row of `table` to use: one element, or one for each sequence (first dimension) of x. */
  readonly timestep: Tensor<"i32">;
  /** Added to the variance. */
  readonly eps: number;
}

/** Options of {@linkcode Frame.groupNorm}. */
export interface GroupNormOptions {
  /** Factor on each channel. */
  readonly weight: Tensor;
  /** Added to each channel. */
  readonly bias: Tensor;
  /** Number of groups of channels. */
  readonly groups: number;
  /** Added to the variance. */
  readonly eps: number;
  /** Whether SiLU follows. Default false. */
  readonly silu?: boolean;
}

/** What {@linkcode Frame.posterior} and {@linkcode Frame.sampleStep} share. */
export interface PosteriorOptions {
  /** (rows, 6): see {@linkcode SCHEDULE_COLUMNS}. */
  readonly schedule: Tensor;
  /** One element: the row of `schedule` that the step goes from, to the row before it; from row 0 to x_0. */
  readonly row: Tensor<"i32">;
}

/** Options of {@linkcode Frame.sampleStep}. */
export interface SampleStepOptions extends PosteriorOptions {
  /** (batch, pixels), ids 0 … classes − 1, the last being the mask; replaced by those that the step leads to. */
  readonly latents: Tensor<"i32">;
  /**
   * Uniform numbers in [0, 1), (batch, classes, pixels). From row 0 no mask can follow: then the
   * first batch · (classes − 1) · pixels elements count, as (batch, classes − 1, pixels).
   */
  readonly noise: Tensor;
  /**
   * Scale s of classifier-free guidance. If given, `logProbs` holds the unconditional batch and then
   * the conditional one, and l = u + s (c − u), normalised again, takes their place.
   */
  readonly guidanceScale?: number | undefined;
  /**
   * Keeps the most probable classes until their sum passes this rate; the others get probability
   * zero. If given, log p is then clamped at −70 from below. Not given: neither happens.
   */
  readonly truncationRate?: number | undefined;
  /**
   * Keeps at most so many classes, the most probable ones and of equals the first, as `truncationRate`
   * does; of both the one that keeps fewer counts.
   */
  readonly topK?: number | undefined;
}

/** Options of {@linkcode Frame.predictStart}. */
export type PredictStartOptions = Pick<
  SampleStepOptions,
  "guidanceScale" | "truncationRate" | "topK"
>;

/** Options of {@linkcode GradientOperations.pack} and `packConv`. */
export interface PackOptions {
  /** One bias for each column of the result. Default: none. */
  readonly bias?: Tensor;
  /** Whether what is given is the transpose; of a convolution, whether its adjoint is meant. Default false. */
  readonly transpose?: boolean;
}

/** Result of {@linkcode GradientOperations.layerNormGradient} and `groupNormGradient`. */
export interface NormGradients {
  /** Gradient by x. */
  readonly x: Tensor;
  /** For each row, or each image, the gradients by the factors of its columns, then by their shifts. */
  readonly affine: Tensor;
}

/**
 * Result of {@linkcode GradientOperations.attentionGradient}: gradients by the tensors that hold queries,
 * keys and values. Where they lie in one tensor, so do their gradients.
 */
export interface AttentionGradients {
  /** By the tensor of the queries. */
  readonly q: Tensor;
  /** By the tensor of the keys. */
  readonly k: Tensor;
  /** By the tensor of the values. */
  readonly v: Tensor;
}

/** What {@linkcode GradientOperations.diffusionLoss} compares a prediction with. */
export interface DiffusionLossTargets {
  /** The image (batch, pixels), ids 0 … classes − 2. */
  readonly x0: Tensor<"i32">;
  /** The same with noise (batch, pixels), ids 0 … classes − 1, the last being the mask. */
  readonly xt: Tensor<"i32">;
  /** (rows, 6): see `SCHEDULE_COLUMNS`. */
  readonly schedule: Tensor;
  /** (batch): for each image the row of `schedule` of its timestep. */
  readonly row: Tensor<"i32">;
}

/** The operations that training needs besides those of models. */
export interface GradientOperations {
  /** The weight (outFeatures, inFeatures) of a linear layer, in the memory of the frame, as float32. */
  pack(matrix: Tensor, options?: PackOptions): LinearWeight;
  /** The weight of a convolution of (outChannels, inChannels, k, k); with `transpose` that of its adjoint. */
  packConv(weight: Tensor, options?: PackOptions): ConvWeight;
  /** x + y, of the same number of elements: the shape of x. */
  add(x: Tensor, y: Tensor): Tensor;
  /** x · y, elementwise, of the same number of elements: the shape of x. */
  multiply(x: Tensor, y: Tensor): Tensor;
  /**
   * Sums of rows, the adjoint of `embedding`: (…ids, …, columns) → (rows, columns), row r of which is the
   * sum of all rows of x whose id is r. Where x has several rows for an id, they follow each other.
   */
  scatterAdd(x: Tensor, ids: Tensor<"i32">, rows: number): Tensor;
  /** activation(x), elementwise. */
  activate(x: Tensor, activation: Activation): Tensor;
  /** dy · activation′(x), elementwise. */
  activateGradient(x: Tensor, dy: Tensor, activation: Activation): Tensor;
  /** Gradient of `geglu` by x (rows, 2n), for dy (rows, n). */
  gegluGradient(x: Tensor, dy: Tensor): Tensor;
  /** Gradient of `logSoftmax`, by its result y: dy − exp(y) · Σ dy for each row. */
  logSoftmaxGradient(y: Tensor, dy: Tensor): Tensor;
  /** Gradients of `layerNorm` or `adaLayerNorm` by x, and for each row by factors and shifts. */
  layerNormGradient(
    x: Tensor,
    dy: Tensor,
    options: LayerNormOptions | AdaLayerNormOptions,
  ): NormGradients;
  /** Gradients of `groupNorm` by x, and for each image by the factors and shifts of channels. */
  groupNormGradient(x: Tensor, dy: Tensor, options: GroupNormOptions): NormGradients;
  /** Gradient of `normalizeRows` by x. */
  normalizeRowsGradient(x: Tensor, dy: Tensor): Tensor;
  /** Gradient of `conv2d` of x by the weight, (outChannels, inChannels, kernelSize, kernelSize). */
  conv2dWeightGradient(x: Tensor, dy: Tensor, options: ConvGradientOptions): Tensor;
  /**
   * Pixel (i, j) of x (batch, ⌊height / 2⌋, ⌊width / 2⌋, channels) at (2i + 1, 2j + 1), zeros elsewhere.
   * Convolved by the transposed weight, it is the adjoint of a convolution of stride 2.
   */
  dilate(x: Tensor, height: number, width: number): Tensor;
  /** Sums of 2×2 pixels, the adjoint of doubling: (batch, 2h, 2w, channels) → (batch, h, w, channels). */
  sumBlocks(x: Tensor): Tensor;
  /** |x − y| or (x − y)², elementwise, of the same number of elements: the shape of x. */
  distance(x: Tensor, y: Tensor, kind: DistanceKind): Tensor;
  /** Gradient of `distance` by x: dy · sign(x − y) or 2 dy (x − y). */
  distanceGradient(x: Tensor, y: Tensor, dy: Tensor, kind: DistanceKind): Tensor;
  /**
   * Gradients of `attention`. Queries, keys and values have to fill the tensors that they lie in, without
   * sharing columns.
   */
  attentionGradient(
    q: Columns,
    k: Columns,
    v: Columns,
    dy: Tensor,
    options: AttentionOptions,
  ): AttentionGradients;
  /**
   * The terms of the diffusion loss for a prediction log p(x_0) (batch, pixels, classes − 1): (batch,
   * pixels, 3), of Gu et al. (arXiv 2111.14822), equations 9 and 12, as in Microsoft's `_train_loss`.
   * First KL(q(x_{t−1} | x_t, x_0) ‖ p(x_{t−1} | x_t)); then −log p(x_{t−1} = x_0 | x_t), which counts in
   * place of it at the first timestep; then −log p(x_0 | x_t), the auxiliary term. All logarithms are
   * clamped to −70 … 0.
   */
  diffusionLoss(logProbs: Tensor, options: DiffusionLossTargets): Tensor;
  /** Gradient of `diffusionLoss` by `logProbs`, for dy (batch, pixels, 3). */
  diffusionLossGradient(logProbs: Tensor, dy: Tensor, options: DiffusionLossTargets): Tensor;
}

/**
 * A recorded list of operations and the memory of their results.
 *
 * Calling an operation checks its arguments, reserves the result and records it; nothing is computed
 * before {@linkcode Frame.run}, which can be called as often as wanted, with inputs changed by
 * {@linkcode Tensor.write} in between. Disposing of the frame gives back everything made by it but
 * what {@linkcode Frame.keep} made, which stays. An operation whose arguments do not fit throws a
 * `TypeError` or `RangeError` that names it.
 */
export interface Frame extends GradientOperations, Disposable {
  /** Reserves a tensor without content: an input for `write`, or what `addTo` adds to. */
  empty<D extends DType>(shape: readonly number[], dtype: D): Tensor<D>;
  /**
   * Opens a scope: when it is disposed of, the memory of what was made in it serves later operations
   * of the frame. (Those run later, so earlier operations are not harmed.)
   */
  scope(): Disposable;
  /**
   * Copies a tensor to memory of its own, of just its size, that belongs to the caller: the frame can be
   * disposed of as soon as its run is submitted. Without a run after this call it goes with the frame.
   */
  keep<D extends DType>(x: Tensor<D>): Tensor<D>;
  /**
   * Records a part of a model, which may use x up. For gradients, a frame may keep the result alone of what it
   * computes, and record it once more when they need the rest.
   */
  checkpoint(x: Tensor, part: (frame: Frame, x: Tensor) => Tensor): Tensor;
  /** Runs all recorded operations, in order, after the runs submitted before. */
  run(options?: RunOptions): Promise<void>;
  /** Gives all memory back, after the runs submitted before. */
  dispose(): void;

  /** table[id] (+ position[i mod positions]) for the i-th id: (…ids, columns). */
  embedding(ids: Tensor<"i32">, table: Tensor, position?: Tensor): Tensor;
  /** activation(x·Wᵀ + b): rows × inFeatures → rows × outFeatures. */
  linear(x: Tensor, weight: LinearWeight, options?: LinearOptions): Tensor;
  /** a · gelu(b) (exact) for rows (a, b): rows × 2n → rows × n. */
  geglu(x: Tensor): Tensor;
  /**
   * softmax(scale · q·kᵀ)·v for each sequence and head: batch · queries rows. The rows of `q` are
   * batch · queries, those of `k` and `v` batch · keys; heads lie side by side in the columns.
   */
  attention(q: Columns, k: Columns, v: Columns, options: AttentionOptions): Tensor;
  /** (x − mean) / sqrt(variance + eps) · weight + bias for each row. */
  layerNorm(x: Tensor, options: LayerNormOptions): Tensor;
  /** (x − mean) / sqrt(variance + eps) · (1 + scale) + shift for each row. */
  adaLayerNorm(x: Tensor, options: AdaLayerNormOptions): Tensor;
  /** Normalises groups of channels over all pixels of an image: (batch, height, width, channels). */
  groupNorm(x: Tensor, options: GroupNormOptions): Tensor;
  /** Convolution of (batch, height, width, channels) with bias. */
  conv2d(x: Tensor, weight: ConvWeight, options?: ConvOptions): Tensor;
  /** (b, r, c) → (b, c, r). */
  transpose(x: Tensor): Tensor;
  /** The elements of x in another shape: the same memory, which stays that of x. */
  reshape(x: Tensor, shape: readonly number[]): Tensor;
  /** The whole of x, `times` times in a row: (a, …) → (times · a, …). */
  repeat<D extends DType>(x: Tensor<D>, times: number): Tensor<D>;
  /** x divided by its L2 norm, for each row. */
  normalizeRows(x: Tensor): Tensor;
  /**
   * Index of the nearest row of `codebook` (codes, columns) for each row, by
   * |z|² + |e|² − 2 z·e; the first of equals.
   */
  nearestCode(x: Tensor, codebook: Tensor): Tensor<"i32">;
  /** x − log Σ exp x for each row, the sum in float64. */
  logSoftmax(x: Tensor): Tensor;
  /** The greatest element of each row: (…rows, columns) → (…rows), of at least two dimensions. */
  rowMax(x: Tensor): Tensor;
  /**
   * log p(x_0) as Microsoft's samplers use it (`cf_predict_start` of their code): clamped at −70 from
   * below, with guidance l = u + s (c − u), normalised and clamped again, then truncated, where dropped
   * classes get −70. `logProbs` is (batch or, with guidance, 2 · batch, pixels, classes − 1); the result
   * is (batch, pixels, classes − 1).
   */
  predictStart(logProbs: Tensor, options: PredictStartOptions): Tensor;
  /**
   * log p(x_0) (batch, pixels, classes − 1), each pixel times 1 + weight · purity: what Tang et al.
   * (arXiv 2205.16007) raise p(x_0) to, not normalised again. The purity of a pixel is its greatest
   * probability, divided by the greatest of its image + 1e-10.
   *
   * @param best The greatest log p of each pixel, (batch, pixels).
   * @param weight One element.
   */
  sharpen(logProbs: Tensor, best: Tensor, weight: Tensor): Tensor;
  /**
   * log q(x_s | x_t, x_0) with the prediction p(x_0) for x_0, for the step from row t to the row s
   * before it (Gu et al., equation 11; diffusers' `q_posterior`): log p(x_0) (batch, pixels,
   * classes − 1) and x_t (batch, pixels) → (batch, pixels, classes). Before row 0 is the last row: no noise.
   */
  posterior(logProbs: Tensor, latents: Tensor<"i32">, options: PosteriorOptions): Tensor;
  /**
   * One denoising step, in place on `latents`: guidance, truncation, clamp, posterior (not from
   * row 0), Gumbel noise −log(−log(u + 1e-30) + 1e-30) and argmax, the first of equals.
   * `logProbs` is (batch or, with guidance, 2 · batch, pixels, classes − 1).
   */
  sampleStep(logProbs: Tensor, options: SampleStepOptions): void;
}

/** A device that models run on. Made by `createBackend`. */
export interface Backend extends AsyncDisposable {
  /** Which device this is, and why it was chosen. */
  readonly device: DeviceInfo;
  /** Most bytes of memory that can be in use, if the device tells. */
  readonly memoryLimit?: number;
  /**
   * Copies values to the device.
   *
   * @throws {RangeError} If the number of values is not that of the shape.
   */
  tensor(data: Float32Array, shape: readonly number[]): Tensor;
  /** Copies token ids or indices to the device. */
  tensor(data: Int32Array, shape: readonly number[]): Tensor<"i32">;
  /** Widens a stored array to float32 on the device. */
  upload(array: HostArray): Tensor;
  /**
   * Packs the weight of a linear layer. Several matrices (and biases) of the same number of columns
   * are joined along their rows, as for a query-key-value projection.
   */
  linearWeight(...sources: LinearWeightSources): LinearWeight;
  /** Does what {@linkcode Backend.linearWeight} does in parts, between which the event loop turns. */
  loadLinearWeight(...sources: LinearWeightSources): Promise<LinearWeight>;
  /** Packs the weight (out, in, k, k) and bias (out) of a convolution, held in float32. */
  convWeight(weight: HostArray, bias: HostArray): ConvWeight;
  /** Starts a list of operations. */
  frame(options?: FrameOptions): Frame;
  /** Memory in use now. */
  memoryUse(): MemoryUse;
  /** Memory taken from the system. */
  memoryHeld(): HeldMemory;
  /** Frees all memory, threads and devices, after the runs submitted before. */
  dispose(): Promise<void>;
}
