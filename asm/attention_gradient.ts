// Gradients of attention, of queries, keys and values.
//
// A chunk is a head. It packs the head's keys and values into panels, then goes through its queries 66 rows
// at a time, and adds up what they give to the gradients of keys and values.

import { softmaxRow } from "./attention";
import { packColumns, packRows } from "./panels";
import { ceilDiv, floats, fma, smaller, splat, sumLanes, transpose4 } from "./simd";
import { claim, Control } from "./threads";
import { rowTable, tile, TILE_COLUMNS, TILE_ROWS } from "./tile";

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

/** Rows of weights that exist at once: whole tiles. */
const BLOCK_ROWS: i32 = 66;
/** Rows with those that fill the last four of a transposition. */
const PADDED_ROWS: i32 = 68;
/** Bytes from row to row of their transposes. */
const TRANSPOSED_STRIDE: usize = <usize> PADDED_ROWS * 4;

/** Where the parts of a thread's scratch memory begin; P are the weights, S the scores before the softmax. */
@unmanaged
class Layout {
  table: usize;
  zero: usize;
  /** Keys and values, for products over columns, and keys for one over keys. */
  keyPanels: usize;
  valuePanels: usize;
  keyColumns: usize;
  /** Queries of a block and gradients of their results, for products over queries. */
  queryColumns: usize;
  resultColumns: usize;
  /** P and dP, which becomes dS, (68, keyStride); their transposes (keyStride, 68). */
  weights: usize;
  slopes: usize;
  transposedWeights: usize;
  transposedSlopes: usize;
  /** Results: of a block (66, dimStride), of all keys (keys, dimStride). */
  dq: usize;
  dk: usize;
  dv: usize;
  /** The end. */
  end: usize;
  /** Keys and columns with those that fill the last panel. */
  keyStride: i32;
  dimStride: i32;
}

/** Bytes of scratch for a head of this size. */
export function attentionGradientScratch(command: AttentionGradientCommand): usize {
  const keys = command.keys, dim = command.headDim;
  const keyStride = ceilDiv(keys, TILE_COLUMNS) * TILE_COLUMNS;
  const dimStride = ceilDiv(dim, TILE_COLUMNS) * TILE_COLUMNS;
  const keyRows = ceilDiv(keys, TILE_ROWS) * TILE_ROWS;
  return 256 + floats(2 * keyStride * dim + dimStride * keys) +
    floats(3 * BLOCK_ROWS * dimStride + 4 * PADDED_ROWS * keyStride + 2 * keyRows * dimStride);
}

function layOut(layout: Layout, command: AttentionGradientCommand, scratch: usize): void {
  const keys = command.keys, dim = command.headDim;
  const keyStride = ceilDiv(keys, TILE_COLUMNS) * TILE_COLUMNS;
  const dimStride = ceilDiv(dim, TILE_COLUMNS) * TILE_COLUMNS;
  const keyRows = ceilDiv(keys, TILE_ROWS) * TILE_ROWS;
  layout.keyStride = keyStride;
  layout.dimStride = dimStride;
  layout.table = scratch + 128;
  layout.zero = scratch + 192;
  layout.keyPanels = scratch + 256;
  layout.valuePanels = layout.keyPanels + floats(keyStride * dim);
  layout.keyColumns = layout.valuePanels + floats(keyStride * dim);
  layout.queryColumns = layout.keyColumns + floats(dimStride * keys);
  layout.resultColumns = layout.queryColumns + floats(dimStride * BLOCK_ROWS);
  layout.weights = layout.resultColumns + floats(dimStride * BLOCK_ROWS);
  layout.slopes = layout.weights + floats(PADDED_ROWS * keyStride);
  layout.transposedWeights = layout.slopes + floats(PADDED_ROWS * keyStride);
  layout.transposedSlopes = layout.transposedWeights + floats(keyStride * PADDED_ROWS);
  layout.dq = layout.transposedSlopes + floats(keyStride * PADDED_ROWS);
  layout.dk = layout.dq + floats(BLOCK_ROWS * dimStride);
  layout.dv = layout.dk + floats(keyRows * dimStride);
  layout.end = layout.dv + floats(keyRows * dimStride);
}

/** Gradients of each head. `attentionGradient` of tests/backends/naive/attention_gradient.ts. */
export function attentionGradient(
  command: AttentionGradientCommand,
  control: Control,
  scratch: usize,
): void {
  const layout = changetype<Layout>(scratch);
  layOut(layout, command, scratch);
  memory.fill(layout.zero, 0, 32);
  const chunks = command.batch * command.heads;
  for (let chunk = claim(control); chunk < chunks; chunk = claim(control)) {
    headGradient(command, chunk / command.heads, chunk % command.heads, layout);
  }
}

function headGradient(
  command: AttentionGradientCommand,
  sequence: i32,
  head: i32,
  layout: Layout,
): void {
  const keys = command.keys, dim = command.headDim, queries = command.queries;
  const column = floats(head * dim), row = <usize> sequence * <usize> keys;
  const kBytes = floats(command.kStride), vBytes = floats(command.vStride);
  const k = command.k + row * kBytes + column;
  packRows(k, kBytes, keys, dim, layout.keyPanels);
  packRows(command.v + row * vBytes + column, vBytes, keys, dim, layout.valuePanels);
  packColumns(k, kBytes, keys, dim, layout.keyColumns);
  // The last part of the scratch memory.
  memory.fill(layout.dk, 0, layout.end - layout.dk);
  for (let query = 0; query < queries; query += BLOCK_ROWS) {
    const first = sequence * queries + query;
    blockGradient(command, first, query, smaller(BLOCK_ROWS, queries - query), column, layout);
  }
  copyRows(layout.dk, layout, command.dk + row * kBytes + column, kBytes, keys, dim);
  copyRows(layout.dv, layout, command.dv + row * vBytes + column, vBytes, keys, dim);
}

/** Gradients of some queries of a head, from `row` of the tensors; adds theirs to those of keys and values. */
function blockGradient(
  command: AttentionGradientCommand,
  row: i32,
  query: i32,
  rows: i32,
  column: usize,
  layout: Layout,
): void {
  const keys = command.keys, dim = command.headDim;
  const qBytes = floats(command.qStride), dyBytes = floats(command.heads * dim);
  const q = command.q + <usize> row * qBytes + column;
  const dy = command.dy + <usize> row * dyBytes + column;
  const keyBytes = floats(layout.keyStride);
  const weights = layout.weights, slopes = layout.slopes;
  // S = q·kᵀ, dP = dy·vᵀ
  product(q, qBytes, rows, layout.keyPanels, dim, layout.keyStride, false, weights, layout);
  product(dy, dyBytes, rows, layout.valuePanels, dim, layout.keyStride, false, slopes, layout);
  for (let r = 0; r < rows; r++) {
    const at = <usize> r * keyBytes;
    const visible = command.causal ? smaller(keys, query + r + 1) : keys;
    softmaxRow(weights + at, visible, layout.keyStride, command.scale);
    scoreGradient(weights + at, slopes + at, layout.keyStride, command.scale);
  }
  const pT = layout.transposedWeights, dsT = layout.transposedSlopes, step = TRANSPOSED_STRIDE;
  for (let key = 0; key < layout.keyStride; key += 4) {
    for (let r = 0; r < rows; r += 4) {
      const from = <usize> r * keyBytes + floats(key);
      const to = <usize> key * step + floats(r);
      transpose4(weights + from, keyBytes, pT + to, step);
      transpose4(slopes + from, keyBytes, dsT + to, step);
    }
  }
  // dq = dS·k, dk += dSᵀ·q, dv += Pᵀ·dy
  const width = layout.dimStride;
  product(slopes, keyBytes, rows, layout.keyColumns, keys, width, false, layout.dq, layout);
  copyRows(layout.dq, layout, command.dq + <usize> row * qBytes + column, qBytes, rows, dim);
  packColumns(q, qBytes, rows, dim, layout.queryColumns);
  packColumns(dy, dyBytes, rows, dim, layout.resultColumns);
  product(dsT, step, keys, layout.queryColumns, rows, width, true, layout.dk, layout);
  product(pT, step, keys, layout.resultColumns, rows, width, true, layout.dv, layout);
}

/** dS = scale · P (dP − Σ P dP) of a row in place of dP. */
function scoreGradient(weights: usize, slopes: usize, stride: i32, scale: f32): void {
  const bytes = floats(stride);
  let sums = splat(0);
  for (let i: usize = 0; i < bytes; i += 16) {
    sums = fma(v128.load(weights + i), v128.load(slopes + i), sums);
  }
  const mean = splat(sumLanes(sums)), factor = splat(scale);
  for (let i: usize = 0; i < bytes; i += 16) {
    const slope = f32x4.sub(v128.load(slopes + i), mean);
    v128.store(slopes + i, f32x4.mul(f32x4.mul(factor, v128.load(weights + i)), slope));
  }
}

/**
 * out (rows, columns) = a (rows, depth) · panels, or adds that to it. It writes whole tiles: `columns` fill
 * panels, and `out` has rows up to a multiple of 6.
 */
function product(
  a: usize,
  aStride: usize,
  rows: i32,
  panels: usize,
  depth: i32,
  columns: i32,
  adds: bool,
  out: usize,
  layout: Layout,
): void {
  const stride = floats(columns);
  for (let column = 0; column < columns; column += TILE_COLUMNS) {
    const panel = panels + floats(column * depth);
    for (let r = 0; r < rows; r += TILE_ROWS) {
      rowTable(layout.table, a + <usize> r * aStride, aStride, smaller(TILE_ROWS, rows - r));
      const c = out + <usize> r * stride + floats(column);
      const start = adds ? c : layout.zero;
      tile(layout.table, 1, depth, panel, start, adds ? stride : 0, c, stride);
    }
  }
}

/** Copies (rows, dim) of a result to where it belongs. */
function copyRows(
  from: usize,
  layout: Layout,
  to: usize,
  stride: usize,
  rows: i32,
  dim: i32,
): void {
  for (let r = 0; r < rows; r++, from += floats(layout.dimStride), to += stride) {
    memory.copy(to, from, floats(dim));
  }
}
