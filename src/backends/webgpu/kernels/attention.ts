/**
 * Attention without the matrix of scores, by the online softmax (Milakov and Gimelshein 2018; Dao et
 * al. 2022, "FlashAttention").
 *
 * A workgroup has a tile of queries of one head, and walks over tiles of keys. For each it computes
 * the scores, updates the running maximum m and sum of exponentials of every query, scales what was
 * gathered so far by e^(m_old − m_new), and adds the weighted values. Each thread has four queries,
 * and of them four scores and some vectors of the result.
 *
 * @module
 */

import type { AttentionInputs } from "../../recording.ts";
import { columnsOf } from "../../../base/shapes.ts";
import { type Kernel, unroll } from "./kernel.ts";
import { multiplyAdd } from "./linear.ts";
import type { AttentionTile, Recorder } from "../recorder.ts";
import type { FloatTensor } from "../tensor.ts";
import type { WebGpuDevice } from "../types.ts";

/** Columns of the result that a workgroup computes at most; wider heads are cut. */
const MAX_WIDTH = 160;

/** Queries and scores of a query that one thread has. */
const PER_THREAD = 4;

/** What distinguishes the kernels of attention. */
export interface AttentionVariant {
  /** Columns of the result that a workgroup computes, a multiple of four times its columns of threads. */
  readonly width: number;
  /** Whether all rows consist of whole vectors. */
  readonly vectors: boolean;
  /** Whether a query sees only keys up to its own position. */
  readonly causal: boolean;
  /** The tile. */
  readonly tile: AttentionTile;
  /** Workgroup memory that the GPU has. */
  readonly workgroupBytes: number;
}

/** The kernel of a variant: q, k, v are rows of columns, y is (batch · queries, heads · headDim). */
export function attentionKernel(variant: AttentionVariant): Kernel {
  const { width, vectors, causal, tile } = variant;
  const type = vectors ? "vec4f" : "f32";
  const flags = `${vectors ? " vectors" : ""}${causal ? " causal" : ""}`;
  return {
    name: `attention ${tile.queries}x${tile.keys}x${width}${flags}`,
    inputs: { q: type, k: type, v: type },
    outputs: { y: "f32" },
    params: {
      queries: "u32",
      keys: "u32",
      heads: "u32",
      headDim: "u32",
      slices: "u32",
      qStride: "u32",
      kStride: "u32",
      vStride: "u32",
      qOffset: "u32",
      kOffset: "u32",
      vOffset: "u32",
      scale: "f32",
    },
    body: () => attentionBody(variant),
  };
}

/** `loadQ(row, column)` and its like: four columns of a head, zeros beyond the last. */
function loadHead(name: string, vectors: boolean): string {
  const lower = name.toLowerCase();
  return `
fn load${name}(row: u32, head: u32, column: u32) -> vec4f {
  if (column >= params.headDim) { return vec4f(); }
  let start = row * params.${lower}Stride + params.${lower}Offset + head * params.headDim;
  ${
    vectors ? `return ${lower}[(start + column) / 4u];` : `
  let last = params.headDim - 1u;
  let c = vec4u(column, column + 1u, column + 2u, column + 3u);
  let at = start + min(c, vec4u(last));
  return select(
    vec4f(),
    vec4f(${[..."xyzw"].map((i) => `${lower}[at.${i}]`).join(", ")}),
    c <= vec4u(last),
  );`
  }
}`;
}

/** How the work of a tile is divided; lengths in vectors of four unless said otherwise. */
interface Layout {
  readonly queries: number;
  readonly keys: number;
  /** Threads side by side, each with four keys, and below one another, each with four queries. */
  readonly threadsX: number;
  readonly threadsY: number;
  /** Columns of queries and keys that lie in workgroup memory at a time. */
  readonly depth: number;
  /** Columns of values, and how many of them one thread has. */
  readonly width: number;
  readonly perThread: number;
  /** Rows of values that lie in workgroup memory at a time. */
  readonly valueRows: number;
}

/** More workgroup memory than this would keep too few workgroups on a core. */
const MAX_WORKGROUP_BYTES = 24 * 1024;

const VECTOR_BYTES = 16;

/** Divides a tile so that it fits in the workgroup memory. */
function layOut({ width, tile: { queries, keys }, workgroupBytes }: AttentionVariant): Layout {
  const [threadsX, threadsY] = [keys / PER_THREAD, queries / PER_THREAD];
  const vectors = Math.min(workgroupBytes, MAX_WORKGROUP_BYTES) / VECTOR_BYTES;
  const rowsThatFit = (depth: number) => {
    const free = vectors - (queries + keys) * (depth + 1) - queries * threadsX;
    return largestDivisor(keys, Math.floor(free / (width / 4)));
  };
  const depth = rowsThatFit(4) >= 4 ? 4 : 2;
  return {
    queries,
    keys,
    threadsX,
    threadsY,
    depth,
    width: width / 4,
    perThread: width / 4 / threadsX,
    valueRows: rowsThatFit(depth),
  };
}

/** The largest multiple of 4 that divides `value` and is at most `limit`; 0 if there is none. */
function largestDivisor(value: number, limit: number): number {
  let divisor = Math.floor(Math.min(limit, value) / 4) * 4;
  while (divisor > 0 && value % divisor !== 0) divisor -= 4;
  return Math.max(0, divisor);
}

function attentionBody(variant: AttentionVariant): string {
  const { vectors, causal } = variant;
  const layout = layOut(variant);
  const { queries, keys, threadsX, threadsY, depth, width, valueRows } = layout;
  return `
${["Q", "K", "V"].map((name) => loadHead(name, vectors)).join("")}
// One vector more than needed, so that neighbouring rows lie in different memory banks.
var<workgroup> qTile: array<array<vec4f, ${depth + 1}>, ${queries}>;
var<workgroup> kTile: array<array<vec4f, ${depth + 1}>, ${keys}>;
var<workgroup> vTile: array<array<vec4f, ${width}>, ${valueRows}>;
// (query, key / 4); before that, what the threads of a row tell each other.
var<workgroup> weights: array<array<vec4f, ${threadsX}>, ${queries}>;
@compute @workgroup_size(${threadsX}, ${threadsY})
fn main(@builtin(workgroup_id) group: vec3u,
  @builtin(local_invocation_id) local: vec3u,
  @builtin(local_invocation_index) thread: u32) {
  let head = group.y / params.slices;
  let firstColumn = group.y % params.slices * ${4 * width}u;
  let firstQuery = group.x * ${queries}u;
  let qRow = group.z * params.queries;
  let kRow = group.z * params.keys;
  let lastQuery = params.queries - 1u;
  let lastKey = params.keys - 1u;
  let myRow = local.y * ${PER_THREAD}u;
  let myQuery = firstQuery + myRow;
  // Of the four queries: the maximum so far, and this thread's part of the sum.
  var maximum = vec4f(-1e30);
  var sum = vec4f();
  ${outputs(layout, (i, c) => `var out${i}_${c} = vec4f();`)}
  let end = ${causal ? `min(params.keys, firstQuery + ${queries}u)` : "params.keys"};
  for (var first = 0u; first < end; first += ${keys}u) {
    ${scores(layout, causal)}
    ${softmax(layout)}
    ${weightedValues(layout)}
  }
  weights[local.y][local.x] = sum;
  workgroupBarrier();
  var total = vec4f();
  for (var x = 0u; x < ${threadsX}u; x++) { total += weights[local.y][x]; }
  ${
    outputs(layout, (i, c) =>
      unroll(4, (e) => `
  {
    let column = firstColumn + (local.x + ${c * threadsX}u) * 4u + ${e}u;
    if (myQuery + ${i}u < params.queries && column < params.headDim) {
      let row = qRow + myQuery + ${i}u;
      y[(row * params.heads + head) * params.headDim + column] = out${i}_${c}[${e}] / total[${i}];
    }
  }`))
  }
}`;
}

/** A line for each vector that a thread has of the result. */
function outputs(layout: Layout, line: (query: number, vector: number) => string): string {
  return unroll(PER_THREAD, (i) => unroll(layout.perThread, (c) => line(i, c)));
}

/** A loop in which all threads share `count` items of work. */
function forItems({ threadsX, threadsY }: Layout, count: number, body: string): string {
  return `
    for (var item = thread; item < ${count}u; item += ${threadsX * threadsY}u) { ${body} }`;
}

/** `scores0` … `scores3`: of the four queries with the four keys of this thread. */
function scores(layout: Layout, causal: boolean): string {
  const { queries, keys, threadsX, depth } = layout;
  return `
    ${unroll(PER_THREAD, (i) => unroll(PER_THREAD, (j) => `var score${i}_${j} = 0.0;`))}
    for (var d = 0u; d < params.headDim; d += ${4 * depth}u) {
      ${
    forItems(
      layout,
      queries * depth,
      `
        let row = qRow + min(firstQuery + item / ${depth}u, lastQuery);
        qTile[item / ${depth}u][item % ${depth}u] = loadQ(row, head, d + item % ${depth}u * 4u);`,
    )
  }
      // Key 4x + j lies in row j · ${threadsX} + x, where thread x finds its four without bank conflicts.
      ${
    forItems(
      layout,
      keys * depth,
      `
        let slot = item / ${depth}u;
        let key = slot % ${threadsX}u * ${PER_THREAD}u + slot / ${threadsX}u;
        kTile[slot][item % ${depth}u] =
          loadK(kRow + min(first + key, lastKey), head, d + item % ${depth}u * 4u);`,
    )
  }
      workgroupBarrier();
      for (var at = 0u; at < ${depth}u; at++) {
        ${unroll(PER_THREAD, (i) => `let q${i} = qTile[myRow + ${i}u][at];`)}
        ${
    unroll(PER_THREAD, (j) => `
        let k${j} = kTile[${j * threadsX}u + local.x][at];
        ${unroll(PER_THREAD, (i) => multiplyAdd(`score${i}_${j}`, `q${i}`, `k${j}`))}`)
  }
      }
      workgroupBarrier();
    }
    let myKey = vec4u(first + local.x * ${PER_THREAD}u) + vec4u(0u, 1u, 2u, 3u);
    ${
    unroll(PER_THREAD, (i) => {
      const visible = causal ? `vec4u(min(lastKey, myQuery + ${i}u))` : "vec4u(lastKey)";
      const four = [0, 1, 2, 3].map((j) => `score${i}_${j}`).join(", ");
      return `let scores${i} = select(vec4f(-1e30), params.scale * vec4f(${four}), ` +
        `myKey <= ${visible});`;
    })
  }`;
}

/** Updates maximum and sum, fades the result and writes the weights. */
function softmax(layout: Layout): string {
  return `
    weights[local.y][local.x] =
      vec4f(${[0, 1, 2, 3].map((i) => largest(`scores${i}`)).join(", ")});
    workgroupBarrier();
    var newMaximum = maximum;
    for (var x = 0u; x < ${layout.threadsX}u; x++) {
      newMaximum = max(newMaximum, weights[local.y][x]);
    }
    let decay = exp(maximum - newMaximum);
    maximum = newMaximum;
    sum *= decay;
    workgroupBarrier();
    ${
    unroll(PER_THREAD, (i) => `
    let p${i} = exp(scores${i} - maximum[${i}]);
    weights[myRow + ${i}u][local.x] = p${i};
    sum[${i}] += dot(p${i}, vec4f(1.0));`)
  }
    ${outputs(layout, (i, c) => `out${i}_${c} *= decay[${i}];`)}`;
}

/** Adds the values of the keys, by their weights. */
function weightedValues(layout: Layout): string {
  const { keys, threadsX, width, perThread, valueRows } = layout;
  return `
    for (var firstRow = 0u; firstRow < ${keys}u; firstRow += ${valueRows}u) {
      ${
    forItems(
      layout,
      valueRows * width,
      `
        let key = min(first + firstRow + item / ${width}u, lastKey);
        vTile[item / ${width}u][item % ${width}u] =
          loadV(kRow + key, head, firstColumn + item % ${width}u * 4u);`,
    )
  }
      workgroupBarrier();
      for (var row = 0u; row < ${valueRows}u; row += 4u) {
        ${unroll(PER_THREAD, (i) => `let w${i} = weights[myRow + ${i}u][(firstRow + row) / 4u];`)}
        ${
    unroll(4, (r) =>
      unroll(perThread, (c) => `
        let v${r}_${c} = vTile[row + ${r}u][local.x + ${c * threadsX}u];
        ${
        unroll(
          PER_THREAD,
          (i) => `out${i}_${c} = fma(vec4f(w${i}[${r}]), v${r}_${c}, out${i}_${c});`,
        )
      }`))
  }
      }
      workgroupBarrier();
    }`;
}

function largest(vector: string): string {
  return `max(max(${vector}.x, ${vector}.y), max(${vector}.z, ${vector}.w))`;
}

/** Records attention into y (batch · queries rows). */
export function attention(
  recorder: Recorder,
  inputs: AttentionInputs<WebGpuDevice>,
  y: FloatTensor,
): void {
  const { q, k, v, batch, heads, headDim, scale, causal } = inputs;
  const tile = recorder.tuning.attentionTile;
  const workgroupBytes = recorder.device.gpu.limits.maxComputeWorkgroupStorageSize;
  const slices = Math.ceil(headDim / MAX_WIDTH);
  // Of whole vectors for each thread.
  const unit = tile.keys;
  const width = Math.ceil(headDim / slices / unit) * unit;
  const vectors = headDim % 4 === 0 &&
    [q, k, v].every(({ tensor, offset }) => offset % 4 === 0 && columnsOf(tensor) % 4 === 0);
  recorder.dispatch(
    attentionKernel({ width, vectors, causal, tile, workgroupBytes }),
    { q: q.tensor, k: k.tensor, v: v.tensor, y },
    {
      queries: q.rows,
      keys: k.rows,
      heads,
      headDim,
      slices,
      qStride: columnsOf(q.tensor),
      kStride: columnsOf(k.tensor),
      vStride: columnsOf(v.tensor),
      qOffset: q.offset,
      kOffset: k.offset,
      vOffset: v.offset,
      scale,
    },
    [Math.ceil(q.rows / tile.queries), heads * slices, batch],
  );
}
