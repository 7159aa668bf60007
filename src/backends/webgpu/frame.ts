/**
 * The operations of a frame: each checks its arguments, reserves the result and records dispatches.
 *
 * @module
 */

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
  RunOptions,
  SampleStepOptions,
  Tensor,
} from "../backend.ts";
import { Arguments } from "./arguments.ts";
import { recordAttention } from "./attention.ts";
import { convolvedShape, recordConvolution } from "./convolution.ts";
import { EXACT_SUM_TERMS } from "./math.ts";
import { denseFactor, recordMatmul } from "./matmul.ts";
import { recordAdaLayerNorm, recordGroupNorm, recordLayerNorm } from "./norms.ts";
import { recordPosterior } from "./posterior.ts";
import type { Recorder } from "./recorder.ts";
import {
  recordEmbedding,
  recordGeglu,
  recordLogSoftmax,
  recordNearestCode,
  recordNormalizeRows,
  recordRepeat,
  recordTranspose,
} from "./rows.ts";
import { recordSampleStep } from "./sampling.ts";
import { WebGpuConvWeight, WebGpuLinearWeight } from "./weights.ts";

/** A frame of the WebGPU backend. */
export class WebGpuFrame implements Frame {
  readonly #recorder: Recorder;

  /** A frame that records to `recorder`. */
  constructor(recorder: Recorder) {
    this.#recorder = recorder;
  }

  empty<D extends DType>(shape: readonly number[], dtype: D): Tensor<D> {
    return this.#record("empty", (args: Arguments) => {
      args.size("shape", shape);
      return this.#recorder.input(shape, dtype);
    });
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

  /** Gives all memory back. */
  [Symbol.dispose](): void {
    this.dispose();
  }

  embedding(ids: Tensor<"i32">, table: Tensor, position?: Tensor): Tensor {
    return this.#record("embedding", (args: Arguments) => {
      const indices = args.ints("ids", ids);
      const rows = args.floats("table", table, [undefined, undefined]);
      const columns = rows.shape[1]!;
      const added = position && args.floats("position", position, [undefined, columns]);
      const y = this.#recorder.result([...indices.shape, columns]);
      recordEmbedding(this.#recorder, indices, rows, added, y);
      return y;
    });
  }

  linear(x: Tensor, weight: LinearWeight, options: LinearOptions = {}): Tensor {
    return this.#record("linear", (args: Arguments) => {
      const input = args.floats("x", x);
      const { matrix, inFeatures } = args.weight(weight, WebGpuLinearWeight);
      args.expect(
        input.shape.at(-1) === inFeatures,
        "x",
        `of ${inFeatures} columns`,
        input.shape,
      );
      const shape = [...input.shape.slice(0, -1), matrix.rows];
      const { addTo } = options;
      const y = addTo ? args.target(addTo, shape, [input]) : this.#recorder.result(shape);
      const left = { factor: denseFactor(inFeatures), params: { inner: inFeatures } };
      recordMatmul(this.#recorder, left, input, matrix, y, options);
      return y;
    });
  }

  geglu(x: Tensor): Tensor {
    return this.#record("geglu", (args: Arguments) => {
      const input = args.floats("x", x);
      const columns = input.shape.at(-1)!;
      args.expect(columns % 2 === 0, "x", "of an even number of columns", input.shape);
      const y = this.#recorder.result([...input.shape.slice(0, -1), columns / 2]);
      recordGeglu(this.#recorder, input, y);
      return y;
    });
  }

  attention(q: Columns, k: Columns, v: Columns, options: AttentionOptions): Tensor {
    return this.#record("attention", (args: Arguments) => {
      const { batch, heads, headDim, scale, causal = false } = options;
      args.natural("batch", batch);
      args.natural("heads", heads);
      args.natural("headDim", headDim);
      args.finite("scale", scale);
      const width = heads * headDim;
      const rows = Object.entries({ q, k, v }).map(([name, columns]) => {
        const tensor = args.columns(name, columns, width, batch);
        return tensor.size / tensor.shape.at(-1)! / batch;
      });
      const [queries, keys, values] = rows as [number, number, number];
      args.expect(keys === values, "v", `of ${keys} rows a sequence, as k`, values);
      args.expect(!causal || queries === keys, "q", `of ${keys} rows a sequence, as k`, queries);
      const y = this.#recorder.result([batch, queries, width]);
      recordAttention(this.#recorder, q, k, v, options, y);
      return y;
    });
  }

  layerNorm(x: Tensor, options: LayerNormOptions): Tensor {
    return this.#record("layerNorm", (args: Arguments) => {
      const input = args.floats("x", x);
      const columns = input.shape.at(-1)!;
      const weight = args.vector("weight", options.weight, columns);
      const bias = args.vector("bias", options.bias, columns);
      const y = this.#recorder.result(input.shape);
      recordLayerNorm(this.#recorder, input, { weight, bias, eps: options.eps }, y);
      return y;
    });
  }

  adaLayerNorm(x: Tensor, options: AdaLayerNormOptions): Tensor {
    return this.#record("adaLayerNorm", (args: Arguments) => {
      const input = args.floats("x", x);
      const columns = input.shape.at(-1)!;
      const table = args.floats("table", options.table, [undefined, 2 * columns]);
      const timestep = args.scalar("timestep", options.timestep);
      const y = this.#recorder.result(input.shape);
      recordAdaLayerNorm(this.#recorder, input, { table, timestep, eps: options.eps }, y);
      return y;
    });
  }

  groupNorm(x: Tensor, options: GroupNormOptions): Tensor {
    return this.#record("groupNorm", (args: Arguments) => {
      const input = args.floats("x", x, [undefined, undefined, undefined, undefined]);
      const channels = input.shape[3]!;
      const { groups } = options;
      args.natural("groups", groups);
      args.expect(channels % groups === 0, "groups", `to divide ${channels} channels`, groups);
      const weight = args.vector("weight", options.weight, channels);
      const bias = args.vector("bias", options.bias, channels);
      const y = this.#recorder.result(input.shape);
      recordGroupNorm(this.#recorder, input, { ...options, weight, bias }, y);
      return y;
    });
  }

  conv2d(x: Tensor, weight: ConvWeight, options: ConvOptions = {}): Tensor {
    return this.#record("conv2d", (args: Arguments) => {
      const own = args.weight(weight, WebGpuConvWeight);
      const input = args.floats("x", x, [undefined, undefined, undefined, own.inChannels]);
      const { stride = 1, upsample = false, addTo } = options;
      const known = stride === 1 || (stride === 2 && own.kernelSize === 3 && !upsample);
      args.expect(known, "stride", "of 1, or of 2 for a 3×3 kernel without upsample", stride);
      const shape = convolvedShape(input.shape, own, options);
      args.expect(!shape.includes(0), "x", "of at least 2×2 pixels for stride 2", input.shape);
      const y = addTo ? args.target(addTo, shape, [input]) : this.#recorder.result(shape);
      recordConvolution(this.#recorder, input, own, y, shape, options);
      return y;
    });
  }

  transpose(x: Tensor): Tensor {
    return this.#record("transpose", (args: Arguments) => {
      const input = args.floats("x", x, [undefined, undefined, undefined]);
      const [count, rows, columns] = input.shape as [number, number, number];
      const y = this.#recorder.result([count, columns, rows]);
      recordTranspose(this.#recorder, input, y);
      return y;
    });
  }

  reshape(x: Tensor, shape: readonly number[]): Tensor {
    return this.#record("reshape", (args: Arguments) => {
      const input = args.floats("x", x);
      const size = args.size("shape", shape);
      args.expect(size === input.size, "shape", `of ${input.size} elements`, [...shape]);
      return this.#recorder.view(input, shape);
    });
  }

  repeat(x: Tensor, times: number): Tensor {
    return this.#record("repeat", (args: Arguments) => {
      const input = args.floats("x", x);
      args.natural("times", times);
      const [first, ...rest] = input.shape;
      const y = this.#recorder.result([first! * times, ...rest]);
      recordRepeat(this.#recorder, input, y);
      return y;
    });
  }

  normalizeRows(x: Tensor): Tensor {
    return this.#record("normalizeRows", (args: Arguments) => {
      const input = args.floats("x", x);
      const y = this.#recorder.result(input.shape);
      recordNormalizeRows(this.#recorder, input, y);
      return y;
    });
  }

  nearestCode(x: Tensor, codebook: Tensor): Tensor<"i32"> {
    return this.#record("nearestCode", (args: Arguments) => {
      const codes = args.floats("codebook", codebook, [undefined, undefined]);
      const columns = codes.shape[1]!;
      const input = args.floats("x", x);
      args.expect(input.shape.at(-1) === columns, "x", `of ${columns} columns`, input.shape);
      const y = this.#recorder.result(input.shape.slice(0, -1), "i32");
      recordNearestCode(this.#recorder, input, codes, y);
      return y;
    });
  }

  logSoftmax(x: Tensor): Tensor {
    return this.#record("logSoftmax", (args: Arguments) => {
      const input = args.floats("x", x);
      expectSummable(args, "x", input.shape);
      const y = this.#recorder.result(input.shape);
      recordLogSoftmax(this.#recorder, input, y);
      return y;
    });
  }

  posterior(logProbs: Tensor, latents: Tensor<"i32">, options: PosteriorOptions): Tensor {
    return this.#record("posterior", (args: Arguments) => {
      const inputs = args.posterior(logProbs, latents, options);
      expectSummable(args, "logProbs", inputs.logProbs.shape);
      const classes = inputs.logProbs.shape[2]! + 1;
      const y = this.#recorder.result([...inputs.latents.shape, classes]);
      recordPosterior(this.#recorder, inputs, y);
      return y;
    });
  }

  sampleStep(logProbs: Tensor, options: SampleStepOptions): void {
    this.#record("sampleStep", (args: Arguments) => {
      const { guidanceScale, truncationRate, latents } = options;
      const copies = guidanceScale === undefined ? 1 : 2;
      const inputs = args.posterior(logProbs, latents, options, copies);
      expectSummable(args, "logProbs", inputs.logProbs.shape);
      const [batch, pixels] = inputs.latents.shape;
      const classes = inputs.logProbs.shape[2]! + 1;
      const noise = args.floats("noise", options.noise, [batch, classes, pixels]);
      if (guidanceScale !== undefined) args.finite("guidanceScale", guidanceScale);
      if (truncationRate !== undefined) args.finite("truncationRate", truncationRate);
      recordSampleStep(this.#recorder, {
        ...inputs,
        noise,
        ...(guidanceScale !== undefined && { guidanceScale }),
        ...(truncationRate !== undefined && { truncationRate }),
      });
    });
  }

  #record<T>(operation: string, record: (args: Arguments) => T): T {
    const args = new Arguments(this.#recorder.backend, operation);
    return this.#recorder.operation(operation, () => record(args));
  }
}

/** Sums over rows are exact for so many columns. */
function expectSummable(args: Arguments, name: string, shape: readonly number[]): void {
  args.expect(shape.at(-1)! <= EXACT_SUM_TERMS, name, `of ${EXACT_SUM_TERMS} columns at most`, [
    ...shape,
  ]);
}
