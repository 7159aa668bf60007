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
  ConvGradientOptions,
  ConvWeight,
  DistanceKind,
  GroupNormOptions,
  LayerNormOptions,
  LinearWeight,
  Tensor,
} from "./backend.ts";
import {
  attentionInputs,
  convGeometry,
  diffusionLossInputs,
  groupNormInputs,
  IMAGES,
} from "./checked_inputs.ts";
import type {
  AttentionGradients,
  DiffusionLossTargets,
  GradientOperations,
  NormGradients,
  PackOptions,
} from "./backend.ts";
import type {
  AttentionInputs,
  CheckedColumns,
  ConvGradientInputs,
  DiffusionLossInputs,
  FrameRecorder,
  GroupNormInputs,
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
  packConv(
    weight: D["floats"],
    bias: D["floats"] | undefined,
    transpose: boolean,
    y: D["conv"],
  ): void;
  add(x: D["floats"], y: D["floats"], z: D["floats"]): void;
  multiply(x: D["floats"], y: D["floats"], z: D["floats"]): void;
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
  groupNormGradient(
    inputs: GroupNormInputs<D>,
    dy: D["floats"],
    dx: D["floats"],
    affine: D["floats"],
  ): void;
  normalizeRowsGradient(x: D["floats"], dy: D["floats"], dx: D["floats"]): void;
  conv2dWeightGradient(inputs: ConvGradientInputs<D>, dw: D["floats"]): void;
  dilate(x: D["floats"], y: D["floats"]): void;
  sumBlocks(x: D["floats"], y: D["floats"]): void;
  distance(x: D["floats"], y: D["floats"], kind: DistanceKind, z: D["floats"]): void;
  distanceGradient(
    x: D["floats"],
    y: D["floats"],
    dy: D["floats"],
    kind: DistanceKind,
    dx: D["floats"],
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

  packConv(weight: Tensor, { bias, transpose = false }: PackOptions = {}): ConvWeight {
    return this.checked("packConv", (args) => {
      const input = args.floats("weight", weight, ["out", "in", "k", "k"]);
      const [out, inside, size, other] = input.shape as [number, number, number, number];
      const isKernel = out > 0 && inside > 0 && size === other && (size === 1 || size === 3);
      args.expect(isKernel, "a weight (out, in, k, k) with k 1 or 3", input.shape);
      const [outChannels, inChannels] = transpose ? [inside, out] : [out, inside];
      const added = bias && args.vector("bias", bias, outChannels);
      const y = this.#recorder.packedConv(outChannels, inChannels, size);
      this.#kernels.packConv(this.#recorder, input, added, transpose, y);
      return y;
    });
  }

  add(x: Tensor, y: Tensor): Tensor {
    return this.#pairwise("add", { x, y });
  }

  multiply(x: Tensor, y: Tensor): Tensor {
    return this.#pairwise("multiply", { x, y });
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
    return this.#pairwise("logSoftmaxGradient", { y, dy });
  }

  layerNormGradient(
    x: Tensor,
    dy: Tensor,
    options: LayerNormOptions | AdaLayerNormOptions,
  ): NormGradients {
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

  groupNormGradient(x: Tensor, dy: Tensor, options: GroupNormOptions): NormGradients {
    return this.checked("groupNormGradient", (args) => {
      const inputs = groupNormInputs(args, x, options);
      const gradient = args.vector("dy", dy, inputs.x.size);
      const dx = this.#recorder.result(inputs.x.shape);
      const affine = this.#recorder.result([inputs.x.shape[0]!, 2 * columnsOf(inputs.x)]);
      this.#kernels.groupNormGradient(this.#recorder, inputs, gradient, dx, affine);
      return { x: dx, affine };
    });
  }

  normalizeRowsGradient(x: Tensor, dy: Tensor): Tensor {
    return this.#pairwise("normalizeRowsGradient", { x, dy });
  }

  conv2dWeightGradient(x: Tensor, dy: Tensor, options: ConvGradientOptions): Tensor {
    return this.checked("conv2dWeightGradient", (args) => {
      const { kernelSize, ...sampling } = options;
      args.expect(kernelSize === 1 || kernelSize === 3, "kernelSize 1 or 3", kernelSize);
      const input = args.floats("x", x, IMAGES);
      const gradient = args.floats("dy", dy, IMAGES);
      const outChannels = columnsOf(gradient);
      const sizes = { kernelSize, outChannels };
      const { shape, stride, upsample } = convGeometry(args, input, sizes, sampling);
      args.floats("dy", dy, shape);
      const dw = this.#recorder.result([outChannels, columnsOf(input), kernelSize, kernelSize]);
      const inputs = { x: input, dy: gradient, kernelSize, stride, upsample };
      this.#kernels.conv2dWeightGradient(this.#recorder, inputs, dw);
      return dw;
    });
  }

  dilate(x: Tensor, height: number, width: number): Tensor {
    return this.checked("dilate", (args) => {
      args.natural("height", height);
      args.natural("width", width);
      const shape = ["batch", height >> 1, width >> 1, "channels"];
      const input = args.floats("x", x, shape);
      const y = this.#recorder.result([input.shape[0]!, height, width, columnsOf(input)]);
      this.#kernels.dilate(this.#recorder, input, y);
      return y;
    });
  }

  sumBlocks(x: Tensor): Tensor {
    return this.checked("sumBlocks", (args) => {
      const input = args.floats("x", x, IMAGES);
      const [batch, height, width, channels] = input.shape as [number, number, number, number];
      const isEven = height % 2 === 0 && width % 2 === 0;
      args.expect(isEven, "x of even height and width", input.shape);
      const y = this.#recorder.result([batch, height / 2, width / 2, channels]);
      this.#kernels.sumBlocks(this.#recorder, input, y);
      return y;
    });
  }

  distance(x: Tensor, y: Tensor, kind: DistanceKind): Tensor {
    return this.checked("distance", (args) => {
      const first = args.floats("x", x);
      const second = args.vector("y", y, first.size);
      const z = this.#recorder.result(first.shape);
      this.#kernels.distance(this.#recorder, first, second, kind, z);
      return z;
    });
  }

  distanceGradient(x: Tensor, y: Tensor, dy: Tensor, kind: DistanceKind): Tensor {
    return this.checked("distanceGradient", (args) => {
      const first = args.floats("x", x);
      const second = args.vector("y", y, first.size);
      const gradient = args.vector("dy", dy, first.size);
      const dx = this.#recorder.result(first.shape);
      this.#kernels.distanceGradient(this.#recorder, first, second, gradient, kind, dx);
      return dx;
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

  /** An operation on two tensors, given by their names, of as many elements: in the shape of the first. */
  #pairwise(
    operation: "add" | "multiply" | "logSoftmaxGradient" | "normalizeRowsGradient",
    tensors: Readonly<Record<string, Tensor>>,
  ): Tensor {
    return this.checked(operation, (args) => {
      const [first, second] = Object.entries(tensors) as [[string, Tensor], [string, Tensor]];
      const x = args.floats(...first);
      const y = args.vector(...second, x.size);
      const z = this.#recorder.result(x.shape);
      this.#kernels[operation](this.#recorder, x, y, z);
      return z;
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
