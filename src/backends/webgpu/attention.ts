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

import type { AttentionOptions, Columns } from "../backend.ts";
import { type Kernel, unroll } from "./kernel.ts";
import { multiplyAdd } from "./matmul.ts";
import type { AttentionTile, Recorder } from "./recorder.ts";
import type { FloatTensor } from "./tensor.ts";

/** Columns of queries and keys that lie in workgroup memory at a time. */
const DEPTH = 16;

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

function attentionBody({ width, vectors, causal, tile }: AttentionVariant): string {
  const { queries, keys } = tile;
  const threadsX = keys / PER_THREAD;
  const threadsY = queries / PER_THREAD;
  const threads = threadsX * threadsY;
  const depth = DEPTH / 4;
  // One vector more than needed, so that neighbouring rows lie in different memory banks.
  const pitch = depth + 1;
  const widthVectors = width / 4;
  const vectorsPerThread = widthVectors / threadsX;
  const pieceVectors = Math.max((queries + keys) * pitch, widthVectors * PER_THREAD);
  // Values share the memory of queries and keys: as many rows at a time as fit.
  const valueRows = largestDivisor(keys, Math.floor(pieceVectors / widthVectors));
  const outputs = (line: (i: number, c: number) => string) =>
    unroll(PER_THREAD, (i) => unroll(vectorsPerThread, (c) => line(i, c)));
  const copies = (count: number, line: (item: string) => string) => `
    for (var item = thread; item < ${count}u; item += ${threads}u) { ${line("item")} }`;
  return `
${["Q", "K", "V"].map((name) => loadHead(name, vectors)).join("")}
// Pieces of queries and keys; then the maxima of threads; then pieces of values.
var<workgroup> pieces: array<vec4f, ${pieceVectors}>;
// Weights (query, key / 4).
var<workgroup> weights: array<vec4f, ${queries * threadsX}>;
@compute @workgroup_size(${threadsX}, ${threadsY})
fn main(@builtin(workgroup_id) group: vec3u,
  @builtin(local_invocation_id) local: vec3u,
  @builtin(local_invocation_index) thread: u32) {
  let head = group.y / params.slices;
  let firstColumn = group.y % params.slices * ${width}u;
  let firstQuery = group.x * ${queries}u;
  let qRow = group.z * params.queries;
  let kRow = group.z * params.keys;
  let lastQuery = params.queries - 1u;
  let lastKey = params.keys - 1u;
  let myQuery = firstQuery + local.y * ${PER_THREAD}u;
  // Of the four queries: the maximum so far, and this thread's part of the sum.
  var maximum = vec4f(-1e30);
  var sum = vec4f();
  ${outputs((i, c) => `var out${i}_${c} = vec4f();`)}
  let end = ${causal ? `min(params.keys, firstQuery + ${queries}u)` : "params.keys"};
  for (var first = 0u; first < end; first += ${keys}u) {
    ${unroll(PER_THREAD, (i) => unroll(PER_THREAD, (j) => `var score${i}_${j} = 0.0;`))}
    for (var d = 0u; d < params.headDim; d += ${DEPTH}u) {
      ${
    copies(queries * depth, (item) => `
        let row = qRow + min(firstQuery + ${item} / ${depth}u, lastQuery);
        pieces[${item} / ${depth}u * ${pitch}u + ${item} % ${depth}u] =
          loadQ(row, head, d + ${item} % ${depth}u * 4u);`)
  }
      // Key 4x + j lies in row j · ${threadsX} + x, where thread x finds its four without bank conflicts.
      ${
    copies(keys * depth, (item) => `
        let slot = ${item} / ${depth}u;
        let key = slot % ${threadsX}u * ${PER_THREAD}u + slot / ${threadsX}u;
        pieces[(${queries}u + slot) * ${pitch}u + ${item} % ${depth}u] =
          loadK(kRow + min(first + key, lastKey), head, d + ${item} % ${depth}u * 4u);`)
  }
      workgroupBarrier();
      for (var at = 0u; at < ${depth}u; at++) {
        ${
    unroll(
      PER_THREAD,
      (i) => `let q${i} = pieces[(local.y * ${PER_THREAD}u + ${i}u) * ${pitch}u + at];`,
    )
  }
        ${
    unroll(PER_THREAD, (j) => `
        let k${j} = pieces[(${queries + j * threadsX}u + local.x) * ${pitch}u + at];
        ${unroll(PER_THREAD, (i) => multiplyAdd(`score${i}_${j}`, `q${i}`, `k${j}`))}`)
  }
      }
      workgroupBarrier();
    }
    let myKey = vec4u(first + local.x * ${PER_THREAD}u) + vec4u(0u, 1u, 2u, 3u);
    ${
    unroll(PER_THREAD, (i) => {
      const visible = causal ? `vec4u(min(lastKey, myQuery + ${i}u))` : "vec4u(lastKey)";
      const scores = [0, 1, 2, 3].map((j) => `score${i}_${j}`).join(", ");
      return `let scores${i} = select(vec4f(-1e30), params.scale * vec4f(${scores}), ` +
        `myKey <= ${visible});`;
    })
  }
    pieces[thread] = vec4f(${[0, 1, 2, 3].map((i) => largest(`scores${i}`)).join(", ")});
    workgroupBarrier();
    var newMaximum = maximum;
    for (var x = 0u; x < ${threadsX}u; x++) {
      newMaximum = max(newMaximum, pieces[local.y * ${threadsX}u + x]);
    }
    let decay = exp(maximum - newMaximum);
    maximum = newMaximum;
    sum *= decay;
    ${
    unroll(PER_THREAD, (i) => `
    let p${i} = exp(scores${i} - maximum[${i}]);
    weights[(local.y * ${PER_THREAD}u + ${i}u) * ${threadsX}u + local.x] = p${i};
    sum[${i}] += dot(p${i}, vec4f(1.0));`)
  }
    ${outputs((i, c) => `out${i}_${c} *= decay[${i}];`)}
    workgroupBarrier();
    for (var firstRow = 0u; firstRow < ${keys}u; firstRow += ${valueRows}u) {
      ${
    copies(valueRows * widthVectors, (item) => `
        let key = first + firstRow + ${item} / ${widthVectors}u;
        pieces[${item}] =
          loadV(kRow + min(key, lastKey), head, firstColumn + ${item} % ${widthVectors}u * 4u);`)
  }
      workgroupBarrier();
      for (var row = 0u; row < ${valueRows}u; row += 4u) {
        ${
    unroll(PER_THREAD, (i) =>
      `let w${i} = weights[(local.y * ${PER_THREAD}u + ${i}u) * ${threadsX}u + (firstRow + row) / 4u];`)
  }
        ${
    unroll(PER_THREAD, (r) =>
      unroll(vectorsPerThread, (c) => `
        let v${r}_${c} = pieces[(row + ${r}u) * ${widthVectors}u + local.x + ${c * threadsX}u];
        ${
        unroll(
          PER_THREAD,
          (i) => `out${i}_${c} = fma(vec4f(w${i}[${r}]), v${r}_${c}, out${i}_${c});`,
        )
      }`))
  }
      }
      workgroupBarrier();
    }
  }
  pieces[thread] = sum;
  workgroupBarrier();
  var total = vec4f();
  for (var x = 0u; x < ${threadsX}u; x++) { total += pieces[local.y * ${threadsX}u + x]; }
  ${
    outputs((i, c) =>
      unroll(4, (e) => `
  {
    let column = firstColumn + (local.x + ${c * threadsX}u) * 4u + ${e}u;
    if (myQuery + ${i}u < params.queries && column < params.headDim) {
      let row = qRow + myQuery + ${i}u;
      y[(row * params.heads + head) * params.headDim + column] = out${i}_${c}[${e}] / total[${i}];
    }
  }`)
    )
  }
}`;
}

function largest(vector: string): string {
  return `max(max(${vector}.x, ${vector}.y), max(${vector}.z, ${vector}.w))`;
}

/** The largest multiple of 4 that divides `value` and is at most `limit`. */
function largestDivisor(value: number, limit: number): number {
  let divisor = Math.max(4, Math.floor(limit / 4) * 4);
  while (value % divisor !== 0) divisor -= 4;
  return divisor;
}

/** Records attention into y (batch · queries rows). */
export function recordAttention(
  recorder: Recorder,
  q: Columns,
  k: Columns,
  v: Columns,
  options: AttentionOptions,
  y: FloatTensor,
): void {
  const { batch, heads, headDim, scale, causal = false } = options;
  const [qt, kt, vt] = [q, k, v].map(({ tensor }) => tensor as FloatTensor) as [
    FloatTensor,
    FloatTensor,
    FloatTensor,
  ];
  const stride = (tensor: FloatTensor) => tensor.shape.at(-1)!;
  const rows = (tensor: FloatTensor) => tensor.size / stride(tensor) / batch;
  const tile = recorder.tuning.attentionTile;
  const slices = Math.ceil(headDim / MAX_WIDTH);
  // Of whole vectors for each thread.
  const unit = tile.keys;
  const width = Math.ceil(headDim / slices / unit) * unit;
  const vectors = headDim % 4 === 0 &&
    [q, k, v].every(({ tensor, offset }) => offset % 4 === 0 && tensor.shape.at(-1)! % 4 === 0);
  recorder.dispatch(
    attentionKernel({ width, vectors, causal, tile }),
    { q: qt, k: kt, v: vt, y },
    {
      queries: rows(qt),
      keys: rows(kt),
      heads,
      headDim,
      slices,
      qStride: stride(qt),
      kStride: stride(kt),
      vStride: stride(vt),
      qOffset: q.offset,
      kOffset: k.offset,
      vOffset: v.offset,
      scale,
    },
    [Math.ceil(rows(qt) / tile.queries), heads * slices, batch],
  );
}
