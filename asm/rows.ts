// Operations on rows one by one: embedding, gated GELU, transposition, repetition, L2 normalization,
// nearest code, log-softmax.

import { exp4, gelu4 } from "./math";
import { ceilDiv, floats, fma, smaller, splat, sumLanes, transpose4 } from "./simd";
import { maxOf } from "./softmax";
import { claim, Control } from "./threads";

/** What needs only rows: logSoftmax, normalizeRows, geglu, rowMax. */
// x and out are (rows, columns); for geglu x is (rows, 2 · columns), for rowMax out is (rows)
@unmanaged
export class RowsCommand {
  opcode: i32;
  x: usize;
  out: usize;
  rows: i32;
  /** Columns of the result; for rowMax those of x. */
  columns: i32;
}

// ids is (count), table is (tableRows, columns), position is (positions, columns), out is (count, columns)
@unmanaged
export class EmbeddingCommand {
  opcode: i32;
  ids: usize;
  table: usize;
  /** Rows that are added in turn, or null. */
  position: usize;
  out: usize;
  count: i32;
  columns: i32;
  positions: i32;
  /** Rows of the table: ids outside are taken as the nearest inside. */
  tableRows: i32;
}

/** out[i] = table[ids[i]] (+ position[i mod positions]). `embedding` of tests/backends/naive/rows.ts. */
export function embedding(command: EmbeddingCommand, control: Control): void {
  const columns = command.columns, bytes = floats(columns);
  for (let i = claim(control); i < command.count; i = claim(control)) {
    const id = min(max(load<i32>(command.ids + floats(i)), 0), command.tableRows - 1);
    const from = command.table + <usize> id * bytes, out = command.out + <usize> i * bytes;
    if (!command.position) {
      memory.copy(out, from, bytes);
      continue;
    }
    const position = command.position + <usize> (i % command.positions) * bytes;
    let at: usize = 0;
    for (const end = floats(columns & ~3); at < end; at += 16) {
      v128.store(out + at, f32x4.add(v128.load(from + at), v128.load(position + at)));
    }
    for (; at < bytes; at += 4) {
      store<f32>(out + at, load<f32>(from + at) + load<f32>(position + at));
    }
  }
}

/** out = a · gelu(b) for rows (a, b) of x. `geglu` of tests/backends/naive/rows.ts. */
export function geglu(command: RowsCommand, control: Control): void {
  const columns = command.columns, bytes = floats(columns);
  for (let row = claim(control); row < command.rows; row = claim(control)) {
    const a = command.x + <usize> row * 2 * bytes,
      b = a + bytes,
      out = command.out + <usize> row * bytes;
    let at: usize = 0;
    for (const end = floats(columns & ~3); at < end; at += 16) {
      v128.store(out + at, f32x4.mul(v128.load(a + at), gelu4(v128.load(b + at))));
    }
    for (; at < bytes; at += 4) {
      const gate = f32x4.extract_lane(gelu4(splat(load<f32>(b + at))), 0);
      store<f32>(out + at, load<f32>(a + at) * gate);
    }
  }
}

// x is (batch, rows, columns), out is (batch, columns, rows)
@unmanaged
export class TransposeCommand {
  opcode: i32;
  x: usize;
  out: usize;
  batch: i32;
  rows: i32;
  columns: i32;
}

/** Rows of a chunk of a transposition, a few cache lines of each row of the result; and columns. */
const BLOCK_ROWS: i32 = 64;
const BLOCK_COLUMNS: i32 = 256;
/** Columns that are moved together: rows of the result may displace each other from the cache. */
const FEW_COLUMNS: i32 = 8;

/** Exchanges rows and columns of each matrix. `transpose` of tests/backends/naive/rows.ts. */
export function transpose(command: TransposeCommand, control: Control): void {
  const rows = command.rows, columns = command.columns, size = floats(rows) * <usize> columns;
  const rowBlocks = ceilDiv(rows, BLOCK_ROWS), columnBlocks = ceilDiv(columns, BLOCK_COLUMNS);
  const chunks = command.batch * rowBlocks * columnBlocks;
  for (let chunk = claim(control); chunk < chunks; chunk = claim(control)) {
    const block = chunk / columnBlocks, image = <usize> (block / rowBlocks) * size;
    const row = block % rowBlocks * BLOCK_ROWS, first = chunk % columnBlocks * BLOCK_COLUMNS;
    const count = smaller(BLOCK_ROWS, rows - row), last = smaller(columns, first + BLOCK_COLUMNS);
    const from = command.x + image + <usize> row * floats(columns);
    const to = command.out + image + floats(row);
    for (let column = first; column < last; column += FEW_COLUMNS) {
      const few = smaller(FEW_COLUMNS, last - column);
      const columnsAt = to + <usize> column * floats(rows);
      transposeBlock(from + floats(column), floats(columns), count, few, columnsAt, floats(rows));
    }
  }
}

function transposeBlock(
  from: usize,
  stride: usize,
  rows: i32,
  columns: i32,
  to: usize,
  toStride: usize,
): void {
  const wholeRows = rows & ~3, wholeColumns = columns & ~3;
  for (let row = 0; row < rows; row += 4, from += 4 * stride, to += 16) {
    const whole = row < wholeRows ? wholeColumns : 0;
    for (let c = 0; c < whole; c += 4) {
      transpose4(from + floats(c), stride, to + <usize> c * toStride, toStride);
    }
    for (let c = whole; c < columns; c++) {
      for (let r = 0; r < smaller(4, rows - row); r++) {
        const value = load<f32>(from + <usize> r * stride + floats(c));
        store<f32>(to + <usize> c * toStride + floats(r), value);
      }
    }
  }
}

// x is (size), out is (times, size)
@unmanaged
export class RepeatCommand {
  opcode: i32;
  x: usize;
  out: usize;
  times: i32;
  size: i32;
}

/** Copies x `times` times, one after the other. `repeat` of tests/backends/naive/rows.ts. */
export function repeat(command: RepeatCommand, control: Control): void {
  const bytes = floats(command.size);
  for (let i = claim(control); i < command.times; i = claim(control)) {
    memory.copy(command.out + <usize> i * bytes, command.x, bytes);
  }
}

/** Divides each row by its L2 norm. `normalizeRows` of tests/backends/naive/rows.ts. */
export function normalizeRows(command: RowsCommand, control: Control): void {
  const columns = command.columns;
  for (let row = claim(control); row < command.rows; row = claim(control)) {
    const x = command.x + <usize> row * floats(columns),
      out = command.out + <usize> row * floats(columns);
    let sum: f64 = 0;
    for (let c = 0; c < columns; c++) {
      const value = <f64> load<f32>(x + floats(c));
      sum += value * value;
    }
    const norm = <f32> sqrt<f64>(sum);
    for (let c = 0; c < columns; c++) store<f32>(out + floats(c), load<f32>(x + floats(c)) / norm);
  }
}

// x is (rows, columns), codebook is (codes, columns), out is (rows) int32
@unmanaged
export class NearestCodeCommand {
  opcode: i32;
  x: usize;
  codebook: usize;
  out: usize;
  rows: i32;
  columns: i32;
  codes: i32;
}

/**
 * Index of the row e of the codebook with the least |z|² + |e|² − 2 z·e; the first of equals.
 * `nearestCode` of tests/backends/naive/rows.ts.
 */
export function nearestCode(command: NearestCodeCommand, control: Control): void {
  const columns = command.columns;
  for (let row = claim(control); row < command.rows; row = claim(control)) {
    const z = command.x + <usize> row * floats(columns);
    const length = dot(z, z, columns);
    let best: f32 = Infinity, index = 0, e = command.codebook;
    for (let code = 0; code < command.codes; code++, e += floats(columns)) {
      const distance = length + dot(e, e, columns) - 2 * dot(z, e, columns);
      if (distance < best) best = distance, index = code;
    }
    store<i32>(command.out + floats(row), index);
  }
}

function dot(a: usize, b: usize, count: i32): f32 {
  let sum = splat(0), i: usize = 0;
  for (const end = floats(count & ~3); i < end; i += 16) {
    sum = fma(v128.load(a + i), v128.load(b + i), sum);
  }
  let total = sumLanes(sum);
  for (; i < floats(count); i += 4) total += load<f32>(a + i) * load<f32>(b + i);
  return total;
}

/** x − log Σ exp x for each row, the sum in float64. `logSoftmax` of tests/backends/naive/rows.ts. */
export function logSoftmax(command: RowsCommand, control: Control): void {
  const columns = command.columns, bytes = floats(columns), vectors = floats(columns & ~3);
  for (let row = claim(control); row < command.rows; row = claim(control)) {
    const x = command.x + <usize> row * bytes, out = command.out + <usize> row * bytes;
    const highest = maxOf(x, columns);
    const top = splat(highest);
    let sum0 = f64x2.splat(0), sum1 = f64x2.splat(0);
    for (let i: usize = 0; i < vectors; i += 16) {
      const e = exp4(f32x4.sub(v128.load(x + i), top));
      sum0 = f64x2.add(sum0, f64x2.promote_low_f32x4(e));
      sum1 = f64x2.add(
        sum1,
        f64x2.promote_low_f32x4(
          i8x16.swizzle(e, i8x16(8, 9, 10, 11, 12, 13, 14, 15, 0, 0, 0, 0, 0, 0, 0, 0)),
        ),
      );
    }
    const both = f64x2.add(sum0, sum1);
    let sum = f64x2.extract_lane(both, 0) + f64x2.extract_lane(both, 1);
    for (let i = vectors; i < bytes; i += 4) {
      sum += <f64> f32x4.extract_lane(exp4(splat(load<f32>(x + i) - highest)), 0);
    }
    const total = <f64> highest + Math.log(sum);
    const totals = f64x2.splat(total);
    let i: usize = 0;
    for (; i + 8 <= bytes; i += 8) {
      const value = f64x2.sub(f64x2.promote_low_f32x4(v128.load64_zero(x + i)), totals);
      v128.store64_lane(out + i, f32x4.demote_f64x2_zero(value), 0);
    }
    if (i < bytes) store<f32>(out + i, <f32> (<f64> load<f32>(x + i) - total));
  }
}
