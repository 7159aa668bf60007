/**
 * Kernels of training: gradients of operations on rows, sums of rows and of tensors, and the packing of
 * weights that change.
 *
 * @module
 */

import type { Activation } from "../../backend.ts";
import type { LayerNormGradientInputs } from "../../recording.ts";
import type { Recorder } from "../recorder.ts";
import type { FloatTensor, IntTensor } from "../tensor.ts";
import type { WebGpuDevice } from "../types.ts";
import type { WebGpuLinearWeight } from "../weights.ts";
import { type Kernel, linearWorkgroups, reduction } from "./kernel.ts";
import { ACTIVATIONS } from "./linear.ts";
import { GELU, GELU_SLOPE, PRECISE_EXP, SIGMOID } from "./math.ts";
import { forColumns, rowMain, threadsFor } from "./norms.ts";
import { elementMain, recordElements } from "./rows.ts";

function packKernel(bias: boolean, transposed: boolean): Kernel {
  return {
    name: `pack${bias ? " with bias" : ""}${transposed ? " transposed" : ""}`,
    inputs: { x: "f32", ...(bias && { bias: "f32" }) },
    outputs: { y: "f32", biasOut: "f32" },
    params: { count: "u32", rows: "u32", columns: "u32", filled: "u32" },
    body: () =>
      elementMain(`
  let row = i / params.filled;
  let column = i % params.filled;
  let source = ${transposed ? "column * params.rows + row" : "row * params.columns + column"};
  y[i] = 0.0;
  if (column < params.columns) { y[i] = x[source]; }
  if (column == 0u) { biasOut[row] = ${bias ? "bias[row]" : "0.0"}; }`),
  };
}

/** Records the packing of a matrix, or of its transpose, into y. */
export function pack(
  recorder: Recorder,
  matrix: FloatTensor,
  bias: FloatTensor | undefined,
  transpose: boolean,
  y: WebGpuLinearWeight,
): void {
  const { rows, columns: filled, parts, bias: biasOut } = y.matrix;
  recordElements(
    recorder,
    packKernel(bias !== undefined, transpose),
    { x: matrix, bias, y: parts[0]!.values, biasOut },
    rows * filled,
    { rows, columns: y.inFeatures, filled },
  );
}

const ADD: Kernel = {
  name: "add",
  inputs: { x: "f32", y: "f32" },
  outputs: { z: "f32" },
  params: { count: "u32" },
  body: () => elementMain("z[i] = x[i] + y[i];"),
};

/** Records x + y into z. */
export function add(recorder: Recorder, x: FloatTensor, y: FloatTensor, z: FloatTensor): void {
  recordElements(recorder, ADD, { x, y, z }, x.size, {});
}

const MULTIPLY: Kernel = {
  ...ADD,
  name: "multiply",
  body: () => elementMain("z[i] = x[i] * y[i];"),
};

/** Records x · y into z. */
export function multiply(
  recorder: Recorder,
  x: FloatTensor,
  y: FloatTensor,
  z: FloatTensor,
): void {
  recordElements(recorder, MULTIPLY, { x, y, z }, x.size, {});
}

/** One thread for each element of the result, which goes through all ids. */
const SCATTER_ADD: Kernel = {
  name: "scatterAdd",
  inputs: { x: "f32", ids: "i32" },
  outputs: { y: "f32" },
  params: { count: "u32", columns: "u32", ids: "u32", rowsEach: "u32", lastRow: "i32" },
  body: () =>
    elementMain(`
  let row = i32(i / params.columns);
  let column = i % params.columns;
  var sum = 0.0;
  for (var id = 0u; id < params.ids; id++) {
    if (clamp(ids[id], 0, params.lastRow) != row) { continue; }
    let first = id * params.rowsEach;
    for (var each = 0u; each < params.rowsEach; each++) {
      sum += x[(first + each) * params.columns + column];
    }
  }
  y[i] = sum;`),
};

/** Records sums of the rows of x into the rows of y that the ids name. */
export function scatterAdd(
  recorder: Recorder,
  x: FloatTensor,
  ids: IntTensor,
  y: FloatTensor,
): void {
  const [rows, columns] = y.shape as [number, number];
  recordElements(recorder, SCATTER_ADD, { x, ids, y }, y.size, {
    columns,
    ids: ids.size,
    rowsEach: x.size / columns / ids.size,
    lastRow: rows - 1,
  });
}

function activateKernel(activation: Activation): Kernel {
  const { code, expression } = ACTIVATIONS[activation];
  return {
    name: `activate ${activation}`,
    inputs: { x: "f32" },
    outputs: { y: "f32" },
    params: { count: "u32" },
    body: () => `${code}${elementMain(`let value = x[i]; y[i] = ${expression};`)}`,
  };
}

/** Records activation(x) into y. */
export function activate(
  recorder: Recorder,
  x: FloatTensor,
  activation: Activation,
  y: FloatTensor,
): void {
  recordElements(recorder, activateKernel(activation), { x, y }, x.size, {});
}

/** WGSL of the derivative of x · sigmoid(a x). */
function sigmoidSlope(a: string): { code: string; statement: string } {
  return {
    code: SIGMOID,
    statement: `let s = sigmoid(${a} * value); let slope = s * fma(${a} * value, 1.0 - s, 1.0);`,
  };
}

const SLOPES: Readonly<Record<Activation, { code: string; statement: string }>> = {
  none: { code: "", statement: "let slope = 1.0;" },
  quickGelu: sigmoidSlope("1.702"),
  silu: sigmoidSlope("1.0"),
  gelu: { code: GELU + GELU_SLOPE, statement: "let slope = geluSlope(value);" },
};

function activateGradientKernel(activation: Activation): Kernel {
  const { code, statement } = SLOPES[activation];
  return {
    name: `activateGradient ${activation}`,
    inputs: { x: "f32", dy: "f32" },
    outputs: { dx: "f32" },
    params: { count: "u32" },
    body: () => `${code}${elementMain(`let value = x[i]; ${statement} dx[i] = dy[i] * slope;`)}`,
  };
}

/** Records dy · activation′(x) into dx. */
export function activateGradient(
  recorder: Recorder,
  x: FloatTensor,
  dy: FloatTensor,
  activation: Activation,
  dx: FloatTensor,
): void {
  recordElements(recorder, activateGradientKernel(activation), { x, dy, dx }, x.size, {});
}

const GEGLU_GRADIENT: Kernel = {
  name: "gegluGradient",
  inputs: { x: "f32", dy: "f32" },
  outputs: { dx: "f32" },
  params: { count: "u32", columns: "u32" },
  body: () => `
${GELU}${GELU_SLOPE}
${
    elementMain(`
  let a = i / params.columns * 2u * params.columns + i % params.columns;
  let b = a + params.columns;
  dx[a] = dy[i] * gelu(x[b]);
  dx[b] = dy[i] * x[a] * geluSlope(x[b]);`)
  }`,
};

/** Records the gradient of geglu into dx. */
export function gegluGradient(
  recorder: Recorder,
  x: FloatTensor,
  dy: FloatTensor,
  dx: FloatTensor,
): void {
  const columns = x.shape.at(-1)! / 2;
  recordElements(recorder, GEGLU_GRADIENT, { x, dy, dx }, x.size / 2, { columns });
}

function logSoftmaxGradientKernel(threads: number): Kernel {
  return {
    name: `logSoftmaxGradient ${threads}`,
    inputs: { x: "f32", dy: "f32" },
    outputs: { dx: "f32" },
    params: { rows: "u32", columns: "u32" },
    body: () => `
${PRECISE_EXP}
${reduction("total", "f32", threads, "a + b")}
${rowMain(threads)}
  var part = 0.0;
  ${forColumns(threads, "part += dy[start + i];")}
  let sum = total(thread, part);
  ${forColumns(threads, "dx[start + i] = dy[start + i] - preciseExp(x[start + i]) * sum;")}
}`,
  };
}

/** Records the gradient of logSoftmax, whose result is y, into dx. */
export function logSoftmaxGradient(
  recorder: Recorder,
  y: FloatTensor,
  dy: FloatTensor,
  dx: FloatTensor,
): void {
  const columns = y.shape.at(-1)!;
  const rows = y.size / columns;
  const kernel = logSoftmaxGradientKernel(threadsFor(columns));
  recorder.dispatch(kernel, { x: y, dy, dx }, { rows, columns }, linearWorkgroups(rows));
}

function layerNormGradientKernel(kind: "plain" | "adaptive", threads: number): Kernel {
  const plain = kind === "plain";
  const factor = plain ? "factors[i]" : "(1.0 + factors[scaleStart + i])";
  return {
    name: `layerNormGradient ${kind} ${threads}`,
    inputs: { x: "f32", dy: "f32", factors: "f32", ...(!plain && { timestep: "i32" }) },
    outputs: { dx: "f32", affine: "f32" },
    params: { rows: "u32", columns: "u32", lastTimestep: "i32", rowsEach: "u32", eps: "f32" },
    body: () => `
${reduction("total", "f32", threads, "a + b")}
${rowMain(threads)}
  let count = f32(params.columns);
  var sum = 0.0;
  ${forColumns(threads, "sum += x[start + i];")}
  let mean = total(thread, sum) / count;
  var squares = 0.0;
  ${forColumns(threads, "let d = x[start + i] - mean; squares = fma(d, d, squares);")}
  let inverse = 1.0 / sqrt(total(thread, squares) / count + params.eps);
  ${
      plain
        ? ""
        : "let scaleStart = u32(clamp(timestep[row / params.rowsEach], 0, params.lastTimestep))" +
          " * 2u * params.columns;"
    }
  var slopes = 0.0;
  var products = 0.0;
  ${
      forColumns(
        threads,
        `
    let g = dy[start + i] * ${factor};
    slopes += g;
    products = fma(g, (x[start + i] - mean) * inverse, products);`,
      )
    }
  let meanSlope = total(thread, slopes) / count;
  let meanProduct = total(thread, products) / count;
  ${
      forColumns(
        threads,
        `
    let d = dy[start + i];
    let normed = (x[start + i] - mean) * inverse;
    dx[start + i] = (d * ${factor} - meanSlope - normed * meanProduct) * inverse;
    affine[2u * start + i] = d * normed;
    affine[2u * start + params.columns + i] = d;`,
      )
    }
}`,
  };
}

/** Records the gradients of a norm of rows into dx and, for each row, into `affine`. */
export function layerNormGradient(
  recorder: Recorder,
  { x, dy, factors, timestep, eps }: LayerNormGradientInputs<WebGpuDevice>,
  dx: FloatTensor,
  affine: FloatTensor,
): void {
  const columns = x.shape.at(-1)!;
  const rows = x.size / columns;
  const kind = timestep === undefined ? "plain" : "adaptive";
  recorder.dispatch(
    layerNormGradientKernel(kind, threadsFor(columns)),
    { x, dy, factors, timestep, dx, affine },
    {
      rows,
      columns,
      lastTimestep: factors.shape[0]! - 1,
      rowsEach: rows / (timestep?.size ?? 1),
      eps,
    },
    linearWorkgroups(rows),
  );
}
