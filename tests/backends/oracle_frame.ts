// The oracle's frame: checks arguments, reserves the result, records a call of a naive function.

import type {
  AdaLayerNormOptions,
  AttentionOptions,
  Backend,
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
} from "../../src/backends/backend.ts";
import { SCHEDULE_COLUMNS } from "../../src/backends/backend.ts";
import { attention } from "./naive/attention.ts";
import { conv2d, convolvedLength } from "./naive/convolution.ts";
import { geglu, linear } from "./naive/linear.ts";
import { adaLayerNorm, groupNorm, layerNorm } from "./naive/norms.ts";
import * as rows from "./naive/rows.ts";
import { posterior, sampleStep } from "./naive/sampling.ts";
import { OracleConvWeight, OracleLinearWeight } from "./oracle_backend.ts";
import { elements, type OracleMemory, OracleTensor } from "./oracle_memory.ts";

type Floats = OracleTensor<"f32">;

/** A frame that runs naive functions. */
export class OracleFrame implements Frame {
  readonly #backend: Backend;
  readonly #memory: OracleMemory;
  readonly #operations: (() => void)[] = [];
  /** Tensors of the frame and, above them, of each open scope. */
  readonly #scopes: OracleTensor<DType>[][] = [[]];
  #disposed = false;

  constructor(backend: Backend, memory: OracleMemory) {
    this.#backend = backend;
    this.#memory = memory;
  }

  empty<D extends DType>(shape: readonly number[], dtype: D): Tensor<D> {
    return this.#make(shape, dtype);
  }

  scope(): Disposable {
    const tensors: OracleTensor<DType>[] = [];
    this.#scopes.push(tensors);
    return {
      [Symbol.dispose]: () => {
        if (this.#scopes.at(-1) !== tensors) {
          throw new TypeError("Cannot close a scope while one inside it is open");
        }
        this.#scopes.pop();
        tensors.forEach((tensor) => tensor.dispose());
      },
    };
  }

  run({ signal }: RunOptions = {}): Promise<void> {
    if (this.#disposed) return Promise.reject(new ReferenceError("The frame was disposed of"));
    const operations = [...this.#operations];
    return this.#memory.submit(async () => {
      signal?.throwIfAborted();
      for (const operation of operations) {
        operation();
        await Promise.resolve();
        signal?.throwIfAborted();
      }
    });
  }

  dispose(): void {
    this.#disposed = true;
    this.#scopes.flat().forEach((tensor) => tensor.dispose());
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  embedding(ids: Tensor<"i32">, table: Tensor, position?: Tensor): Tensor {
    const [i, t] = [this.#ints("embedding", ids), this.#floats("embedding", table, 2)];
    const p = position && this.#floats("embedding", position, 2);
    const columns = t.shape[1]!;
    check(p === undefined || p.shape[1] === columns, "embedding", "position", p?.shape);
    const out = this.#make([...i.shape, columns], "f32");
    return this.#record(
      out,
      () => rows.embedding(i.values, t.values, columns, p?.values),
    );
  }

  linear(x: Tensor, weight: LinearWeight, options: LinearOptions = {}): Tensor {
    const input = this.#floats("linear", x);
    check(
      weight instanceof OracleLinearWeight && weight.backend === this.#backend,
      "linear",
      "weight",
    );
    check(input.shape.at(-1) === weight.inFeatures, "linear", "x", input.shape);
    const shape = [...input.shape.slice(0, -1), weight.outFeatures];
    const out = this.#target("linear", shape, options.addTo);
    const { activation = "none", addTo } = options;
    return this.#record(out, () => linear(input.values, weight, activation), addTo !== undefined);
  }

  geglu(x: Tensor): Tensor {
    const input = this.#floats("geglu", x);
    const columns = input.shape.at(-1)!;
    check(columns % 2 === 0, "geglu", "x", input.shape);
    const out = this.#make([...input.shape.slice(0, -1), columns / 2], "f32");
    return this.#record(out, () => geglu(input.values, columns));
  }

  attention(q: Columns, k: Columns, v: Columns, options: AttentionOptions): Tensor {
    const { batch, heads, headDim, scale, causal = false } = options;
    const width = heads * headDim;
    const [naiveQ, naiveK, naiveV] = [q, k, v].map(({ tensor, offset }) => {
      const { values, shape } = this.#floats("attention", tensor);
      const columns = shape.at(-1)!;
      check(offset >= 0 && offset + width <= columns, "attention", "columns", shape);
      check(values.length / columns % batch === 0, "attention", "batch", [batch]);
      return { data: values, columns, offset, rows: values.length / columns / batch };
    });
    const queries = naiveQ!.rows;
    const keys = naiveK!.rows;
    check(naiveV!.rows === keys, "attention", "v", v.tensor.shape);
    check(!causal || queries === keys, "attention", "causal", q.tensor.shape);
    const sizes = { batch, queries, keys, heads, headDim, scale, causal };
    const out = this.#make([batch, queries, width], "f32");
    return this.#record(out, () => attention(naiveQ!, naiveK!, naiveV!, sizes));
  }

  layerNorm(x: Tensor, { weight, bias, eps }: LayerNormOptions): Tensor {
    const input = this.#floats("layerNorm", x);
    const [w, b] = this.#parameters("layerNorm", input.shape.at(-1)!, weight, bias);
    const out = this.#make(input.shape, "f32");
    return this.#record(out, () => layerNorm(input.values, w.values, b.values, eps));
  }

  adaLayerNorm(x: Tensor, { table, timestep, eps }: AdaLayerNormOptions): Tensor {
    const input = this.#floats("adaLayerNorm", x);
    const columns = input.shape.at(-1)!;
    const t = this.#floats("adaLayerNorm", table, 2);
    check(t.shape[1] === 2 * columns, "adaLayerNorm", "table", t.shape);
    const step = this.#timestep("adaLayerNorm", timestep);
    const out = this.#make(input.shape, "f32");
    return this.#record(
      out,
      () => adaLayerNorm(input.values, columns, t.values, step.values[0]!, eps),
    );
  }

  groupNorm(x: Tensor, options: GroupNormOptions): Tensor {
    const input = this.#floats("groupNorm", x, 4);
    const [batch, height, width, channels] = input.shape as [number, number, number, number];
    const { groups, eps, silu = false } = options;
    check(groups >= 1 && channels % groups === 0, "groupNorm", "groups", [groups]);
    const [w, b] = this.#parameters("groupNorm", channels, options.weight, options.bias);
    const out = this.#make(input.shape, "f32");
    return this.#record(out, () =>
      groupNorm(
        input.values,
        { batch, pixels: height * width, channels },
        { weight: w.values, bias: b.values, groups, eps, silu },
      ));
  }

  conv2d(x: Tensor, weight: ConvWeight, options: ConvOptions = {}): Tensor {
    const input = this.#floats("conv2d", x, 4);
    const [batch, height, width, channels] = input.shape as [number, number, number, number];
    check(
      weight instanceof OracleConvWeight && weight.backend === this.#backend,
      "conv2d",
      "weight",
    );
    check(channels === weight.inChannels, "conv2d", "x", input.shape);
    const { stride = 1, upsample = false, addTo } = options;
    check(stride === 1 || (!upsample && weight.kernelSize === 3), "conv2d", "stride", [stride]);
    const [outHeight, outWidth] = [height, width].map((length) =>
      convolvedLength(length, { stride, upsample })
    );
    check(outHeight! > 0 && outWidth! > 0, "conv2d", "x", input.shape);
    const shape = [batch, outHeight!, outWidth!, weight.outChannels];
    const out = this.#target("conv2d", shape, addTo);
    const sizes = { batch, height, width, stride, upsample };
    return this.#record(out, () => conv2d(input.values, weight, sizes), addTo !== undefined);
  }

  transpose(x: Tensor): Tensor {
    const input = this.#floats("transpose", x, 3);
    const [b, r, c] = input.shape as [number, number, number];
    return this.#record(
      this.#make([b, c, r], "f32"),
      () => rows.transpose(input.values, b, r, c),
    );
  }

  reshape(x: Tensor, shape: readonly number[]): Tensor {
    const input = this.#floats("reshape", x);
    const natural = shape.every((length) => Number.isSafeInteger(length) && length >= 0);
    check(natural && input.values.length === elements(shape), "reshape", "shape", shape);
    return this.#keep(new OracleTensor(this.#backend, this.#memory, shape, "f32", input));
  }

  repeat(x: Tensor, times: number): Tensor {
    const input = this.#floats("repeat", x);
    check(Number.isSafeInteger(times) && times >= 1, "repeat", "times", [times]);
    const [first, ...rest] = input.shape;
    const out = this.#make([first! * times, ...rest], "f32");
    return this.#record(out, () => rows.repeat(input.values, times));
  }

  normalizeRows(x: Tensor): Tensor {
    const input = this.#floats("normalizeRows", x);
    const out = this.#make(input.shape, "f32");
    return this.#record(out, () => rows.normalizeRows(input.values, input.shape.at(-1)!));
  }

  nearestCode(x: Tensor, codebook: Tensor): Tensor<"i32"> {
    const [input, codes] = [
      this.#floats("nearestCode", x),
      this.#floats("nearestCode", codebook, 2),
    ];
    const columns = codes.shape[1]!;
    check(input.shape.at(-1) === columns, "nearestCode", "x", input.shape);
    const out = this.#make(input.shape.slice(0, -1), "i32");
    this.#operations.push(() =>
      out.values.set(rows.nearestCode(input.values, codes.values, columns).indices)
    );
    return out;
  }

  logSoftmax(x: Tensor): Tensor {
    const input = this.#floats("logSoftmax", x);
    const out = this.#make(input.shape, "f32");
    return this.#record(out, () => rows.logSoftmax(input.values, input.shape.at(-1)!));
  }

  posterior(logProbs: Tensor, latents: Tensor<"i32">, options: PosteriorOptions): Tensor {
    const p = this.#floats("posterior", logProbs, 3);
    const ids = this.#ints("posterior", latents);
    const { schedule, step } = this.#posteriorInputs("posterior", options);
    const classes = p.shape[2]! + 1;
    check(sameShape(ids.shape, p.shape.slice(0, 2)), "posterior", "latents", ids.shape);
    const out = this.#make([...ids.shape, classes], "f32");
    return this.#record(out, () =>
      posterior(p.values, ids.values, {
        classes,
        schedule: schedule.values,
        timestep: step.values[0]!,
      }));
  }

  sampleStep(logProbs: Tensor, options: SampleStepOptions): void {
    const p = this.#floats("sampleStep", logProbs, 3);
    const ids = this.#ints("sampleStep", options.latents, 2);
    const { schedule, step } = this.#posteriorInputs("sampleStep", options);
    const { guidanceScale, truncationRate } = options;
    const [batch, pixels] = ids.shape as [number, number];
    const classes = p.shape[2]! + 1;
    const halves = guidanceScale === undefined ? 1 : 2;
    check(sameShape(p.shape.slice(0, 2), [halves * batch, pixels]), "sampleStep", "p", p.shape);
    const noise = this.#floats("sampleStep", options.noise);
    check(sameShape(noise.shape, [batch, classes, pixels]), "sampleStep", "noise", noise.shape);
    this.#operations.push(() => {
      const { tokens } = sampleStep(p.values, ids.values, {
        classes,
        pixels,
        schedule: schedule.values,
        timestep: step.values[0]!,
        noise: noise.values,
        guidanceScale,
        truncationRate,
      });
      ids.values.set(tokens);
    });
  }

  #make<D extends DType>(shape: readonly number[], dtype: D): OracleTensor<D> {
    return this.#keep(new OracleTensor(this.#backend, this.#memory, shape, dtype));
  }

  /** Gives a tensor to the open scope. */
  #keep<D extends DType>(tensor: OracleTensor<D>): OracleTensor<D> {
    if (this.#disposed) throw new ReferenceError("The frame was disposed of");
    this.#scopes.at(-1)!.push(tensor as unknown as OracleTensor<DType>);
    return tensor;
  }

  #record(out: Floats, compute: () => Float32Array, add = false): Tensor {
    this.#operations.push(() => {
      const result = compute();
      out.values.set(add ? result.map((value, i) => value + out.values[i]!) : result);
    });
    return out;
  }

  /** Where a result goes: what it is added to, or a new tensor. */
  #target(operation: string, shape: readonly number[], addTo: Tensor | undefined): Floats {
    if (addTo === undefined) return this.#make(shape, "f32");
    const target = this.#floats(operation, addTo);
    check(target.values.length === elements(shape), operation, "addTo", target.shape);
    return target;
  }

  #floats(operation: string, tensor: Tensor, dimensions?: number): Floats {
    return this.#own(operation, tensor, "f32", dimensions);
  }

  #ints(operation: string, tensor: Tensor<"i32">, dimensions?: number): OracleTensor<"i32"> {
    return this.#own(operation, tensor, "i32", dimensions);
  }

  #own<D extends DType>(operation: string, tensor: Tensor<D>, dtype: D, dimensions?: number) {
    const own = tensor instanceof OracleTensor && tensor.backend === this.#backend;
    check(own && !tensor.disposed, operation, "a tensor of another backend or one disposed of");
    check(tensor.dtype === dtype, operation, `a tensor of type ${tensor.dtype}`);
    check(tensor.shape.length >= 1, operation, "a tensor", tensor.shape);
    check((dimensions ?? tensor.shape.length) === tensor.shape.length, operation, "a tensor", [
      ...tensor.shape,
    ]);
    return tensor as OracleTensor<D>;
  }

  #parameters(operation: string, columns: number, weight: Tensor, bias: Tensor): [Floats, Floats] {
    const both: [Floats, Floats] = [
      this.#floats(operation, weight),
      this.#floats(operation, bias),
    ];
    both.forEach(({ values, shape }) => check(values.length === columns, operation, "w", shape));
    return both;
  }

  #timestep(operation: string, timestep: Tensor<"i32">): OracleTensor<"i32"> {
    const step = this.#ints(operation, timestep);
    check(step.values.length === 1, operation, "timestep", step.shape);
    return step;
  }

  #posteriorInputs(operation: string, options: PosteriorOptions) {
    const schedule = this.#floats(operation, options.schedule, 2);
    check(schedule.shape[1] === SCHEDULE_COLUMNS.length, operation, "schedule", schedule.shape);
    return { schedule, step: this.#timestep(operation, options.timestep) };
  }
}

function check(
  holds: boolean,
  operation: string,
  what: string,
  shape?: readonly number[],
): asserts holds {
  if (holds) return;
  const of = shape === undefined ? "" : ` of [${shape.join(", ")}]`;
  throw new TypeError(`Frame.${operation}() cannot use ${what}${of}`);
}

function sameShape(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((length, i) => length === b[i]);
}
