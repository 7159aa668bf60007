/**
 * Gradients of attention.
 *
 * One kernel goes through the keys of a query, a second through the queries of a key, so that no sum has
 * two writers. The first leaves for the second what it found out of each query: the logarithm of its
 * softmax's divisor, and the mean slope of its weights.
 *
 * @module
 */

import type { AttentionInputs, CheckedColumns } from "../../recording.ts";
import type { Recorder } from "../recorder.ts";
import type { FloatTensor } from "../tensor.ts";
import type { WebGpuDevice } from "../types.ts";
import {
  type Kernel,
  LINEAR_GROUP,
  LINEAR_MAIN_PARAMETERS,
  linearWorkgroups,
  reduction,
} from "./kernel.ts";

/** Threads of a query or key, and the weights that lie in workgroup memory at a time. */
const THREADS = 64;

const PARAMS = {
  count: "u32",
  heads: "u32",
  headDim: "u32",
  queries: "u32",
  keys: "u32",
  qStart: "u32",
  kStart: "u32",
  vStart: "u32",
  qStride: "u32",
  kStride: "u32",
  vStride: "u32",
  causal: "u32",
  scale: "f32",
} as const;

/** WGSL of what both kernels begin with: `group` is one of `rows` rows of a sequence and a head. */
function headOf(row: string, rows: string): string {
  return `
  let index = ${LINEAR_GROUP};
  if (index >= params.count) { return; }
  let ${row} = index % params.${rows};
  let head = index / params.${rows} % params.heads;
  let sequence = index / params.${rows} / params.heads;
  let dim = params.headDim;
  let qHead = params.qStart + sequence * params.queries * params.qStride + head * dim;
  let kHead = params.kStart + sequence * params.keys * params.kStride + head * dim;
  let vHead = params.vStart + sequence * params.keys * params.vStride + head * dim;
  let yHead = (sequence * params.queries * params.heads + head) * dim;
  let statHead = (sequence * params.heads + head) * params.queries * 2u;
  let yStride = params.heads * dim;`;
}

/** WGSL of the score of a query and key, and of the slope of their weight. */
const PAIR = `
fn scoreOf(qRow: u32, kRow: u32) -> f32 {
  var sum = 0.0;
  for (var d = 0u; d < params.headDim; d++) { sum = fma(q[qRow + d], k[kRow + d], sum); }
  return params.scale * sum;
}
fn slopeOf(yRow: u32, vRow: u32) -> f32 {
  var sum = 0.0;
  for (var d = 0u; d < params.headDim; d++) { sum = fma(dy[yRow + d], v[vRow + d], sum); }
  return sum;
}`;

const INPUTS = { q: "f32", k: "f32", v: "f32", dy: "f32" } as const;

const BY_QUERY: Kernel = {
  name: "attentionGradient by query",
  inputs: INPUTS,
  outputs: { dq: "f32", stats: "f32" },
  params: PARAMS,
  body: () => `
${PAIR}
${reduction("largest", "f32", THREADS, "max(a, b)")}
${reduction("total", "f32", THREADS, "a + b")}
var<workgroup> slopes: array<f32, ${THREADS}>;
@compute @workgroup_size(${THREADS})
fn main(${LINEAR_MAIN_PARAMETERS}) {
  ${headOf("query", "queries")}
  let qRow = qHead + query * params.qStride;
  let yRow = yHead + query * yStride;
  let seen = select(params.keys, query + 1u, params.causal != 0u);
  var highest = -3.0e38;
  for (var j = thread; j < seen; j += ${THREADS}u) {
    highest = max(highest, scoreOf(qRow, kHead + j * params.kStride));
  }
  highest = largest(thread, highest);
  var sum = 0.0;
  var product = 0.0;
  for (var j = thread; j < seen; j += ${THREADS}u) {
    let weight = exp(scoreOf(qRow, kHead + j * params.kStride) - highest);
    sum += weight;
    product = fma(weight, slopeOf(yRow, vHead + j * params.vStride), product);
  }
  sum = total(thread, sum);
  let mean = total(thread, product) / sum;
  let divisor = highest + log(sum);
  if (thread == 0u) {
    stats[statHead + 2u * query] = divisor;
    stats[statHead + 2u * query + 1u] = mean;
  }
  for (var first = 0u; first < seen; first += ${THREADS}u) {
    let j = first + thread;
    if (j < seen) {
      let weight = exp(scoreOf(qRow, kHead + j * params.kStride) - divisor);
      slopes[thread] = params.scale * weight * (slopeOf(yRow, vHead + j * params.vStride) - mean);
    }
    workgroupBarrier();
    let count = min(${THREADS}u, seen - first);
    for (var d = thread; d < dim; d += ${THREADS}u) {
      var sum = 0.0;
      if (first > 0u) { sum = dq[qRow + d]; }
      for (var i = 0u; i < count; i++) {
        sum = fma(slopes[i], k[kHead + (first + i) * params.kStride + d], sum);
      }
      dq[qRow + d] = sum;
    }
    workgroupBarrier();
  }
}`,
};

/** @param result Which gradient it computes; one kernel for each, as they may lie in one buffer. */
function byKeyKernel(result: "k" | "v"): Kernel {
  const factor = result === "k"
    ? "q[qHead + (first + i) * params.qStride + d]"
    : "dy[yHead + (first + i) * yStride + d]";
  const row = result === "k" ? "kRow" : "vRow";
  return {
    name: `attentionGradient by key, of ${result}`,
    inputs: { ...INPUTS, stats: "f32" },
    outputs: { dx: "f32" },
    params: PARAMS,
    body: () => `
${PAIR}
var<workgroup> factors: array<f32, ${THREADS}>;
@compute @workgroup_size(${THREADS})
fn main(${LINEAR_MAIN_PARAMETERS}) {
  ${headOf("key", "keys")}
  let kRow = kHead + key * params.kStride;
  let vRow = vHead + key * params.vStride;
  for (var first = 0u; first < params.queries; first += ${THREADS}u) {
    let query = first + thread;
    factors[thread] = 0.0;
    if (query < params.queries && (params.causal == 0u || key <= query)) {
      let stat = statHead + 2u * query;
      let weight = exp(scoreOf(qHead + query * params.qStride, kRow) - stats[stat]);
      ${
      result === "v" ? "factors[thread] = weight;" : `
      let slope = slopeOf(yHead + query * yStride, vRow) - stats[stat + 1u];
      factors[thread] = params.scale * weight * slope;`
    }
    }
    workgroupBarrier();
    let count = min(${THREADS}u, params.queries - first);
    for (var d = thread; d < dim; d += ${THREADS}u) {
      var sum = 0.0;
      if (first > 0u) { sum = dx[${row} + d]; }
      for (var i = 0u; i < count; i++) { sum = fma(factors[i], ${factor}, sum); }
      dx[${row} + d] = sum;
    }
    workgroupBarrier();
  }
}`,
  };
}

const BY_KEY = { k: byKeyKernel("k"), v: byKeyKernel("v") };

/** Records the gradients of an attention. */
export function attentionGradient(
  recorder: Recorder,
  { q, k, v, batch, heads, headDim, scale, causal }: AttentionInputs<WebGpuDevice>,
  dy: FloatTensor,
  dq: FloatTensor,
  dk: FloatTensor,
  dv: FloatTensor,
): void {
  const [queries, keys] = [q.rows, k.rows];
  const strideOf = ({ tensor }: CheckedColumns<WebGpuDevice>) => tensor.shape.at(-1)!;
  const params = {
    ...{ heads, headDim, queries, keys, scale, causal: Number(causal) },
    ...{ qStart: q.offset, kStart: k.offset, vStart: v.offset },
    ...{ qStride: strideOf(q), kStride: strideOf(k), vStride: strideOf(v) },
  };
  const inputs = { q: q.tensor, k: k.tensor, v: v.tensor, dy };
  using _scope = recorder.scope();
  const stats = recorder.result([batch, heads, queries, 2]);
  const dispatch = (
    kernel: Kernel,
    buffers: Readonly<Record<string, FloatTensor>>,
    count: number,
  ) => recorder.dispatch(kernel, buffers, { ...params, count }, linearWorkgroups(count));
  dispatch(BY_QUERY, { ...inputs, dq, stats }, batch * heads * queries);
  dispatch(BY_KEY.k, { ...inputs, stats, dx: dk }, batch * heads * keys);
  dispatch(BY_KEY.v, { ...inputs, stats, dx: dv }, batch * heads * keys);
}
