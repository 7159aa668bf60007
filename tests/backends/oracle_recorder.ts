// The oracle's frames: their memory, and the calls of naive functions that they run.

import type { Device } from "../../src/backends/arguments.ts";
import type { Backend, DType, RunOptions } from "../../src/backends/backend.ts";
import type { Kernels, Operations } from "../../src/backends/checked_frame.ts";
import { FrameLife } from "../../src/backends/frame_life.ts";
import type { FrameRecorder } from "../../src/backends/recording.ts";
import { elementCount } from "../../src/base/shapes.ts";
import * as attention from "./naive/attention.ts";
import * as attentionGradient from "./naive/attention_gradient.ts";
import * as convolution from "./naive/convolution.ts";
import * as convolutionGradient from "./naive/convolution_gradient.ts";
import * as distance from "./naive/distance.ts";
import * as gradients from "./naive/gradients.ts";
import * as linear from "./naive/linear.ts";
import * as loss from "./naive/loss.ts";
import * as norms from "./naive/norms.ts";
import * as normsGradient from "./naive/norms_gradient.ts";
import * as prediction from "./naive/prediction.ts";
import * as rows from "./naive/rows.ts";
import * as sampling from "./naive/sampling.ts";
import { type OracleMemory, OracleTensor } from "./oracle_memory.ts";
import { OracleConvWeight, OracleLinearWeight } from "./oracle_weights.ts";

/** The oracle's types. */
export interface OracleDevice extends Device {
  readonly floats: OracleTensor<"f32">;
  readonly ints: OracleTensor<"i32">;
  readonly linear: OracleLinearWeight;
  readonly conv: OracleConvWeight;
  readonly recorder: OracleRecorder;
}

/** The naive functions. */
const NAIVE: Operations<OracleDevice> = {
  ...attention,
  ...attentionGradient,
  ...convolution,
  ...convolutionGradient,
  ...distance,
  ...linear,
  ...gradients,
  ...loss,
  ...norms,
  ...normsGradient,
  ...prediction,
  ...rows,
  ...sampling,
};

/** Record calls of the naive functions. */
export const KERNELS = Object.fromEntries(
  Object.entries(NAIVE).map(([name, compute]) => [
    name,
    (recorder: OracleRecorder, ...inputs: unknown[]) => recorder.push(() => compute(...inputs)),
  ]),
) as unknown as Kernels<OracleDevice>;

/** Records calls and makes them one after the other. */
export class OracleRecorder implements FrameRecorder<OracleDevice> {
  readonly life = new FrameLife();
  readonly #memory: OracleMemory;
  readonly #calls: (() => void)[] = [];

  constructor(readonly backend: Backend, memory: OracleMemory) {
    this.#memory = memory;
  }

  operation<T>(_name: string, record: () => T): T {
    this.life.assertAlive();
    return record();
  }

  push(call: () => void): void {
    this.#calls.push(call);
  }

  input<D extends DType>(shape: readonly number[], dtype: D): OracleTensor<D> {
    return this.#tensor(shape, dtype);
  }

  result<D extends DType = "f32">(
    shape: readonly number[],
    dtype: D = "f32" as D,
  ): OracleTensor<D> {
    return this.#tensor(shape, dtype);
  }

  kept<D extends DType>(shape: readonly number[], dtype: D): OracleTensor<D> {
    const free = this.#memory.reserve(4 * elementCount(shape));
    const { lastRun } = this.life;
    return this.life.keep(
      (release) => new OracleTensor(this.backend, this.#memory, shape, dtype, { release, lastRun }),
      free,
    );
  }

  packed(outFeatures: number, inFeatures: number): OracleLinearWeight {
    const values = this.#tensor([outFeatures, inFeatures], "f32");
    const bias = this.#tensor([outFeatures], "f32");
    const weight = new OracleLinearWeight(
      this.backend,
      () => {},
      values.values,
      bias.values,
      inFeatures,
      "fp32",
    );
    this.life.scopes.own(weight);
    return weight;
  }

  packedConv(outChannels: number, inChannels: number, kernelSize: number): OracleConvWeight {
    const values = this.#tensor([outChannels, inChannels, kernelSize, kernelSize], "f32");
    const bias = this.#tensor([outChannels], "f32");
    const weight = new OracleConvWeight(
      this.backend,
      () => {},
      values.values,
      bias.values,
      inChannels,
      kernelSize,
    );
    this.life.scopes.own(weight);
    return weight;
  }

  view<D extends DType>(viewed: OracleTensor<D>, shape: readonly number[]): OracleTensor<D> {
    return this.#tensor(shape, viewed.dtype, viewed);
  }

  run({ signal }: RunOptions = {}): Promise<void> {
    const calls = [...this.#calls];
    return this.life.run(() =>
      this.#memory.submit(async () => {
        signal?.throwIfAborted();
        for (const call of calls) {
          call();
          await Promise.resolve();
          signal?.throwIfAborted();
        }
      })
    );
  }

  dispose(): void {
    this.life.dispose();
  }

  #tensor<D extends DType>(shape: readonly number[], dtype: D, viewed?: OracleTensor<D>) {
    const origin = { lastRun: this.life.lastRun, ...(viewed && { viewed }) };
    const tensor = new OracleTensor(this.backend, this.#memory, shape, dtype, origin);
    this.life.scopes.own(tensor);
    return tensor;
  }
}
