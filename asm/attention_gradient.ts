// Gradients of attention, of queries, keys and values.

import { exp4 } from "./math";
import { floats, fma, splat, sumLanes } from "./simd";
import { maxOf } from "./softmax";
import { claim, Control } from "./threads";

// q, dq are (batch · queries, qStride), k, dk and v, dv are (batch · keys, kStride or vStride), from the
// column that the first head begins with; dy is (batch · queries, heads · headDim)
@unmanaged
export class AttentionGradientCommand {
  opcode: i32;
  q: usize;
  k: usize;
  v: usize;
  dy: usize;
  dq: usize;
  dk: usize;
  dv: usize;
  qStride: i32;
  kStride: i32;
  vStride: i32;
  batch: i32;
  heads: i32;
  headDim: i32;
  queries: i32;
  keys: i32;
  scale: f32;
  causal: bool;
}

/** Bytes of scratch: the weights of a query, and their gradients. */
export function attentionGradientScratch(command: AttentionGradientCommand): usize {
  return 2 * floats(command.keys + 4);
}

/** Gradients of each head. `attentionGradient` of tests/backends/naive/attention_gradient.ts. */
export function attentionGradient(
  command: AttentionGradientCommand,
  control: Control,
  scratch: usize,
): void {
  const chunks = command.batch * command.heads, dim = command.headDim;
  for (let chunk = claim(control); chunk < chunks; chunk = claim(control)) {
    const sequence = chunk / command.heads, head = floats(chunk % command.heads * dim);
    const firstKey = sequence * command.keys;
    for (let j = 0; j < command.keys; j++) {
      memory.fill(command.dk + at(firstKey + j, command.kStride) + head, 0, floats(dim));
      memory.fill(command.dv + at(firstKey + j, command.vStride) + head, 0, floats(dim));
    }
    for (let i = 0; i < command.queries; i++) {
      queryGradient(command, sequence * command.queries + i, i, firstKey, head, scratch);
    }
  }
}

// @ts-ignore: decorator
@inline
function at(row: i32, stride: i32): usize {
  return <usize> row * floats(stride);
}

/** What a query adds to the gradients of a head. */
function queryGradient(
  command: AttentionGradientCommand,
  row: i32,
  query: i32,
  firstKey: i32,
  head: usize,
  scratch: usize,
): void {
  const dim = command.headDim, seen = command.causal ? query + 1 : command.keys;
  const q = command.q + at(row, command.qStride) + head;
  const dq = command.dq + at(row, command.qStride) + head;
  const dy = command.dy + at(row, command.heads * dim) + head;
  const weights = scratch, slopes = scratch + floats(command.keys + 4);
  const k = command.k + at(firstKey, command.kStride) + head;
  const v = command.v + at(firstKey, command.vStride) + head;
  for (let j = 0; j < seen; j++) {
    const score = command.scale * dot(q, k + at(j, command.kStride), dim);
    store<f32>(weights + floats(j), score);
    store<f32>(slopes + floats(j), dot(dy, v + at(j, command.vStride), dim));
  }
  softmax(weights, seen);
  const mean = dot(weights, slopes, seen);
  memory.fill(dq, 0, floats(dim));
  const dk = command.dk + at(firstKey, command.kStride) + head;
  const dv = command.dv + at(firstKey, command.vStride) + head;
  for (let j = 0; j < seen; j++) {
    const weight = load<f32>(weights + floats(j));
    const slope = command.scale * weight * (load<f32>(slopes + floats(j)) - mean);
    addScaled(dq, k + at(j, command.kStride), slope, dim);
    addScaled(dk + at(j, command.kStride), q, slope, dim);
    addScaled(dv + at(j, command.vStride), dy, weight, dim);
  }
}

function softmax(x: usize, count: i32): void {
  const highest = maxOf(x, count);
  let sum: f32 = 0;
  for (let i: usize = 0; i < floats(count); i += 4) {
    const e = f32x4.extract_lane(exp4(splat(load<f32>(x + i) - highest)), 0);
    store<f32>(x + i, e);
    sum += e;
  }
  for (let i: usize = 0; i < floats(count); i += 4) store<f32>(x + i, load<f32>(x + i) / sum);
}

function dot(a: usize, b: usize, count: i32): f32 {
  let sums = splat(0), i: usize = 0;
  for (const end = floats(count & ~3); i < end; i += 16) {
    sums = fma(v128.load(a + i), v128.load(b + i), sums);
  }
  let sum = sumLanes(sums);
  for (; i < floats(count); i += 4) sum += load<f32>(a + i) * load<f32>(b + i);
  return sum;
}

/** out += factor · x */
function addScaled(out: usize, x: usize, factor: f32, count: i32): void {
  const factors = splat(factor);
  let i: usize = 0;
  for (const end = floats(count & ~3); i < end; i += 16) {
    v128.store(out + i, fma(factors, v128.load(x + i), v128.load(out + i)));
  }
  for (; i < floats(count); i += 4) {
    store<f32>(out + i, load<f32>(out + i) + factor * load<f32>(x + i));
  }
}
