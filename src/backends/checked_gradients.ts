/**
 * The operations of training, with their arguments checked and their results reserved, the same way on
 * every device.
 *
 * @module
 */

import type { Arguments, Device } from "./arguments.ts";
import type {
  Activation,
  AdaLayerNormOptions,
  AttentionOptions,
  Columns,
  LayerNormOptions,
  LinearWeight,
  Tensor,
} from "./backend.ts";
import { attentionInputs, diffusionLossInputs } from "./checked_inputs.ts";
import type {
  AttentionGradients,
  DiffusionLossTargets,
  GradientOperations,
  LayerNormGradients,
  PackOptions,
} from "./backend.ts";
import type {
  AttentionInputs,
  CheckedColumns,
  DiffusionLossInputs,
  FrameRecorder,
  LayerNormGradientInputs,
} from "./recording.ts";
import { columnsOf, rowsOf } from "../base/shapes.ts";

/** What each of the operations computes, as in `Operations`. */
export interface GradientKernels<D extends Device> {
  pack(
    matrix: D["floats"],
    bias: D["floats"] | undefined,
    transpose: boolean,
    y: D["linear"],
  ): void;
  add(x: D["floats"], y: D["floats"], z: D["floats"]): void;
  scatterAdd(x: D["floats"], ids: D["ints"], y: D["floats"]): void;
  activate(x: D["floats"], activation: Activation, y: D["floats"]): void;
  activateGradient(
    x: D["floats"],
    dy: D["floats"],
    activation: Activation,
    dx: D["floats"],
  ): void;
  gegluGradient(x: D["floats"], dy: D["floats"], dx: D["floats"]): void;
  logSoftmaxGradient(y: D["floats"], dy: D["floats"], dx: D["floats"]): void;
  layerNormGradient(
    inputs: LayerNormGradientInputs<D>,
    dx: D["floats"],
    affine: D["floats"],
  ): void;
  attentionGradient(
    inputs: AttentionInputs<D>,
    dy: D["floats"],
    dq: D["floats"],
    dk: D["floats"],
    dv: D["floats"],
  ): void;
  diffusionLoss(inputs: DiffusionLossInputs<D>, y: D["floats"]): void;
  diffusionLossGradient(
    inputs: DiffusionLossInputs<D>,
    dy: D["floats"],
    dx: D["floats"],
  ): void;
}

/** A function for each operation that records it. */
type Kernels<D extends Device> = {
  readonly [K in keyof GradientKernels<D>]: (
    recorder: D["recorder"],
    ...inputs: Parameters<GradientKernels<D>[K]>
  ) => void;
};

/** The part of a frame that training needs. */
export abstract class CheckedGradients<D extends Device> implements GradientOperations {
  readonly #recorder: D["recorder"] & FrameRecorder<D>;
  readonly #kernels: Kernels<D>;
  readonly #mostSummed: number | undefined;

  /**
   * For a frame that records to `recorder`.
   *
   * @param mostSummed Most columns of rows whose exponentials are summed. Default: any number.
   */
  constructor(
    recorder: D["recorder"] & FrameRecorder<D>,
    kernels: Kernels<D>,
    mostSummed: number | undefined,
  ) {
    this.#recorder = recorder;
    this.#kernels = kernels;
    this.#mostSummed = mostSummed;
  }

  /** Checks the arguments of an operation, and records it. */
  protected abstract checked<T>(operation: string, record: (args: Arguments<D>) => T): T;

  pack(matrix: Tensor, { bias, transpose = false }: PackOptions = {}): LinearWeight {
    return this.checked("pack", (args) => {
      const input = args.floats("matrix", matrix, ["rows", "columns"]);
      const [rows, columns] = input.shape as [number, number];
      const [outFeatures, inFeatures] = transpose ? [columns, rows] : [rows, columns];
      args.expect(rows > 0 && columns > 0, "a matrix with rows and columns", input.shape);
      const added = bias && args.vector("bias", bias, outFeatures);
      const y = this.#recorder.packed(outFeatures, inFeatures);
      this.#kernels.pack(this.#recorder, input, added, transpose, y);
      return y;
    });
  }

  add(x: Tensor, y: Tensor): Tensor {
    return this.checked("add", (args) => {
      const [first, second] = [args.floats("x", x), args.floats("y", y)];
      args.vector("y", y, first.size);
      const z = this.#recorder.result(first.shape);
      this.#kernels.add(this.#recorder, first, second, z);
      return z;
    });
  }

  scatterAdd(x: Tensor, ids: Tensor<"i32">, rows: number): Tensor {
    return this.checked("scatterAdd", (args) => {
      const input = args.floats("x", x);
      const indices = args.ints("ids", ids);
      args.natural("rows", rows);
      const fits = indices.size > 0 && rowsOf(input) % indices.size === 0;
      args.expect(fits, `x with rows for ${indices.size} ids`, input.shape);
      const y = this.#recorder.result([rows, columnsOf(input)]);
      this.#kernels.scatterAdd(this.#recorder, input, indices, y);
      return y;
    });
  }

  activate(x: Tensor, activation: Activation): Tensor {
    return this.checked("activate", (args) => {
      const input = args.floats("x", x);
      const y = this.#recorder.result(input.shape);
      this.#kernels.activate(this.#recorder, input, activation, y);
      return y;
    });
  }

  activateGradient(x: Tensor, dy: Tensor, activation: Activation): Tensor {
    return this.checked("activateGradient", (args) => {
      const input = args.floats("x", x);
      const gradient = args.vector("dy", dy, input.size);
      const dx = this.#recorder.result(input.shape);
      this.#kernels.activateGradient(this.#recorder, input, gradient, activation, dx);
      return dx;
    });
  }

  gegluGradient(x: Tensor, dy: Tensor): Tensor {
    return this.checked("gegluGradient", (args) => {
      const input = args.floats("x", x);
      args.expect(columnsOf(input) % 2 === 0, "x with an even number of columns", input.shape);
      const gradient = args.vector("dy", dy, input.size / 2);
      const dx = this.#recorder.result(input.shape);
      this.#kernels.gegluGradient(this.#recorder, input, gradient, dx);
      return dx;
    });
  }

  logSoftmaxGradient(y: Tensor, dy: Tensor): Tensor {
    return this.checked("logSoftmaxGradient", (args) => {
      const result = args.floats("y", y);
      const gradient = args.vector("dy", dy, result.size);
      const dx = this.#recorder.result(result.shape);
      this.#kernels.logSoftmaxGradient(this.#recorder, result, gradient, dx);
      return dx;
    });
  }

  layerNormGradient(
    x: Tensor,
    dy: Tensor,
    options: LayerNormOptions | AdaLayerNormOptions,
  ): LayerNormGradients {
    return this.checked("layerNormGradient", (args) => {
      const input = args.floats("x", x);
      const columns = columnsOf(input);
      const gradient = args.vector("dy", dy, input.size);
      const factors = "table" in options
        ? {
          factors: args.floats("table", options.table, ["timesteps", 2 * columns]),
          timestep: args.perSequence("timestep", options.timestep, input),
        }
        : { factors: args.vector("weight", options.weight, columns), timestep: undefined };
      const dx = this.#recorder.result(input.shape);
      const affine = this.#recorder.result([rowsOf(input), 2 * columns]);
      const inputs = { x: input, dy: gradient, ...factors, eps: options.eps };
      this.#kernels.layerNormGradient(this.#recorder, inputs, dx, affine);
      return { x: dx, affine };
    });
  }

  attentionGradient(
    q: Columns,
    k: Columns,
    v: Columns,
    dy: Tensor,
    options: AttentionOptions,
  ): AttentionGradients {
    return this.checked("attentionGradient", (args) => {
      const inputs = attentionInputs(args, q, k, v, options);
      const width = inputs.heads * inputs.headDim;
      const gradient = args.vector("dy", dy, inputs.batch * inputs.q.rows * width);
      const parts = [inputs.q, inputs.k, inputs.v];
      parts.forEach((part) => expectFilled(args, part, parts, width));
      const results = new Map<unknown, D["floats"]>();
      const [dq, dk, dv] = parts.map(({ tensor }) => {
        const result = results.get(tensor.memory) ?? this.#recorder.result(tensor.shape);
        results.set(tensor.memory, result);
        return result;
      }) as [D["floats"], D["floats"], D["floats"]];
      this.#kernels.attentionGradient(this.#recorder, inputs, gradient, dq, dk, dv);
      return { q: dq, k: dk, v: dv };
    });
  }

  diffusionLoss(logProbs: Tensor, options: DiffusionLossTargets): Tensor {
    return this.checked("diffusionLoss", (args) => {
      const inputs = diffusionLossInputs(args, logProbs, options);
      args.expectColumns("logProbs", inputs.logProbs, this.#mostSummed);
      const y = this.#recorder.result([inputs.batch, inputs.pixels, 3]);
      this.#kernels.diffusionLoss(this.#recorder, inputs, y);
      return y;
    });
  }

  diffusionLossGradient(logProbs: Tensor, dy: Tensor, options: DiffusionLossTargets): Tensor {
    return this.checked("diffusionLossGradient", (args) => {
      const inputs = diffusionLossInputs(args, logProbs, options);
      args.expectColumns("logProbs", inputs.logProbs, this.#mostSummed);
      const gradient = args.vector("dy", dy, inputs.batch * inputs.pixels * 3);
      const dx = this.#recorder.result(inputs.logProbs.shape);
      this.#kernels.diffusionLossGradient(this.#recorder, inputs, gradient, dx);
      return dx;
    });
  }
}

/** Fails unless the parts that lie in the tensor of one of them fill it, each a place of its own. */
function expectFilled<D extends Device>(
  args: Arguments<D>,
  { tensor }: CheckedColumns<D>,
  parts: readonly CheckedColumns<D>[],
  width: number,
): void {
  const offsets = parts.filter((part) => part.tensor.memory === tensor.memory)
    .map(({ offset }) => offset).sort((a, b) => a - b);
  const filled = offsets.every((offset, i) => offset === i * width) &&
    offsets.length * width === columnsOf(tensor);
  args.expect(filled, "q, k and v to fill their tensors side by side", tensor.shape);
}
