// softmax(scale · q·kᵀ)·v for each sequence and head.
//
// A chunk is a block of queries of one head. It packs the head's keys and values into panels, then
// goes through its queries 24 rows at a time, so that only 24 rows of scores exist at once.

import { packColumns, packRows } from "./panels";
import { exp4 } from "./math";
import { ceilDiv, floats, maxLanes, smaller, splat, sumLanes } from "./simd";
import { claim, Control } from "./threads";
import { copyBlock, rowTable, tile, TILE_COLUMNS, TILE_ROWS } from "./tile";

// q is (batch, queries, qStride), k is (batch, keys, kStride), v is (batch, keys, vStride), of which the
// first heads · headDim columns count; out is (batch, queries, heads · headDim)
@unmanaged
export class AttentionCommand {
  opcode: i32;
  /** First element of the columns that count. */
  q: usize;
  k: usize;
  v: usize;
  out: usize;
  /** Floats from row to row. */
  qStride: i32;
  kStride: i32;
  vStride: i32;
  batch: i32;
  heads: i32;
  headDim: i32;
  /** Rows of q, and of k and v, in each sequence. */
  queries: i32;
  keys: i32;
  scale: f32;
  /** Whether a query sees only the keys up to its own position. */
  causal: bool;
  /** Rows of q in a chunk; the host chooses it by the number of heads and threads. */
  chunkQueries: i32;
}

/** Rows of scores that exist at once. */
const BLOCK_ROWS: i32 = 24;

/** Where the parts of a thread's scratch memory begin. */
@unmanaged
class Layout {
  table: usize;
  zero: usize;
  /** A tile for rows and columns past the end. */
  spare: usize;
  keyPanels: usize;
  valuePanels: usize;
  scores: usize;
  /** Floats from row to row of the scores. */
  scoreStride: i32;
}

/** Bytes of scratch for a head of this size. */
export function attentionScratch(command: AttentionCommand): usize {
  const keys = command.keys, headDim = command.headDim;
  const paddedKeys = ceilDiv(keys, TILE_COLUMNS) * TILE_COLUMNS;
  const paddedDim = ceilDiv(headDim, TILE_COLUMNS) * TILE_COLUMNS;
  return 512 + floats(paddedKeys * headDim) + floats(paddedDim * keys) +
    floats(BLOCK_ROWS * paddedKeys);
}

/** out = softmax(scale · q·kᵀ)·v. `attention` of tests/backends/naive/attention.ts. */
export function attention(command: AttentionCommand, control: Control, scratch: usize): void {
  const keys = command.keys, dim = command.headDim;
  const paddedKeys = ceilDiv(keys, TILE_COLUMNS) * TILE_COLUMNS;
  const paddedDim = ceilDiv(dim, TILE_COLUMNS) * TILE_COLUMNS;
  const layout = changetype<Layout>(scratch);
  layout.table = scratch + 64;
  layout.zero = scratch + 128;
  layout.spare = scratch + 256;
  layout.keyPanels = scratch + 512;
  layout.valuePanels = layout.keyPanels + floats(paddedKeys * dim);
  layout.scores = layout.valuePanels + floats(paddedDim * keys);
  layout.scoreStride = paddedKeys;
  memory.fill(layout.zero, 0, 32);

  const perHead = ceilDiv(command.queries, command.chunkQueries);
  const chunks = command.batch * command.heads * perHead;
  let packed = -1;
  for (let chunk = claim(control); chunk < chunks; chunk = claim(control)) {
    const pair = chunk / perHead;
    if (pair != packed) packHead(command, pair, layout);
    packed = pair;
    const first = (chunk % perHead) * command.chunkQueries;
    const last = smaller(command.queries, first + command.chunkQueries);
    for (let query = first; query < last; query += BLOCK_ROWS) {
      attendBlock(command, pair, query, smaller(BLOCK_ROWS, last - query), layout);
    }
  }
}

/** Packs keys and values. */
function packHead(command: AttentionCommand, pair: i32, layout: Layout): void {
  const keys = command.keys, dim = command.headDim;
  const row = <usize> (pair / command.heads) * <usize> keys;
  const column = floats(pair % command.heads * dim);
  const kBytes = floats(command.kStride), vBytes = floats(command.vStride);
  const k = command.k + row * kBytes + column;
  const v = command.v + row * vBytes + column;
  packRows(k, kBytes, keys, dim, layout.keyPanels);
  packColumns(v, vBytes, keys, dim, layout.valuePanels);
}

function attendBlock(
  command: AttentionCommand,
  pair: i32,
  query: i32,
  rows: i32,
  layout: Layout,
): void {
  const dim = command.headDim, keys = command.keys;
  const row = <usize> (pair / command.heads * command.queries + query);
  const column = floats(pair % command.heads * dim);
  const qBytes = floats(command.qStride);
  const q = command.q + row * qBytes + column;
  const outStride = floats(command.heads * dim);
  const out = command.out + row * outStride + column;
  const scoreBytes = floats(layout.scoreStride);

  for (let key = 0; key < keys; key += TILE_COLUMNS) {
    const panel = layout.keyPanels + floats(key * dim);
    for (let r = 0; r < rows; r += TILE_ROWS) {
      rowTable(layout.table, q + <usize> r * qBytes, qBytes, smaller(TILE_ROWS, rows - r));
      const scores = layout.scores + <usize> r * scoreBytes + floats(key);
      tile(layout.table, 1, dim, panel, layout.zero, 0, scores, scoreBytes);
    }
  }
  for (let r = 0; r < rows; r++) {
    const visible = command.causal ? smaller(keys, query + r + 1) : keys;
    softmaxRow(layout.scores + <usize> r * scoreBytes, visible, layout.scoreStride, command.scale);
  }
  for (let d = 0; d < dim; d += TILE_COLUMNS) {
    const panel = layout.valuePanels + floats(d * keys);
    const columns = smaller(TILE_COLUMNS, dim - d);
    for (let r = 0; r < rows; r += TILE_ROWS) {
      const tileRows = smaller(TILE_ROWS, rows - r);
      const c = out + <usize> r * outStride + floats(d);
      rowTable(layout.table, layout.scores + <usize> r * scoreBytes, scoreBytes, tileRows);
      if (tileRows == TILE_ROWS && columns == TILE_COLUMNS) {
        tile(layout.table, 1, keys, panel, layout.zero, 0, c, outStride);
      } else {
        tile(layout.table, 1, keys, panel, layout.zero, 0, layout.spare, 32);
        copyBlock(layout.spare, 32, c, outStride, tileRows, columns);
      }
    }
  }
}

/** Softmax of scale · row over the first `visible` scores; the others become 0. */
export function softmaxRow(row: usize, visible: i32, stride: i32, scale: f32): void {
  // Past `visible`, a very low number takes part without effect and the vectors need no tail.
  for (let i = visible; i < stride; i++) store<f32>(row + floats(i), -Infinity);
  const end = row + floats(stride);
  let highest = splat(-Infinity);
  for (let p = row; p < end; p += 32) {
    highest = f32x4.max(highest, f32x4.max(v128.load(p), v128.load(p, 16)));
  }
  const top = splat(maxLanes(highest)), factor = splat(scale);
  let sum0 = splat(0), sum1 = splat(0);
  for (let p = row; p < end; p += 32) {
    const e0 = exp4(f32x4.mul(f32x4.sub(v128.load(p), top), factor));
    const e1 = exp4(f32x4.mul(f32x4.sub(v128.load(p, 16), top), factor));
    sum0 = f32x4.add(sum0, e0);
    sum1 = f32x4.add(sum1, e1);
    v128.store(p, e0);
    v128.store(p, e1, 16);
  }
  const inverse = splat(1 / sumLanes(f32x4.add(sum0, sum1)));
  for (let p = row; p < end; p += 32) {
    v128.store(p, f32x4.mul(v128.load(p), inverse));
    v128.store(p, f32x4.mul(v128.load(p, 16), inverse), 16);
  }
  for (let i = visible; i < stride; i++) store<f32>(row + floats(i), 0);
}
