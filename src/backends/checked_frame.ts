/**
 * Frames that check the arguments of operations and reserve their results, the same way on every
 * device.
 *
 * @module
 */

import { Arguments, type Device, type OwnClasses } from "./arguments.ts";
import type {
  AdaLayerNormOptions,
  AttentionOptions,
  Columns,
  ConvOptions,
  ConvWeight,
  DType,
  Frame,
  GroupNormOptions,
  LayerNormOptions,
  LinearOptions,
  LinearWeight,
  PosteriorOptions,
  PredictStartOptions,
  RunOptions,
  SampleStepOptions,
  Tensor,
} from "./backend.ts";
import { CheckedGradients, type GradientKernels } from "./checked_gradients.ts";
import {
  attentionInputs,
  convGeometry,
  groupNormInputs,
  IMAGES,
  posteriorInputs,
  predictStartInputs,
  predictStartOptions,
  sharpenInputs,
} from "./checked_inputs.ts";
import type {
  AttentionInputs,
  Checked,
  ConvGeometry,
  Epilogue,
  FrameRecorder,
  GroupNormInputs,
  PosteriorInputs,
  PredictStartInputs,
  SampleStepInputs,
  SharpenInputs,
} from "./recording.ts";
import { columnsOf } from "../base/shapes.ts";

/** What each operation computes: a result `y` of the right shape, of arguments that fit. */
export interface Operations<D extends Device> extends GradientKernels<D> {
  embedding(
    ids: D["ints"],
    table: D["floats"],
    position: D["floats"] | undefined,
    y: D["floats"],
  ): void;
  linear(x: D["floats"], weight: D["linear"], y: D["floats"], epilogue: Epilogue): void;
  geglu(x: D["floats"], y: D["floats"]): void;
  attention(inputs: AttentionInputs<D>, y: D["floats"]): void;
  layerNorm(x: D["floats"], options: Checked<LayerNormOptions, D>, y: D["floats"]): void;
  adaLayerNorm(x: D["floats"], options: Checked<AdaLayerNormOptions, D>, y: D["floats"]): void;
  groupNorm(inputs: GroupNormInputs<D>, y: D["floats"]): void;
  conv2d(x: D["floats"], weight: D["conv"], y: D["floats"], geometry: ConvGeometry): void;
  transpose(x: D["floats"], y: D["floats"]): void;
  /** Copies bits, whatever they stand for. */
  repeat(x: D["floats"] | D["ints"], times: number, y: D["floats"] | D["ints"]): void;
  normalizeRows(x: D["floats"], y: D["floats"]): void;
  nearestCode(x: D["floats"], codebook: D["floats"], y: D["ints"]): void;
  logSoftmax(x: D["floats"], y: D["floats"]): void;
  rowMax(x: D["floats"], y: D["floats"]): void;
  predictStart(inputs: PredictStartInputs<D>, y: D["floats"]): void;
  sharpen(inputs: SharpenInputs<D>, y: D["floats"]): void;
  posterior(inputs: PosteriorInputs<D>, y: D["floats"]): void;
  sampleStep(inputs: SampleStepInputs<D>): void;
}

/** A function for each operation that records it. */
export type Kernels<D extends Device> = {
  readonly [K in keyof Operations<D>]: (
    recorder: D["recorder"],
    ...inputs: Parameters<Operations<D>[K]>
  ) => void;
};

/**
 * A frame of any backend. What is left to the backend is to reserve memory and to record operations
 * on arguments that fit, into results of the right shape.
 */
export class CheckedFrame<D extends Device> extends CheckedGradients<D> implements Frame {
  readonly #recorder: D["recorder"] & FrameRecorder<D>;
  readonly #kernels: Kernels<D>;
  readonly #classes: OwnClasses<D>;

  /** A frame without operations. */
  constructor(
    recorder: D["recorder"] & FrameRecorder<D>,
    kernels: Kernels<D>,
    classes: OwnClasses<D>,
  ) {
    super(recorder, kernels, classes.mostSummed);
    this.#recorder = recorder;
    this.#kernels = kernels;
    this.#classes = classes;
  }

  scope(): Disposable {
    this.#recorder.life.assertAlive();
    return this.#recorder.life.scopes.open();
  }

  checkpoint(x: Tensor, part: (frame: Frame, x: Tensor) => Tensor): Tensor {
    return part(this, x);
  }

  run(options?: RunOptions): Promise<void> {
    return this.#recorder.run(options);
  }

  dispose(): void {
    this.#recorder.dispose();
  }

  /** Gives all memory back. */
  [Symbol.dispose](): void {
    this.dispose();
  }

  empty<T extends DType>(shape: readonly number[], dtype: T): Tensor<T> {
    return this.checked("empty", (args) => {
      args.count(shape);
      return this.#recorder.input(shape, dtype);
    });
  }

  keep<T extends DType>(x: Tensor<T>): Tensor<T> {
    return this.checked("keep", (args) => {
      const input = args.tensor("x", x);
      const y = this.#recorder.kept(x.shape, x.dtype);
      this.#kernels.repeat(this.#recorder, input, 1, y as Tensor<DType> as D["floats"]);
      return y;
    });
  }

  embedding(ids: Tensor<"i32">, table: Tensor, position?: Tensor): Tensor {
    return this.checked("embedding", (args) => {
      const indices = args.ints("ids", ids);
      const rows = args.floats("table", table, ["rows", "columns"]);
      const columns = columnsOf(rows);
      const added = position && args.floats("position", position, ["positions", columns]);
      const y = this.#recorder.result([...indices.shape, columns]);
      this.#kernels.embedding(this.#recorder, indices, rows, added, y);
      return y;
    });
  }

  linear(x: Tensor, weight: LinearWeight, options: LinearOptions = {}): Tensor {
    return this.checked("linear", (args) => {
      const own = args.weight(weight, this.#classes.linear);
      const input = args.rows("x", x, own.inFeatures);
      const { activation = "none", addTo } = options;
      const fits = addTo === undefined || activation === "none";
      args.expect(fits, "no activation beside addTo", activation);
      const shape = [...input.shape.slice(0, -1), own.outFeatures];
      const y = addTo ? args.target(addTo, shape, input) : this.#recorder.result(shape);
      this.#kernels.linear(this.#recorder, input, own, y, { activation, add: addTo !== undefined });
      return y;
    });
  }

  geglu(x: Tensor): Tensor {
    return this.checked("geglu", (args) => {
      const input = args.floats("x", x);
      const columns = columnsOf(input);
      args.expect(columns % 2 === 0, "x with an even number of columns", input.shape);
      const y = this.#recorder.result([...input.shape.slice(0, -1), columns / 2]);
      this.#kernels.geglu(this.#recorder, input, y);
      return y;
    });
  }

  attention(q: Columns, k: Columns, v: Columns, options: AttentionOptions): Tensor {
    return this.checked("attention", (args) => {
      const inputs = attentionInputs(args, q, k, v, options);
      const { batch, heads, headDim } = inputs;
      const y = this.#recorder.result([batch, inputs.q.rows, heads * headDim]);
      this.#kernels.attention(this.#recorder, inputs, y);
      return y;
    });
  }

  layerNorm(x: Tensor, { weight, bias, eps }: LayerNormOptions): Tensor {
    return this.checked("layerNorm", (args) => {
      const input = args.floats("x", x);
      const columns = columnsOf(input);
      const own = {
        weight: args.vector("weight", weight, columns),
        bias: args.vector("bias", bias, columns),
        eps,
      };
      const y = this.#recorder.result(input.shape);
      this.#kernels.layerNorm(this.#recorder, input, own, y);
      return y;
    });
  }

  adaLayerNorm(x: Tensor, { table, timestep, eps }: AdaLayerNormOptions): Tensor {
    return this.checked("adaLayerNorm", (args) => {
      const input = args.floats("x", x);
      const own = {
        table: args.floats("table", table, ["timesteps", 2 * columnsOf(input)]),
        timestep: args.perSequence("timestep", timestep, input),
        eps,
      };
      const y = this.#recorder.result(input.shape);
      this.#kernels.adaLayerNorm(this.#recorder, input, own, y);
      return y;
    });
  }

  groupNorm(x: Tensor, options: GroupNormOptions): Tensor {
    return this.checked("groupNorm", (args) => {
      const inputs = groupNormInputs(args, x, options);
      const y = this.#recorder.result(inputs.x.shape);
      this.#kernels.groupNorm(this.#recorder, inputs, y);
      return y;
    });
  }

  conv2d(x: Tensor, weight: ConvWeight, options: ConvOptions = {}): Tensor {
    return this.checked("conv2d", (args) => {
      const own = args.weight(weight, this.#classes.conv);
      const input = args.floats("x", x, [...IMAGES.slice(0, 3), own.inChannels]);
      const geometry = convGeometry(args, input, own, options);
      const { shape } = geometry;
      const { addTo } = options;
      const y = addTo ? args.target(addTo, shape, input) : this.#recorder.result(shape);
      this.#kernels.conv2d(this.#recorder, input, own, y, geometry);
      return y;
    });
  }

  transpose(x: Tensor): Tensor {
    return this.checked("transpose", (args) => {
      const input = args.floats("x", x, ["batch", "rows", "columns"]);
      const [batch, rows, columns] = input.shape as [number, number, number];
      const y = this.#recorder.result([batch, columns, rows]);
      this.#kernels.transpose(this.#recorder, input, y);
      return y;
    });
  }

  reshape(x: Tensor, shape: readonly number[]): Tensor {
    return this.checked("reshape", (args) => {
      const input = args.floats("x", x);
      const fits = args.count(shape) === input.size;
      args.expect(fits, `a shape of ${input.size} elements`, shape);
      return this.#recorder.view(input, shape);
    });
  }

  repeat<T extends DType>(x: Tensor<T>, times: number): Tensor<T>;
  repeat(x: Tensor<DType>, times: number): Tensor<DType> {
    return this.checked("repeat", (args) => {
      const input = args.tensor("x", x);
      args.natural("times", times);
      const shape = [input.shape[0]! * times, ...input.shape.slice(1)];
      const y = x.dtype === "i32"
        ? this.#recorder.result(shape, "i32")
        : this.#recorder.result(shape);
      this.#kernels.repeat(this.#recorder, input, times, y);
      return y;
    });
  }

  normalizeRows(x: Tensor): Tensor {
    return this.checked("normalizeRows", (args) => {
      const input = args.floats("x", x);
      const y = this.#recorder.result(input.shape);
      this.#kernels.normalizeRows(this.#recorder, input, y);
      return y;
    });
  }

  nearestCode(x: Tensor, codebook: Tensor): Tensor<"i32"> {
    return this.checked("nearestCode", (args) => {
      const codes = args.floats("codebook", codebook, ["codes", "columns"]);
      const input = args.rows("x", x, columnsOf(codes));
      const y = this.#recorder.result(input.shape.slice(0, -1), "i32");
      this.#kernels.nearestCode(this.#recorder, input, codes, y);
      return y;
    });
  }

  logSoftmax(x: Tensor): Tensor {
    return this.checked("logSoftmax", (args) => {
      const input = args.floats("x", x);
      args.expectColumns("x", input, this.#classes.mostSummed);
      const y = this.#recorder.result(input.shape);
      this.#kernels.logSoftmax(this.#recorder, input, y);
      return y;
    });
  }

  rowMax(x: Tensor): Tensor {
    return this.checked("rowMax", (args) => {
      const input = args.floats("x", x);
      args.expect(input.shape.length > 1, "x of at least two dimensions", input.shape);
      const y = this.#recorder.result(input.shape.slice(0, -1));
      this.#kernels.rowMax(this.#recorder, input, y);
      return y;
    });
  }

  predictStart(logProbs: Tensor, options: PredictStartOptions): Tensor {
    return this.checked("predictStart", (args) => {
      const { batch, ...inputs } = predictStartInputs(args, logProbs, options);
      args.expectColumns("logProbs", inputs.logProbs, this.#classes.mostSummed);
      const y = this.#recorder.result([batch, ...inputs.logProbs.shape.slice(1)]);
      this.#kernels.predictStart(this.#recorder, inputs, y);
      return y;
    });
  }

  sharpen(logProbs: Tensor, best: Tensor, weight: Tensor): Tensor {
    return this.checked("sharpen", (args) => {
      const inputs = sharpenInputs(args, logProbs, best, weight);
      const y = this.#recorder.result(inputs.logProbs.shape);
      this.#kernels.sharpen(this.#recorder, inputs, y);
      return y;
    });
  }

  posterior(logProbs: Tensor, latents: Tensor<"i32">, options: PosteriorOptions): Tensor {
    return this.checked("posterior", (args) => {
      const inputs = posteriorInputs(args, logProbs, latents, options);
      args.expectColumns("logProbs", inputs.logProbs, this.#classes.mostSummed);
      const y = this.#recorder.result([inputs.batch, inputs.pixels, inputs.classes]);
      this.#kernels.posterior(this.#recorder, inputs, y);
      return y;
    });
  }

  sampleStep(logProbs: Tensor, options: SampleStepOptions): void {
    this.checked("sampleStep", (args) => {
      const copies = options.guidanceScale === undefined ? 1 : 2;
      const inputs = posteriorInputs(args, logProbs, options.latents, options, copies);
      args.expectColumns("logProbs", inputs.logProbs, this.#classes.mostSummed);
      const { batch, classes, pixels } = inputs;
      const noise = args.floats("noise", options.noise, [batch, classes, pixels]);
      const changes = predictStartOptions(args, options);
      this.#kernels.sampleStep(this.#recorder, { ...inputs, noise, ...changes });
    });
  }

  protected override checked<T>(operation: string, record: (args: Arguments<D>) => T): T {
    const { backend } = this.#recorder;
    return this.#recorder.operation(
      operation,
      () => record(new Arguments<D>(operation, backend, this.#classes.tensor)),
    );
  }
}
