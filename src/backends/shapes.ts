/**
 * Checks of the arguments of operations, and the shapes of their results: the same for every backend.
 *
 * @module
 */

import type {
  AttentionOptions,
  Columns,
  ConvOptions,
  ConvWeight,
  DType,
  LinearOptions,
  LinearWeight,
  Tensor,
} from "./backend.ts";

/** Number of elements of a shape. */
export function elements(shape: readonly number[]): number {
  return shape.reduce((product, length) => product * length, 1);
}

/** Shape for people: `(2, 64, 256)`. */
export function shapeText(shape: readonly number[]): string {
  return `(${shape.join(", ")})`;
}

/** Checks a shape that a caller made up. */
export function checkShape(operation: string, shape: readonly number[]): void {
  if (shape.every((length) => Number.isSafeInteger(length) && length >= 0)) return;
  throw new RangeError(
    `Cannot run ${operation}: a shape has lengths that are whole and not negative, got ${
      shapeText(shape)
    }`,
  );
}

/** Throws a `RangeError` that names the operation. */
export function refuse(operation: string, expected: string, got: string): never {
  throw new RangeError(`Cannot run ${operation}: expected ${expected}, got ${got}`);
}

/** Number of columns: the last length. */
export function columnsOf(x: Tensor<DType>): number {
  return x.shape.at(-1) ?? 1;
}

/** Number of rows: the product of all lengths but the last. */
export function rowsOf(x: Tensor<DType>): number {
  return elements(x.shape.slice(0, -1));
}

/** Checks that a tensor has a shape; `null` stands for any length. */
export function expectShape(
  operation: string,
  name: string,
  x: Tensor<DType>,
  shape: readonly (number | null)[],
): void {
  const fits = x.shape.length === shape.length &&
    shape.every((length, i) => length === null || length === x.shape[i]);
  if (!fits) {
    const expected = `(${shape.map((length) => length ?? "any").join(", ")})`;
    refuse(operation, `${name} of shape ${expected}`, shapeText(x.shape));
  }
}

/** Checks that a tensor has a number of elements, whatever its shape. */
export function expectElements(operation: string, name: string, x: Tensor<DType>, count: number) {
  if (elements(x.shape) !== count) {
    refuse(operation, `${name} with ${count} elements`, shapeText(x.shape));
  }
}

/** Shape of the result of `linear`. */
export function linearShape(x: Tensor, weight: LinearWeight, options: LinearOptions): number[] {
  if (columnsOf(x) !== weight.inFeatures) {
    refuse("linear", `x with ${weight.inFeatures} columns`, shapeText(x.shape));
  }
  const shape = [...x.shape.slice(0, -1), weight.outFeatures];
  if (options.addTo) {
    expectElements("linear", "addTo", options.addTo, elements(shape));
    if (options.activation && options.activation !== "none") {
      refuse("linear", "no activation beside addTo", options.activation);
    }
  }
  return shape;
}

/** Sizes of an attention. */
export interface AttentionSizes {
  /** Rows of q in each sequence. */
  readonly queries: number;
  /** Rows of k and v in each sequence. */
  readonly keys: number;
  /** Shape of the result. */
  readonly shape: number[];
}

/** Sizes of the arguments and the result of `attention`. */
export function attentionSizes(
  q: Columns,
  k: Columns,
  v: Columns,
  options: AttentionOptions,
): AttentionSizes {
  const { batch, heads, headDim } = options;
  const width = heads * headDim;
  const rows = (name: string, { tensor, offset }: Columns) => {
    if (offset < 0 || offset + width > columnsOf(tensor)) {
      refuse(
        "attention",
        `${name} with ${width} columns from ${offset}`,
        shapeText(tensor.shape),
      );
    }
    const count = rowsOf(tensor) / batch;
    if (!Number.isInteger(count)) {
      refuse("attention", `${name} with rows for ${batch} sequences`, shapeText(tensor.shape));
    }
    return count;
  };
  const queries = rows("q", q);
  const keys = rows("k", k);
  const values = rows("v", v);
  if (keys !== values) refuse("attention", `v with ${keys} rows a sequence`, `${values}`);
  if (keys === 0) refuse("attention", "at least one key", "none");
  if (!(options.scale > 0)) refuse("attention", "a scale above 0", `${options.scale}`);
  return { queries, keys, shape: [batch, queries, width] };
}

/** Shape of the result of `conv2d`: (batch, height, width, channels). */
export function convShape(x: Tensor, weight: ConvWeight, options: ConvOptions): number[] {
  const operation = "conv2d";
  expectShape(operation, "x", x, [null, null, null, weight.inChannels]);
  const [batch, height, width] = x.shape as [number, number, number, number];
  const { stride = 1, upsample = false, addTo } = options;
  if (stride === 2 && upsample) refuse(operation, "a stride of 1 beside upsample", "2");
  if (stride === 2 && weight.kernelSize !== 3) {
    refuse(operation, "a 3×3 kernel for stride 2", `${weight.kernelSize}`);
  }
  const resized = (length: number) => {
    // One row of padding after the last, none before the first.
    if (stride === 2) return Math.floor((length - 2) / 2) + 1;
    return upsample ? 2 * length : length;
  };
  const shape = [batch, resized(height), resized(width), weight.outChannels];
  if (stride === 2 && Math.min(height, width) < 2) {
    refuse(operation, "at least 2 × 2 pixels for stride 2", shapeText(x.shape));
  }
  if (addTo) expectElements(operation, "addTo", addTo, elements(shape));
  return shape;
}

/** Sizes of the arguments of `posterior` and `sampleStep`. */
export interface LatentSizes {
  /** Number of images. */
  readonly batch: number;
  /** Latent pixels of an image. */
  readonly pixels: number;
  /** Number of classes, the mask included. */
  readonly classes: number;
  /** Number of timesteps of the schedule. */
  readonly timesteps: number;
}

/** Checks log p(x_0), x_t, the schedule and the timestep against each other. */
export function latentSizes(
  operation: string,
  logProbs: Tensor,
  latents: Tensor<"i32">,
  options: { schedule: Tensor; timestep: Tensor<"i32">; guidanceScale?: number },
): LatentSizes {
  expectShape(operation, "latents", latents, [null, null]);
  const [batch, pixels] = latents.shape as [number, number];
  const predictions = options.guidanceScale === undefined ? batch : 2 * batch;
  expectShape(operation, "logProbs", logProbs, [predictions, pixels, null]);
  expectShape(operation, "schedule", options.schedule, [null, 6]);
  expectElements(operation, "timestep", options.timestep, 1);
  return {
    batch,
    pixels,
    classes: columnsOf(logProbs) + 1,
    timesteps: rowsOf(options.schedule) - 1,
  };
}
