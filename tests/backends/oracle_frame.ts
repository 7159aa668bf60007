// The oracle's frame: records calls of naive functions.

import type {
  AdaLayerNormOptions,
  Backend,
  DType,
  GroupNormOptions,
  LayerNormOptions,
  RunOptions,
} from "../../src/backends/backend.ts";
import { CheckedFrame } from "../../src/backends/checked_frame.ts";
import type {
  AttentionInputs,
  Checked,
  ConvGeometry,
  Epilogue,
  PosteriorInputs,
  SampleStepInputs,
} from "../../src/backends/recording.ts";
import { FrameLife } from "../../src/backends/frame_life.ts";
import { columnsOf, elementCount } from "../../src/base/shapes.ts";
import { attention } from "./naive/attention.ts";
import { conv2d } from "./naive/convolution.ts";
import { geglu, linear } from "./naive/linear.ts";
import { adaLayerNorm, groupNorm, layerNorm } from "./naive/norms.ts";
import * as rows from "./naive/rows.ts";
import { posterior, sampleStep } from "./naive/sampling.ts";
import { OracleConvWeight, OracleLinearWeight } from "./oracle_backend.ts";
import { type OracleMemory, OracleTensor } from "./oracle_memory.ts";

type Floats = OracleTensor<"f32">;
type Ints = OracleTensor<"i32">;

/** A frame that runs naive functions. */
export class OracleFrame extends CheckedFrame<Floats, Ints, OracleLinearWeight, OracleConvWeight> {
  readonly #backend: Backend;
  readonly #memory: OracleMemory;
  readonly #operations: (() => void)[] = [];
  readonly #life = new FrameLife();

  constructor(backend: Backend, memory: OracleMemory) {
    super(backend, { tensor: OracleTensor, linear: OracleLinearWeight, conv: OracleConvWeight });
    this.#backend = backend;
    this.#memory = memory;
  }

  scope(): Disposable {
    this.#life.assertAlive();
    return this.#life.scopes.open();
  }

  run({ signal }: RunOptions = {}): Promise<void> {
    const operations = [...this.#operations];
    return this.#life.run(() =>
      this.#memory.submit(async () => {
        signal?.throwIfAborted();
        for (const operation of operations) {
          operation();
          await Promise.resolve();
          signal?.throwIfAborted();
        }
      })
    );
  }

  dispose(): void {
    this.#life.dispose();
  }

  protected operation<T>(_name: string, record: () => T): T {
    this.#life.assertAlive();
    return record();
  }

  protected input<D extends DType>(shape: readonly number[], dtype: D): OracleTensor<D> {
    return this.#tensor(shape, dtype);
  }

  protected floats(shape: readonly number[]): Floats {
    return this.#tensor(shape, "f32");
  }

  protected ints(shape: readonly number[]): Ints {
    return this.#tensor(shape, "i32");
  }

  protected kept<D extends DType>(shape: readonly number[], dtype: D): OracleTensor<D> {
    const memory = this.#memory.reserve(4 * elementCount(shape));
    const { lastRun } = this.#life;
    return this.#life.keep(
      (release) =>
        new OracleTensor(this.#backend, this.#memory, shape, dtype, { release, lastRun }),
      memory,
    );
  }

  protected view(x: Floats, shape: readonly number[]): Floats {
    return this.#tensor(shape, "f32", x);
  }

  protected recordEmbedding(ids: Ints, table: Floats, position: Floats | undefined, y: Floats) {
    const columns = columnsOf(table);
    this.#record(y, () => rows.embedding(ids.values, table.values, columns, position?.values));
  }

  protected recordLinear(x: Floats, weight: OracleLinearWeight, y: Floats, epilogue: Epilogue) {
    const { activation, add } = epilogue;
    this.#record(y, () => linear(x.values, weight, activation), add);
  }

  protected recordGeglu(x: Floats, y: Floats): void {
    this.#record(y, () => geglu(x.values, columnsOf(x)));
  }

  protected recordAttention(inputs: AttentionInputs<Floats>, y: Floats): void {
    const [q, k, v] = [inputs.q, inputs.k, inputs.v].map(({ tensor, offset }) => ({
      data: tensor.values,
      columns: columnsOf(tensor),
      offset,
    }));
    const sizes = { ...inputs, queries: inputs.q.rows, keys: inputs.k.rows };
    this.#record(y, () => attention(q!, k!, v!, sizes));
  }

  protected recordLayerNorm(
    x: Floats,
    { weight, bias, eps }: Checked<LayerNormOptions, Floats, Ints>,
    y: Floats,
  ): void {
    this.#record(y, () => layerNorm(x.values, weight.values, bias.values, eps));
  }

  protected recordAdaLayerNorm(
    x: Floats,
    { table, timestep, eps }: Checked<AdaLayerNormOptions, Floats, Ints>,
    y: Floats,
  ): void {
    const columns = columnsOf(x);
    this.#record(
      y,
      () => adaLayerNorm(x.values, columns, table.values, timestep.values[0]!, eps),
    );
  }

  protected recordGroupNorm(
    x: Floats,
    options: Required<Checked<GroupNormOptions, Floats, Ints>>,
    y: Floats,
  ): void {
    const [batch, height, width, channels] = x.shape as [number, number, number, number];
    const sizes = { batch, pixels: height * width, channels };
    const [weight, bias] = [options.weight.values, options.bias.values];
    this.#record(y, () => groupNorm(x.values, sizes, { ...options, weight, bias }));
  }

  protected recordConv2d(x: Floats, weight: OracleConvWeight, y: Floats, geometry: ConvGeometry) {
    const [batch, height, width] = x.shape as [number, number, number];
    const { stride, upsample, add } = geometry;
    const sizes = { batch, height, width, stride, upsample };
    this.#record(y, () => conv2d(x.values, weight, sizes), add);
  }

  protected recordTranspose(x: Floats, y: Floats): void {
    const [batch, height, columns] = x.shape as [number, number, number];
    this.#record(y, () => rows.transpose(x.values, batch, height, columns));
  }

  protected recordRepeat(x: Floats | Ints, times: number, y: Floats | Ints): void {
    this.#operations.push(() => rows.repeat(x.values, times, y.values));
  }

  protected recordNormalizeRows(x: Floats, y: Floats): void {
    this.#record(y, () => rows.normalizeRows(x.values, columnsOf(x)));
  }

  protected recordNearestCode(x: Floats, codebook: Floats, y: Ints): void {
    this.#operations.push(() =>
      y.values.set(rows.nearestCode(x.values, codebook.values, columnsOf(x)).indices)
    );
  }

  protected recordLogSoftmax(x: Floats, y: Floats): void {
    this.#record(y, () => rows.logSoftmax(x.values, columnsOf(x)));
  }

  protected recordPosterior(inputs: PosteriorInputs<Floats, Ints>, y: Floats): void {
    const { logProbs, latents, schedule, row, classes } = inputs;
    this.#record(y, () =>
      posterior(logProbs.values, latents.values, {
        classes,
        schedule: schedule.values,
        row: row.values[0]!,
      }));
  }

  protected recordSampleStep(inputs: SampleStepInputs<Floats, Ints>): void {
    const { logProbs, latents, classes, pixels, guidanceScale, truncationRate } = inputs;
    this.#operations.push(() => {
      const { tokens } = sampleStep(logProbs.values, latents.values, {
        classes,
        pixels,
        schedule: inputs.schedule.values,
        row: inputs.row.values[0]!,
        noise: inputs.noise.values,
        guidanceScale,
        truncationRate,
      });
      latents.values.set(tokens);
    });
  }

  #tensor<D extends DType>(shape: readonly number[], dtype: D, viewed?: OracleTensor<D>) {
    const origin = { lastRun: this.#life.lastRun, ...(viewed && { viewed }) };
    const tensor = new OracleTensor(this.#backend, this.#memory, shape, dtype, origin);
    this.#life.scopes.own(tensor);
    return tensor;
  }

  #record(y: Floats, compute: () => Float32Array, add = false): void {
    this.#operations.push(() => {
      const result = compute();
      // The naive functions find the sizes of their results on their own.
      if (result.length !== y.size) throw new RangeError(`${result.length} values for ${y.size}`);
      y.values.set(add ? result.map((value, i) => value + y.values[i]!) : result);
    });
  }
}
