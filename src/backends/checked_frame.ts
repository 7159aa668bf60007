/**
 * Frames that check the arguments of operations and reserve their results, the same way on every
 * device.
 *
 * @module
 */

import { Arguments, type Class, type OwnTensor, type OwnWeight } from "./arguments.ts";
import {
  type AdaLayerNormOptions,
  type AttentionOptions,
  type Backend,
  type Columns,
  type ConvOptions,
  type ConvWeight,
  type DType,
  type Frame,
  type GroupNormOptions,
  type LayerNormOptions,
  type LinearOptions,
  type LinearWeight,
  type PosteriorOptions,
  type RunOptions,
  type SampleStepOptions,
  SCHEDULE_COLUMNS,
  type Tensor,
} from "./backend.ts";
import type {
  AttentionInputs,
  Checked,
  ConvGeometry,
  Epilogue,
  PosteriorInputs,
  SampleStepInputs,
} from "./recording.ts";
import { columnsOf } from "../base/shapes.ts";

/** The classes that a backend's arguments have to be of. */
export interface OwnClasses<L, C> {
  /** Of its tensors. */
  readonly tensor: Class<OwnTensor>;
  /** Of the weights of linear layers. */
  readonly linear: Class<L>;
  /** Of the weights of convolutions. */
  readonly conv: Class<C>;
  /** Most columns of rows whose exponentials are summed. Default: any number. */
  readonly mostSummed?: number;
}

/**
 * A frame of a backend with tensors `F` (floats) and `I` (ids) and weights `L` (linear) and `C`
 * (convolution). What is left to the backend is to reserve memory and to record operations on
 * arguments that fit, into results of the right shape.
 */
export abstract class CheckedFrame<
  F extends OwnTensor<"f32">,
  I extends OwnTensor<"i32">,
  L extends OwnWeight & LinearWeight,
  C extends OwnWeight & ConvWeight,
> implements Frame {
  readonly #backend: Backend;
  readonly #classes: OwnClasses<L, C>;

  /** A frame for arguments of a backend. */
  constructor(backend: Backend, classes: OwnClasses<L, C>) {
    this.#backend = backend;
    this.#classes = classes;
  }

  abstract scope(): Disposable;
  abstract run(options?: RunOptions): Promise<void>;
  abstract dispose(): void;

  /**
   * Calls what records an operation.
   *
   * @throws {ReferenceError} If the frame or its backend was disposed of.
   */
  protected abstract operation<T>(name: string, record: () => T): T;
  /** Memory of its own, that keeps what is written to it. */
  protected abstract input<D extends DType>(shape: readonly number[], dtype: D): Tensor<D>;
  /** Memory of a result, which serves later operations once its scope has closed. */
  protected abstract floats(shape: readonly number[]): F;
  /** Memory of a result that holds ids. */
  protected abstract ints(shape: readonly number[]): I;
  /** Memory that outlives the frame. */
  protected abstract kept<D extends DType>(shape: readonly number[], dtype: D): Tensor<D>;
  /** The memory of a tensor in another shape. */
  protected abstract view(x: F, shape: readonly number[]): F;

  protected abstract recordEmbedding(ids: I, table: F, position: F | undefined, y: F): void;
  protected abstract recordLinear(x: F, weight: L, y: F, epilogue: Epilogue): void;
  protected abstract recordGeglu(x: F, y: F): void;
  protected abstract recordAttention(inputs: AttentionInputs<F>, y: F): void;
  protected abstract recordLayerNorm(x: F, options: Checked<LayerNormOptions, F, I>, y: F): void;
  protected abstract recordAdaLayerNorm(
    x: F,
    options: Checked<AdaLayerNormOptions, F, I>,
    y: F,
  ): void;
  protected abstract recordGroupNorm(
    x: F,
    options: Required<Checked<GroupNormOptions, F, I>>,
    y: F,
  ): void;
  protected abstract recordConv2d(x: F, weight: C, y: F, geometry: ConvGeometry): void;
  protected abstract recordTranspose(x: F, y: F): void;
  protected abstract recordRepeat(x: F | I, times: number, y: F | I): void;
  protected abstract recordNormalizeRows(x: F, y: F): void;
  protected abstract recordNearestCode(x: F, codebook: F, y: I): void;
  protected abstract recordLogSoftmax(x: F, y: F): void;
  protected abstract recordPosterior(inputs: PosteriorInputs<F, I>, y: F): void;
  protected abstract recordSampleStep(inputs: SampleStepInputs<F, I>): void;

  /** Gives all memory back. */
  [Symbol.dispose](): void {
    this.dispose();
  }

  empty<D extends DType>(shape: readonly number[], dtype: D): Tensor<D> {
    return this.#checked("empty", (args) => {
      args.count(shape);
      return this.input(shape, dtype);
    });
  }

  keep<D extends DType>(x: Tensor<D>): Tensor<D> {
    return this.#checked("keep", (args) => {
      const input = args.tensor("x", x);
      const y = this.kept(x.shape, x.dtype);
      this.recordRepeat(input, 1, y as Tensor<DType> as F | I);
      return y;
    });
  }

  embedding(ids: Tensor<"i32">, table: Tensor, position?: Tensor): Tensor {
    return this.#checked("embedding", (args) => {
      const indices = args.ints("ids", ids);
      const rows = args.floats("table", table, ["rows", "columns"]);
      const columns = columnsOf(rows);
      const added = position && args.floats("position", position, ["positions", columns]);
      const y = this.floats([...indices.shape, columns]);
      this.recordEmbedding(indices, rows, added, y);
      return y;
    });
  }

  linear(x: Tensor, weight: LinearWeight, options: LinearOptions = {}): Tensor {
    return this.#checked("linear", (args) => {
      const own = args.weight(weight, this.#classes.linear);
      const input = args.rows("x", x, own.inFeatures);
      const { activation = "none", addTo } = options;
      const fits = addTo === undefined || activation === "none";
      args.expect(fits, "no activation beside addTo", activation);
      const shape = [...input.shape.slice(0, -1), own.outFeatures];
      const y = addTo ? args.target(addTo, shape, input) : this.floats(shape);
      this.recordLinear(input, own, y, { activation, add: addTo !== undefined });
      return y;
    });
  }

  geglu(x: Tensor): Tensor {
    return this.#checked("geglu", (args) => {
      const input = args.floats("x", x);
      const columns = columnsOf(input);
      args.expect(columns % 2 === 0, "x with an even number of columns", input.shape);
      const y = this.floats([...input.shape.slice(0, -1), columns / 2]);
      this.recordGeglu(input, y);
      return y;
    });
  }

  attention(q: Columns, k: Columns, v: Columns, options: AttentionOptions): Tensor {
    return this.#checked("attention", (args) => {
      const { batch, heads, headDim, scale, causal = false } = options;
      args.natural("batch", batch);
      args.natural("heads", heads);
      args.natural("headDim", headDim);
      args.expect(scale > 0 && scale < Infinity, "scale to be positive and finite", scale);
      const width = heads * headDim;
      const inputs = {
        ...{ batch, heads, headDim, scale, causal },
        q: args.columns("q", q, width, batch),
        k: args.columns("k", k, width, batch),
        v: args.columns("v", v, width, batch),
      };
      const [queries, keys, values] = [inputs.q.rows, inputs.k.rows, inputs.v.rows];
      args.expect(keys > 0, "k with at least one row a sequence", keys);
      args.expect(values === keys, `v with ${keys} rows a sequence, as k`, values);
      const aligned = !causal || queries === keys;
      args.expect(aligned, `q with ${keys} rows a sequence, as k, to be causal`, queries);
      const y = this.floats([batch, queries, width]);
      this.recordAttention(inputs, y);
      return y;
    });
  }

  layerNorm(x: Tensor, { weight, bias, eps }: LayerNormOptions): Tensor {
    return this.#checked("layerNorm", (args) => {
      const input = args.floats("x", x);
      const columns = columnsOf(input);
      const own = {
        weight: args.vector("weight", weight, columns),
        bias: args.vector("bias", bias, columns),
        eps,
      };
      const y = this.floats(input.shape);
      this.recordLayerNorm(input, own, y);
      return y;
    });
  }

  adaLayerNorm(x: Tensor, { table, timestep, eps }: AdaLayerNormOptions): Tensor {
    return this.#checked("adaLayerNorm", (args) => {
      const input = args.floats("x", x);
      const own = {
        table: args.floats("table", table, ["timesteps", 2 * columnsOf(input)]),
        timestep: args.scalar("timestep", timestep),
        eps,
      };
      const y = this.floats(input.shape);
      this.recordAdaLayerNorm(input, own, y);
      return y;
    });
  }

  groupNorm(x: Tensor, options: GroupNormOptions): Tensor {
    return this.#checked("groupNorm", (args) => {
      const { weight, bias, groups, eps, silu = false } = options;
      const input = args.floats("x", x, IMAGES);
      const channels = columnsOf(input);
      args.natural("groups", groups);
      args.expect(channels % groups === 0, `groups to divide ${channels} channels`, groups);
      const own = {
        weight: args.vector("weight", weight, channels),
        bias: args.vector("bias", bias, channels),
        ...{ groups, eps, silu },
      };
      const y = this.floats(input.shape);
      this.recordGroupNorm(input, own, y);
      return y;
    });
  }

  conv2d(x: Tensor, weight: ConvWeight, options: ConvOptions = {}): Tensor {
    return this.#checked("conv2d", (args) => {
      const own = args.weight(weight, this.#classes.conv);
      const input = args.floats("x", x, [...IMAGES.slice(0, 3), own.inChannels]);
      const { stride = 1, upsample = false, addTo } = options;
      const possible = stride === 1 || (stride === 2 && own.kernelSize === 3 && !upsample);
      args.expect(possible, "stride 1, or 2 for a 3×3 kernel without upsample", stride);
      const [batch, height, width] = input.shape as [number, number, number];
      const large = stride === 1 || Math.min(height, width) >= 2;
      args.expect(large, "x of at least 2×2 pixels for stride 2", input.shape);
      // With stride 2 the padding is one row below and one column to the right.
      const side = (length: number) =>
        stride === 2 ? Math.floor(length / 2) : upsample ? 2 * length : length;
      const shape = [batch, side(height), side(width), own.outChannels];
      const y = addTo ? args.target(addTo, shape, input) : this.floats(shape);
      this.recordConv2d(input, own, y, { shape, stride, upsample, add: addTo !== undefined });
      return y;
    });
  }

  transpose(x: Tensor): Tensor {
    return this.#checked("transpose", (args) => {
      const input = args.floats("x", x, ["batch", "rows", "columns"]);
      const [batch, rows, columns] = input.shape as [number, number, number];
      const y = this.floats([batch, columns, rows]);
      this.recordTranspose(input, y);
      return y;
    });
  }

  reshape(x: Tensor, shape: readonly number[]): Tensor {
    return this.#checked("reshape", (args) => {
      const input = args.floats("x", x);
      const fits = args.count(shape) === input.size;
      args.expect(fits, `a shape of ${input.size} elements`, shape);
      return this.view(input, shape);
    });
  }

  repeat(x: Tensor, times: number): Tensor {
    return this.#checked("repeat", (args) => {
      const input = args.floats("x", x);
      args.natural("times", times);
      const [first, ...rest] = input.shape;
      const y = this.floats([first! * times, ...rest]);
      this.recordRepeat(input, times, y);
      return y;
    });
  }

  normalizeRows(x: Tensor): Tensor {
    return this.#checked("normalizeRows", (args) => {
      const input = args.floats("x", x);
      const y = this.floats(input.shape);
      this.recordNormalizeRows(input, y);
      return y;
    });
  }

  nearestCode(x: Tensor, codebook: Tensor): Tensor<"i32"> {
    return this.#checked("nearestCode", (args) => {
      const codes = args.floats("codebook", codebook, ["codes", "columns"]);
      const input = args.rows("x", x, columnsOf(codes));
      const y = this.ints(input.shape.slice(0, -1));
      this.recordNearestCode(input, codes, y);
      return y;
    });
  }

  logSoftmax(x: Tensor): Tensor {
    return this.#checked("logSoftmax", (args) => {
      const input = args.floats("x", x);
      this.#expectSummable(args, "x", input);
      const y = this.floats(input.shape);
      this.recordLogSoftmax(input, y);
      return y;
    });
  }

  posterior(logProbs: Tensor, latents: Tensor<"i32">, options: PosteriorOptions): Tensor {
    return this.#checked("posterior", (args) => {
      const inputs = this.#posteriorInputs(args, logProbs, latents, options, 1);
      const y = this.floats([inputs.batch, inputs.pixels, inputs.classes]);
      this.recordPosterior(inputs, y);
      return y;
    });
  }

  sampleStep(logProbs: Tensor, options: SampleStepOptions): void {
    this.#checked("sampleStep", (args) => {
      const { latents, guidanceScale, truncationRate } = options;
      const copies = guidanceScale === undefined ? 1 : 2;
      const inputs = this.#posteriorInputs(args, logProbs, latents, options, copies);
      const { batch, classes, pixels } = inputs;
      const noise = args.floats("noise", options.noise, [batch, classes, pixels]);
      if (guidanceScale !== undefined) args.finite("guidanceScale", guidanceScale);
      if (truncationRate !== undefined) args.finite("truncationRate", truncationRate);
      this.recordSampleStep({
        ...inputs,
        noise,
        ...(guidanceScale !== undefined && { guidanceScale }),
        ...(truncationRate !== undefined && { truncationRate }),
      });
    });
  }

  /** @param copies Predictions of an image: two with guidance. */
  #posteriorInputs(
    args: Arguments<F, I>,
    logProbs: Tensor,
    latents: Tensor<"i32">,
    { schedule, row }: PosteriorOptions,
    copies: number,
  ): PosteriorInputs<F, I> {
    const tokens = args.ints("latents", latents, ["batch", "pixels"]);
    const [batch, pixels] = tokens.shape as [number, number];
    const predictions = args.floats("logProbs", logProbs, [copies * batch, pixels, "classes"]);
    this.#expectSummable(args, "logProbs", predictions);
    const table = args.floats("schedule", schedule, ["rows", SCHEDULE_COLUMNS.length]);
    return {
      logProbs: predictions,
      latents: tokens,
      schedule: table,
      row: args.scalar("row", row),
      batch,
      pixels,
      classes: columnsOf(predictions) + 1,
      lastRow: table.shape[0]! - 1,
    };
  }

  #expectSummable(args: Arguments<F, I>, name: string, tensor: F): void {
    const { mostSummed = Infinity } = this.#classes;
    args.expect(
      columnsOf(tensor) <= mostSummed,
      `${name} with at most ${mostSummed} columns`,
      tensor.shape,
    );
  }

  #checked<T>(operation: string, record: (args: Arguments<F, I>) => T): T {
    return this.operation(
      operation,
      () => record(new Arguments<F, I>(operation, this.#backend, this.#classes.tensor)),
    );
  }
}

/** Names of the lengths of images. */
const IMAGES = ["batch", "height", "width", "channels"];
