/**
 * Matrix products y = activation(x·Wᵀ + b), tiled for registers and workgroup memory.
 *
 * A workgroup computes a tile of y. In turns it copies a piece of the rows of x and of W that belong
 * to it, `depth` columns long, to workgroup memory, and each thread adds the products of its rows and
 * columns to its accumulators. The next piece is on its way to registers meanwhile. W may be held in
 * float32, float16 or int8: it is widened on the way to workgroup memory, so that the inner loop is one.
 *
 * @module
 */

import type { WeightDType } from "../../../base/dtypes.ts";
import type { Activation } from "../../backend.ts";
import type { Epilogue } from "../../recording.ts";
import { type ElementType, type Kernel, unroll } from "./kernel.ts";
import { GELU, SIGMOID } from "./math.ts";
import type { MatmulTile, Recorder } from "../recorder.ts";
import type { FloatTensor } from "../tensor.ts";
import type { Matrix, WebGpuLinearWeight } from "../weights.ts";

/** Tiles to choose from, largest first; each fits in the 16 KiB that every GPU has. */
export const MATMUL_TILES: readonly MatmulTile[] = [
  { rows: 128, columns: 64, depth: 16, threadRows: 8, threadColumns: 8 },
  { rows: 64, columns: 64, depth: 16, threadRows: 8, threadColumns: 8 },
  { rows: 32, columns: 32, depth: 32, threadRows: 4, threadColumns: 4 },
];

/** Workgroups that keep a large GPU busy: a smaller tile is taken if there are fewer. */
const ENOUGH_WORKGROUPS = 192;

/** The largest tile that gives enough workgroups, else the smallest. */
export function chooseTile(rows: number, columns: number): MatmulTile {
  const groups = (tile: MatmulTile) =>
    Math.ceil(rows / tile.rows) * Math.ceil(columns / tile.columns);
  return MATMUL_TILES.find((tile) => groups(tile) >= ENOUGH_WORKGROUPS) ?? MATMUL_TILES.at(-1)!;
}

/** Where the left factor of a product comes from. */
export interface LeftFactor {
  /** Part of the kernel's name. */
  readonly name: string;
  /** Type of the elements of `x`. */
  readonly type: ElementType;
  /** Parameters that its WGSL uses. */
  readonly params: Kernel["params"];
  /**
   * WGSL of `struct Row`, `fn rowOf(m: u32) -> Row`, which is called once for each row that a thread
   * copies, and `fn loadX(row: Row, k: u32) -> vec4f`: columns k … k + 3, zeros beyond the last.
   */
  readonly code: string;
}

/** A dense x of (rows, inner): by vectors if rows are whole ones. */
export function denseFactor(inner: number): LeftFactor {
  const vectors = inner % 4 === 0;
  return {
    name: vectors ? "dense vectors" : "dense",
    type: vectors ? "vec4f" : "f32",
    params: { inner: "u32" },
    code: `
struct Row { start: u32 }
fn rowOf(m: u32) -> Row { return Row(m * params.inner); }
fn loadX(row: Row, k: u32) -> vec4f {
  if (k >= params.inner) { return vec4f(); }
  ${
      vectors ? "return x[(row.start + k) / 4u];" : `
  let last = params.inner - 1u;
  let at = row.start + min(vec4u(k, k + 1u, k + 2u, k + 3u), vec4u(last));
  let inside = vec4u(k, k + 1u, k + 2u, k + 3u) <= vec4u(last);
  return select(vec4f(), vec4f(x[at.x], x[at.y], x[at.z], x[at.w]), inside);`
    }
}`,
  };
}

/** What distinguishes the kernels of matrix products. */
export interface MatmulVariant {
  /** The left factor. */
  readonly left: LeftFactor;
  /** How W is held. */
  readonly dtype: WeightDType;
  /** Whether there is a bias. */
  readonly bias: boolean;
  /** Applied after the bias. */
  readonly activation: Activation;
  /** Whether the result is added to what is there. */
  readonly add: boolean;
  /** The tile. */
  readonly tile: MatmulTile;
}

const WEIGHT_TYPES = { fp32: "vec4f", fp16: "vec2u", q8: "u32" } as const;

const WIDEN = {
  fp32: "return w[at];",
  fp16: "return vec4f(unpack2x16float(w[at].x), unpack2x16float(w[at].y));",
  q8: "return vec4f(bitcast<vec4i>(vec4u(w[at]) << vec4u(24u, 16u, 8u, 0u)) >> vec4u(24u));",
} as const;

/** WGSL of the functions, of `value`. */
export const ACTIVATIONS: Readonly<Record<Activation, { code: string; expression: string }>> = {
  none: { code: "", expression: "value" },
  quickGelu: { code: SIGMOID, expression: "value * sigmoid(1.702 * value)" },
  silu: { code: SIGMOID, expression: "value * sigmoid(value)" },
  gelu: { code: GELU, expression: "gelu(value)" },
};

/** The kernel of a variant: x (rows, inner), w (columns, inner), y (rows, stride). */
export function matmulKernel(variant: MatmulVariant): Kernel {
  const { left, dtype, bias, activation, add, tile } = variant;
  const size = `${tile.rows}x${tile.columns}x${tile.depth}`;
  const epilogue = [bias && "bias", activation, add && "add"].filter(Boolean).join(" ");
  return {
    name:
      `matmul ${size}/${tile.threadRows}x${tile.threadColumns} ${left.name} ${dtype} ${epilogue}`,
    inputs: {
      x: left.type,
      w: WEIGHT_TYPES[dtype],
      ...(dtype === "q8" && { scale: "f32" }),
      ...(bias && { bias: "f32" }),
    },
    outputs: { y: "f32" },
    // W has `columns` rows; they make the columns from `firstColumn` of y.
    params: {
      rows: "u32",
      columns: "u32",
      firstColumn: "u32",
      stride: "u32",
      weightStride: "u32",
      ...left.params,
    },
    body: () => matmulBody(variant),
  };
}

function matmulBody({ left, dtype, bias, activation, add, tile }: MatmulVariant): string {
  const { rows, columns, depth, threadRows, threadColumns } = tile;
  const [threadsX, threadsY] = [columns / threadColumns, rows / threadRows];
  const threads = threadsX * threadsY;
  const vectors = depth / 4;
  // One vector more than needed, so that neighbouring rows lie in different memory banks.
  const pitch = vectors + 1;
  const xCopies = Math.ceil(rows * vectors / threads);
  const wCopies = Math.ceil(columns * vectors / threads);
  const item = (i: number) => `(${i * threads}u + thread)`;
  const copy = (name: string, count: number, i: number) => {
    const at = `${item(i)} / ${vectors}u][${item(i)} % ${vectors}u`;
    const guard = (i + 1) * threads > count * vectors
      ? `if (${item(i)} < ${count * vectors}u)`
      : "";
    return `${guard} { ${name}Tile[${at}] = ${name}Next${i}; }`;
  };
  const row = (i: number) => `group.y * ${rows}u + ${item(i)} / ${vectors}u`;
  const column = (i: number) => `group.x * ${columns}u + ${item(i)} / ${vectors}u`;
  const offset = (i: number) => `${item(i)} % ${vectors}u * 4u`;
  const loadNext = (k: string) => `
    ${unroll(xCopies, (i) => `xNext${i} = loadX(xRow${i}, ${k} + ${offset(i)});`)}
    ${unroll(wCopies, (i) => `wNext${i} = loadW(wRow${i}, ${k} + ${offset(i)});`)}`;
  return `
${left.code}
fn loadW(n: u32, k: u32) -> vec4f {
  if (k >= params.weightStride) { return vec4f(); }
  let at = (n * params.weightStride + k) / 4u;
  ${WIDEN[dtype]}
}
${ACTIVATIONS[activation].code}
fn store(m: u32, n: u32, sum: f32) {
  if (m >= params.rows || n >= params.columns) { return; }
  let column = params.firstColumn + n;
  let at = m * params.stride + column;
  var value = sum;
  ${dtype === "q8" ? "value *= scale[n];" : ""}
  ${bias ? "value += bias[column];" : ""}
  value = ${ACTIVATIONS[activation].expression};
  y[at] = ${add ? "y[at] + value" : "value"};
}
var<workgroup> xTile: array<array<vec4f, ${pitch}>, ${rows}>;
var<workgroup> wTile: array<array<vec4f, ${pitch}>, ${columns}>;
@compute @workgroup_size(${threadsX}, ${threadsY})
fn main(@builtin(workgroup_id) group: vec3u,
  @builtin(local_invocation_id) local: vec3u,
  @builtin(local_invocation_index) thread: u32) {
  ${unroll(xCopies, (i) => `let xRow${i} = rowOf(min(${row(i)}, params.rows - 1u));`)}
  ${unroll(wCopies, (i) => `let wRow${i} = min(${column(i)}, params.columns - 1u);`)}
  ${unroll(xCopies, (i) => `var xNext${i}: vec4f;`)}
  ${unroll(wCopies, (i) => `var wNext${i}: vec4f;`)}
  ${loadNext("0u")}
  ${unroll(threadRows * threadColumns, (i) => `var sum${i} = 0.0;`)}
  for (var k = 0u; k < params.weightStride; k += ${depth}u) {
    ${unroll(xCopies, (i) => copy("x", rows, i))}
    ${unroll(wCopies, (i) => copy("w", columns, i))}
    workgroupBarrier();
    ${loadNext(`k + ${depth}u`)}
    for (var v = 0u; v < ${vectors}u; v++) {
      ${unroll(threadRows, (i) => `let a${i} = xTile[local.y + ${i * threadsY}u][v];`)}
      ${
    unroll(threadColumns, (j) => `
      let b${j} = wTile[local.x + ${j * threadsX}u][v];
      ${unroll(threadRows, (i) => multiplyAdd(`sum${i * threadColumns + j}`, `a${i}`, `b${j}`))}`)
  }
    }
    workgroupBarrier();
  }
  ${
    unroll(threadRows * threadColumns, (at) => {
      const [i, j] = [Math.floor(at / threadColumns), at % threadColumns];
      return `store(group.y * ${rows}u + local.y + ${i * threadsY}u, ` +
        `group.x * ${columns}u + local.x + ${j * threadsX}u, sum${at});`;
    })
  }
}`;
}

/** Adds the product of two vectors to a sum, by one fused operation for each component. */
export function multiplyAdd(sum: string, a: string, b: string): string {
  const step = (inner: string, c: string) => `fma(${a}.${c}, ${b}.${c}, ${inner})`;
  return `${sum} = ${[..."xyzw"].reduce(step, sum)};`;
}

/** Records the products of `rows` rows with all parts of a matrix, into `y`. */
export function recordMatmul(
  recorder: Recorder,
  left: { readonly factor: LeftFactor; readonly params: Readonly<Record<string, number>> },
  x: FloatTensor,
  matrix: Matrix,
  y: FloatTensor,
  { activation, add }: Epilogue,
): void {
  const rows = y.size / matrix.rows;
  for (const part of matrix.parts) {
    const tile = recorder.tuning.matmulTile ?? chooseTile(rows, part.rows);
    const kernel = matmulKernel({
      left: left.factor,
      dtype: matrix.dtype,
      bias: matrix.bias !== undefined,
      activation,
      add,
      tile,
    });
    recorder.dispatch(
      kernel,
      { x, w: part.values, scale: part.scale, bias: matrix.bias, y },
      {
        rows,
        columns: part.rows,
        firstColumn: part.firstRow,
        stride: matrix.rows,
        weightStride: matrix.columns,
        ...left.params,
      },
      [Math.ceil(part.rows / tile.columns), Math.ceil(rows / tile.rows), 1],
    );
  }
}

/** Records activation(x·Wᵀ + b) into y, or its addition to y. */
export function linear(
  recorder: Recorder,
  x: FloatTensor,
  { matrix, inFeatures }: WebGpuLinearWeight,
  y: FloatTensor,
  epilogue: Epilogue,
): void {
  const left = { factor: denseFactor(inFeatures), params: { inner: inFeatures } };
  recordMatmul(recorder, left, x, matrix, y, epilogue);
}
