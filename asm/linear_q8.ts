// Linear layers with int8 weights: out = activation(scale ∘ (q(x)·q(W)ᵀ) + bias), or out += …
//
// Weights are symmetric int8 with a scale for each column of the result, packed in panels
// [n / 8][k / group][8][group]. Activations are quantised row by row just before: with relaxed SIMD to
// 7 bits and an offset of 64, as the second operand of the int8 dot product must be 0 … 127 (four k
// a step); without it to 8 bits held as int16 (two k a step).

import { activate, Activation } from "./math";
import { ceilDiv, floats, fma, maxLanes, smaller, splat } from "./simd";
import { claim, Control } from "./threads";
import { copyBlock, rowTable, TILE_COLUMNS, TILE_ROWS } from "./tile";

/** k that one 32-bit load of activations covers. */
export const GROUP: i32 = ASC_FEATURE_RELAXED_SIMD ? 4 : 2;
/** Highest magnitude of a quantised activation. */
const LEVELS: f32 = ASC_FEATURE_RELAXED_SIMD ? 63 : 127;
/** Rows of a chunk, and columns. */
const CHUNK_ROWS: i32 = 192;
const CHUNK_COLUMNS: i32 = 64;

/** Bytes of a row of quantised activations. */
export function quantizedRowBytes(k: i32): usize {
  return <usize> ceilDiv(k, GROUP) * 4;
}

// x is (rows, columns), out is (rows, quantizedRowBytes(columns)) bytes, scales is (rows)
@unmanaged
export class QuantizeRowsCommand {
  opcode: i32;
  x: usize;
  out: usize;
  /** One scale for each row. */
  scales: usize;
  rows: i32;
  columns: i32;
}

/** x ≈ scales ∘ out. The first half of `linear` with int8 weights. */
export function quantizeRows(command: QuantizeRowsCommand, control: Control): void {
  const columns = command.columns;
  const chunks = ceilDiv(command.rows, 4);
  for (let chunk = claim(control); chunk < chunks; chunk = claim(control)) {
    for (let row = chunk * 4; row < smaller(command.rows, chunk * 4 + 4); row++) {
      const x = command.x + <usize> row * floats(columns);
      const out = command.out + <usize> row * quantizedRowBytes(columns);
      store<f32>(command.scales + floats(row), quantizeRow(x, columns, out));
    }
  }
}

/** Quantises a row by its largest magnitude; returns the scale. */
function quantizeRow(x: usize, columns: i32, out: usize): f32 {
  const vectors = floats(columns & ~3), end = floats(columns);
  let high = splat(0);
  for (let i: usize = 0; i < vectors; i += 16) high = f32x4.pmax(high, f32x4.abs(v128.load(x + i)));
  let largest = maxLanes(high);
  for (let i = vectors; i < end; i += 4) largest = max(largest, abs(load<f32>(x + i)));
  const inverse: f32 = largest > 0 ? LEVELS / largest : 0;
  const factor = splat(inverse);
  for (let i: usize = 0; i < vectors; i += 16) {
    const q = i32x4.trunc_sat_f32x4_s(f32x4.nearest(f32x4.mul(v128.load(x + i), factor)));
    out = storeQuantized(out, q);
  }
  if (vectors < end) {
    let q = i32x4.splat(0);
    if (vectors + 4 <= end) {
      q = i32x4.replace_lane(q, 0, <i32> nearest<f32>(load<f32>(x + vectors) * inverse));
    }
    if (vectors + 8 <= end) {
      q = i32x4.replace_lane(q, 1, <i32> nearest<f32>(load<f32>(x + vectors + 4) * inverse));
    }
    if (vectors + 12 <= end) {
      q = i32x4.replace_lane(q, 2, <i32> nearest<f32>(load<f32>(x + vectors + 8) * inverse));
    }
    // A row of int16 may end after two of the four: the next row may be another thread's.
    if (ASC_FEATURE_RELAXED_SIMD || vectors + 8 < end) storeQuantized(out, q);
    else v128.store32_lane(out, i16x8.narrow_i32x4_s(q, q), 0);
  }
  return largest / LEVELS;
}

// @ts-ignore: decorator
@inline
function storeQuantized(out: usize, q: v128): usize {
  if (ASC_FEATURE_RELAXED_SIMD) {
    const bytes = i32x4.add(q, i32x4.splat(64));
    v128.store32_lane(
      out,
      v128.shuffle<i8>(bytes, bytes, 0, 4, 8, 12, 0, 4, 8, 12, 0, 4, 8, 12, 0, 4, 8, 12),
      0,
    );
    return out + 4;
  }
  v128.store64_lane(out, i16x8.narrow_i32x4_s(q, q), 0);
  return out + 8;
}

// x is (rows, quantizedRowBytes(k)) bytes, xScales is (rows), out is (rows, n)
@unmanaged
export class LinearQ8Command {
  opcode: i32;
  /** Quantised activations and their scales. */
  x: usize;
  xScales: usize;
  weight: usize;
  /** One float for each column of the panels: scales, biases. */
  weightScales: usize;
  bias: usize;
  /** One int32 for each column: what the offset of the activations adds to the dot product. */
  offsets: usize;
  out: usize;
  rows: i32;
  n: i32;
  k: i32;
  activation: Activation;
  /** Whether `out` is added to. */
  add: bool;
}

/** Bytes of scratch: the row table, a tile, and a row of one past the last column. */
export function linearQ8Scratch(_command: LinearQ8Command): usize {
  return 64 + floats(TILE_ROWS * TILE_COLUMNS) + floats(TILE_COLUMNS);
}

/**
 * out = activation(scale ∘ (x·Wᵀ) + bias), or out += scale ∘ (x·Wᵀ) + bias. `linear` of
 * tests/backends/naive/linear.ts, with the weight that `hold` leaves.
 */
export function linearQ8(command: LinearQ8Command, control: Control, scratch: usize): void {
  const rowChunks = ceilDiv(command.rows, CHUNK_ROWS);
  const chunkRows = ceilDiv(ceilDiv(command.rows, TILE_ROWS), rowChunks) * TILE_ROWS;
  const chunks = rowChunks * ceilDiv(command.n, CHUNK_COLUMNS);
  const groups = ceilDiv(command.k, GROUP);
  const rowBytes = quantizedRowBytes(command.k);
  for (let chunk = claim(control); chunk < chunks; chunk = claim(control)) {
    const row = (chunk % rowChunks) * chunkRows;
    const firstColumn = (chunk / rowChunks) * CHUNK_COLUMNS;
    const rows = smaller(chunkRows, command.rows - row);
    const lastColumn = smaller(command.n, firstColumn + CHUNK_COLUMNS);
    for (let column = firstColumn; column < lastColumn; column += TILE_COLUMNS) {
      const panel = command.weight + <usize> column * <usize> (groups * GROUP);
      for (let r = 0; r < rows; r += TILE_ROWS) {
        const count = smaller(TILE_ROWS, rows - r);
        rowTable(scratch, command.x + <usize> (row + r) * rowBytes, rowBytes, count);
        tileQ8(scratch, groups, panel, scratch + 64);
        finishTile(command, scratch + 64, row + r, count, column);
      }
    }
  }
}

// @ts-ignore: decorator
@inline
function dot(w: v128, x: v128, sum: v128): v128 {
  return ASC_FEATURE_RELAXED_SIMD
    ? i32x4.relaxed_dot_i8x16_i7x16_add_s(w, x, sum)
    : i32x4.add(i32x4.dot_i16x8_s(w, x), sum);
}

// @ts-ignore: decorator
@inline
function weights(b: usize, half: usize): v128 {
  return ASC_FEATURE_RELAXED_SIMD ? v128.load(b + half * 16) : v128.load8x8_s(b + half * 8);
}

/** C (6 × 8) int32 = Σ q(x)·q(W), over `groups` steps. */
function tileQ8(rows: usize, groups: i32, b: usize, c: usize): void {
  let a0 = <usize> load<u32>(rows),
    a1 = <usize> load<u32>(rows, 4),
    a2 = <usize> load<u32>(rows, 8);
  let a3 = <usize> load<u32>(rows, 12),
    a4 = <usize> load<u32>(rows, 16),
    a5 = <usize> load<u32>(rows, 20);
  let c00 = i32x4.splat(0), c01 = c00, c10 = c00, c11 = c00, c20 = c00, c21 = c00;
  let c30 = c00, c31 = c00, c40 = c00, c41 = c00, c50 = c00, c51 = c00;
  const step = <usize> (TILE_COLUMNS * GROUP);
  for (const end = b + <usize> groups * step; b < end; b += step) {
    const b0 = weights(b, 0), b1 = weights(b, 1);
    const x0 = v128.load32_splat(a0);
    c00 = dot(b0, x0, c00), c01 = dot(b1, x0, c01);
    const x1 = v128.load32_splat(a1);
    c10 = dot(b0, x1, c10), c11 = dot(b1, x1, c11);
    const x2 = v128.load32_splat(a2);
    c20 = dot(b0, x2, c20), c21 = dot(b1, x2, c21);
    const x3 = v128.load32_splat(a3);
    c30 = dot(b0, x3, c30), c31 = dot(b1, x3, c31);
    const x4 = v128.load32_splat(a4);
    c40 = dot(b0, x4, c40), c41 = dot(b1, x4, c41);
    const x5 = v128.load32_splat(a5);
    c50 = dot(b0, x5, c50), c51 = dot(b1, x5, c51);
    a0 += 4, a1 += 4, a2 += 4, a3 += 4, a4 += 4, a5 += 4;
  }
  v128.store(c, c00), v128.store(c, c01, 16);
  v128.store(c, c10, 32), v128.store(c, c11, 48);
  v128.store(c, c20, 64), v128.store(c, c21, 80);
  v128.store(c, c30, 96), v128.store(c, c31, 112);
  v128.store(c, c40, 128), v128.store(c, c41, 144);
  v128.store(c, c50, 160), v128.store(c, c51, 176);
}

/** Scales the int32 tile, adds bias (and the old result), activates and stores it. */
function finishTile(command: LinearQ8Command, tile: usize, row: i32, rows: i32, column: i32): void {
  const outStride = floats(command.n);
  let out = command.out + <usize> row * outStride + floats(column);
  const columns = smaller(TILE_COLUMNS, command.n - column);
  const spare = tile + floats(TILE_ROWS * TILE_COLUMNS);
  for (let r = 0; r < rows; r++, out += outStride, tile += 32) {
    const scale = v128.load32_splat(command.xScales + floats(row + r));
    const whole = columns == TILE_COLUMNS;
    const to = whole ? out : spare;
    if (!whole && command.add) copyBlock(out, 0, spare, 0, 1, columns);
    v128.store(to, finish4(command, v128.load(tile), scale, to, column));
    v128.store(to, finish4(command, v128.load(tile, 16), scale, to + 16, column + 4), 16);
    if (!whole) copyBlock(spare, 0, out, 0, 1, columns);
  }
}

// @ts-ignore: decorator
@inline
function finish4(command: LinearQ8Command, sum: v128, scale: v128, old: usize, column: i32): v128 {
  const at = floats(column);
  const exact = f32x4.convert_i32x4_s(i32x4.sub(sum, v128.load(command.offsets + at)));
  const factor = f32x4.mul(scale, v128.load(command.weightScales + at));
  let value = fma(exact, factor, v128.load(command.bias + at));
  value = activate(value, command.activation);
  return command.add ? f32x4.add(value, v128.load(old)) : value;
}

/**
 * Quantises rows of a float32 matrix (rows, k) into panels, beginning with row `first` of the panels,
 * and sets their scales and offsets.
 */
export function packPanelsQ8(
  from: usize,
  rows: i32,
  k: i32,
  to: usize,
  first: i32,
  scales: usize,
  offsets: usize,
): void {
  for (let row = 0; row < rows; row++, from += floats(k)) {
    let largest: f32 = 0;
    for (let i = 0; i < k; i++) largest = max(largest, abs(load<f32>(from + floats(i))));
    const scale = largest / 127;
    const inverse: f32 = largest > 0 ? 127 / largest : 0;
    let sum = 0;
    for (let i = 0; i < k; i++) {
      const q = <i32> nearest<f32>(load<f32>(from + floats(i)) * inverse);
      sum += q;
      store<i8>(to + panelIndex(first + row, i, k), <i8> q);
    }
    storeColumn(first + row, scale, sum, scales, offsets);
  }
}

/** Packs rows of int8 with their own scales as they are. */
export function packPanelsI8(
  from: usize,
  fromScales: usize,
  rows: i32,
  k: i32,
  to: usize,
  first: i32,
  scales: usize,
  offsets: usize,
): void {
  for (let row = 0; row < rows; row++) {
    let sum = 0;
    for (let i = 0; i < k; i++) {
      const q = load<i8>(from++);
      sum += q;
      store<i8>(to + panelIndex(first + row, i, k), q);
    }
    storeColumn(first + row, load<f32>(fromScales + floats(row)), sum, scales, offsets);
  }
}

function panelIndex(column: i32, i: i32, k: i32): usize {
  const groups = ceilDiv(k, GROUP);
  const group = <usize> (column / TILE_COLUMNS * groups + i / GROUP);
  return (group * TILE_COLUMNS + column % TILE_COLUMNS) * GROUP + i % GROUP;
}

function storeColumn(column: i32, scale: f32, sum: i32, scales: usize, offsets: usize): void {
  store<f32>(scales + floats(column), scale);
  // Activations carry an offset of 64 with relaxed SIMD, none without.
  store<i32>(offsets + floats(column), ASC_FEATURE_RELAXED_SIMD ? 64 * sum : 0);
}
