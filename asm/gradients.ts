// What training needs besides the operations of a model: gradients of operations on rows, sums of rows
// and of tensors, and the packing of weights that change.

import { activate as activate4, Activation, exp4, gelu4, geluSlope4, slope4 } from "./math";
import { packColumns, packPanel } from "./panels";
import { tableRow } from "./norms";
import { ceilDiv, floats, fma, smaller, splat, storeUpTo4, sumLanes } from "./simd";
import { claim, Control } from "./threads";
import { TILE_COLUMNS } from "./tile";

/** Elements of a chunk: whole vectors. The last vector of an array may pass its end, which has room. */
const CHUNK: i32 = 4096;

// x, other and out are (count)
@unmanaged
export class ElementsCommand {
  opcode: i32;
  x: usize;
  /** The second summand or factor, or the gradient of the result; null if there is none. */
  other: usize;
  out: usize;
  count: i32;
  activation: Activation;
}

/** out = x + other. `add` of tests/backends/naive/gradients.ts. */
export function add(command: ElementsCommand, control: Control): void {
  const chunks = ceilDiv(command.count, CHUNK);
  for (let chunk = claim(control); chunk < chunks; chunk = claim(control)) {
    const last = floats(smaller(command.count, (chunk + 1) * CHUNK));
    for (let at = floats(chunk * CHUNK); at < last; at += 16) {
      const sum = f32x4.add(v128.load(command.x + at), v128.load(command.other + at));
      v128.store(command.out + at, sum);
    }
  }
}

/** out = x · other. `multiply` of tests/backends/naive/gradients.ts. */
export function multiply(command: ElementsCommand, control: Control): void {
  const chunks = ceilDiv(command.count, CHUNK);
  for (let chunk = claim(control); chunk < chunks; chunk = claim(control)) {
    const last = floats(smaller(command.count, (chunk + 1) * CHUNK));
    for (let at = floats(chunk * CHUNK); at < last; at += 16) {
      const product = f32x4.mul(v128.load(command.x + at), v128.load(command.other + at));
      v128.store(command.out + at, product);
    }
  }
}

/** out = activation(x). `activate` of tests/backends/naive/gradients.ts. */
export function activate(command: ElementsCommand, control: Control): void {
  const chunks = ceilDiv(command.count, CHUNK), activation = command.activation;
  for (let chunk = claim(control); chunk < chunks; chunk = claim(control)) {
    const last = floats(smaller(command.count, (chunk + 1) * CHUNK));
    for (let at = floats(chunk * CHUNK); at < last; at += 16) {
      v128.store(command.out + at, activate4(v128.load(command.x + at), activation));
    }
  }
}

/** out = other · activation′(x). `activateGradient` of tests/backends/naive/gradients.ts. */
export function activateGradient(command: ElementsCommand, control: Control): void {
  const chunks = ceilDiv(command.count, CHUNK), activation = command.activation;
  for (let chunk = claim(control); chunk < chunks; chunk = claim(control)) {
    const last = floats(smaller(command.count, (chunk + 1) * CHUNK));
    for (let at = floats(chunk * CHUNK); at < last; at += 16) {
      const slope = slope4(v128.load(command.x + at), activation);
      v128.store(command.out + at, f32x4.mul(v128.load(command.other + at), slope));
    }
  }
}

/** What gradients of operations on rows need. */
// For geglu x and out are (rows, 2 · columns) and dy is (rows, columns); for logSoftmax, where x is its
// result, and for normalizeRows all are (rows, columns)
@unmanaged
export class RowsGradientCommand {
  opcode: i32;
  x: usize;
  /** Gradient of the result. */
  dy: usize;
  out: usize;
  rows: i32;
  columns: i32;
}

/** (dy · gelu(b), dy · a · gelu′(b)). `gegluGradient` of tests/backends/naive/gradients.ts. */
export function gegluGradient(command: RowsGradientCommand, control: Control): void {
  const columns = command.columns, bytes = floats(columns);
  for (let row = claim(control); row < command.rows; row = claim(control)) {
    const a = command.x + <usize> row * 2 * bytes, b = a + bytes;
    const da = command.out + <usize> row * 2 * bytes, db = da + bytes;
    const dy = command.dy + <usize> row * bytes;
    for (let i = 0; i < columns; i += 4) {
      const at = floats(i), left = columns - i;
      const gate = v128.load(b + at), d = v128.load(dy + at);
      storeUpTo4(da + at, f32x4.mul(d, gelu4(gate)), left);
      const product = f32x4.mul(d, v128.load(a + at));
      storeUpTo4(db + at, f32x4.mul(product, geluSlope4(gate)), left);
    }
  }
}

/** dy − exp(y) · Σ dy for each row. `logSoftmaxGradient` of tests/backends/naive/gradients.ts. */
export function logSoftmaxGradient(command: RowsGradientCommand, control: Control): void {
  const columns = command.columns, bytes = floats(columns), vectors = floats(columns & ~3);
  for (let row = claim(control); row < command.rows; row = claim(control)) {
    const at = <usize> row * bytes;
    const y = command.x + at, dy = command.dy + at, out = command.out + at;
    let sums = splat(0), i: usize = 0;
    for (; i < vectors; i += 16) sums = f32x4.add(sums, v128.load(dy + i));
    let sum = sumLanes(sums);
    for (; i < bytes; i += 4) sum += load<f32>(dy + i);
    sums = splat(sum);
    for (i = 0; i < vectors; i += 16) {
      const part = f32x4.mul(exp4(v128.load(y + i)), sums);
      v128.store(out + i, f32x4.sub(v128.load(dy + i), part));
    }
    for (; i < bytes; i += 4) {
      const p = f32x4.extract_lane(exp4(splat(load<f32>(y + i))), 0);
      store<f32>(out + i, load<f32>(dy + i) - p * sum);
    }
  }
}

// x, dy and out are (rows, columns), affine is (rows, 2 · columns). Factors are (columns); with
// timesteps they are the table of an adaptive norm and timestep is (rows / rowsEach) int32
@unmanaged
export class LayerNormGradientCommand {
  opcode: i32;
  x: usize;
  dy: usize;
  factors: usize;
  /** Rows of the table, or null for a plain norm. */
  timestep: usize;
  out: usize;
  /** Gradients of factor and shift for each row of x. */
  affine: usize;
  rows: i32;
  rowsEach: i32;
  columns: i32;
  timesteps: i32;
  eps: f32;
}

/** Gradients of a norm of rows. `layerNormGradient` of tests/backends/naive/gradients.ts. */
export function layerNormGradient(command: LayerNormGradientCommand, control: Control): void {
  const columns = command.columns, bytes = floats(columns);
  for (let row = claim(control); row < command.rows; row = claim(control)) {
    const at = <usize> row * bytes;
    let factors = command.factors, offset: f32 = 0;
    if (command.timestep) {
      const timestep = command.timestep + floats(row / command.rowsEach);
      factors = tableRow(factors, timestep, command.timesteps, columns);
      offset = 1;
    }
    const affine = command.affine + 2 * at;
    const x = command.x + at, dy = command.dy + at, out = command.out + at;
    standardizeRow(x, affine, columns);
    const inverse: f32 = 1 / sqrt<f32>(meanSquare(affine, columns) + command.eps);
    normGradientRow(affine, dy, factors, offset, inverse, out, columns);
  }
}

/** out = x − mean */
function standardizeRow(x: usize, out: usize, columns: i32): void {
  const bytes = floats(columns), vectors = floats(columns & ~3);
  let sums = splat(0), i: usize = 0;
  for (; i < vectors; i += 16) sums = f32x4.add(sums, v128.load(x + i));
  let sum = sumLanes(sums);
  for (; i < bytes; i += 4) sum += load<f32>(x + i);
  const mean = sum / <f32> columns, center = splat(mean);
  for (i = 0; i < vectors; i += 16) v128.store(out + i, f32x4.sub(v128.load(x + i), center));
  for (; i < bytes; i += 4) store<f32>(out + i, load<f32>(x + i) - mean);
}

function meanSquare(x: usize, columns: i32): f32 {
  const bytes = floats(columns), vectors = floats(columns & ~3);
  let sums = splat(0), i: usize = 0;
  for (; i < vectors; i += 16) sums = fma(v128.load(x + i), v128.load(x + i), sums);
  let sum = sumLanes(sums);
  for (; i < bytes; i += 4) sum += load<f32>(x + i) * load<f32>(x + i);
  return sum / <f32> columns;
}

/**
 * One row of the gradients.
 *
 * @param affine x − mean; receives dy · normed, then dy.
 */
function normGradientRow(
  affine: usize,
  dy: usize,
  factors: usize,
  offset: f32,
  inverse: f32,
  out: usize,
  columns: i32,
): void {
  const bytes = floats(columns), vectors = floats(columns & ~3);
  const plus = splat(offset), factor = splat(inverse);
  let sums = splat(0), products = splat(0), i: usize = 0;
  // out holds the gradient of the normed values until the second loop.
  for (; i < vectors; i += 16) {
    const g = f32x4.mul(v128.load(dy + i), f32x4.add(v128.load(factors + i), plus));
    const normed = f32x4.mul(v128.load(affine + i), factor);
    v128.store(out + i, g);
    sums = f32x4.add(sums, g), products = fma(g, normed, products);
  }
  let sum = sumLanes(sums), product = sumLanes(products);
  for (; i < bytes; i += 4) {
    const g = load<f32>(dy + i) * (load<f32>(factors + i) + offset);
    store<f32>(out + i, g);
    sum += g, product += g * load<f32>(affine + i) * inverse;
  }
  const mean = sum / <f32> columns, slope = product / <f32> columns;
  const means = splat(mean), slopes = splat(slope);
  for (i = 0; i < vectors; i += 16) {
    const normed = f32x4.mul(v128.load(affine + i), factor), d = v128.load(dy + i);
    const rest = f32x4.sub(f32x4.sub(v128.load(out + i), means), f32x4.mul(normed, slopes));
    v128.store(out + i, f32x4.mul(rest, factor));
    v128.store(affine + i, f32x4.mul(d, normed));
    v128.store(affine + bytes + i, d);
  }
  for (; i < bytes; i += 4) {
    const normed = load<f32>(affine + i) * inverse, d = load<f32>(dy + i);
    store<f32>(out + i, (load<f32>(out + i) - mean - normed * slope) * inverse);
    store<f32>(affine + i, d * normed);
    store<f32>(affine + bytes + i, d);
  }
}

// x is (ids · rowsEach, columns), ids is (ids) int32, out is (outRows, columns)
@unmanaged
export class ScatterAddCommand {
  opcode: i32;
  x: usize;
  ids: usize;
  out: usize;
  count: i32;
  /** Rows of x that follow each other and have the same id. */
  rowsEach: i32;
  columns: i32;
  outRows: i32;
}

/** Columns of a chunk. */
const SCATTER_COLUMNS: i32 = 256;
/** Chunks of rows: of a table of more rows, a chunk has several, so that ids are not gone through too often. */
const SCATTER_CHUNKS: i32 = 1024;

/** out[r] = Σ of the rows of x whose id is r. `scatterAdd` of tests/backends/naive/gradients.ts. */
export function scatterAdd(command: ScatterAddCommand, control: Control): void {
  const columns = command.columns, blocks = ceilDiv(columns, SCATTER_COLUMNS);
  const rowBytes = floats(columns), chunkRows = ceilDiv(command.outRows, SCATTER_CHUNKS);
  const chunks = ceilDiv(command.outRows, chunkRows) * blocks;
  for (let chunk = claim(control); chunk < chunks; chunk = claim(control)) {
    const first = chunk / blocks * chunkRows, offset = floats(chunk % blocks * SCATTER_COLUMNS);
    const last = smaller(command.outRows, first + chunkRows);
    const width = smaller(SCATTER_COLUMNS, columns - chunk % blocks * SCATTER_COLUMNS);
    for (let row = first; row < last; row++) {
      memory.fill(command.out + <usize> row * rowBytes + offset, 0, floats(width));
    }
    for (let i = 0; i < command.count; i++) {
      const id = min(max(load<i32>(command.ids + floats(i)), 0), command.outRows - 1);
      if (id < first || id >= last) continue;
      const out = command.out + <usize> id * rowBytes + offset;
      const from = command.x + <usize> i * <usize> command.rowsEach * rowBytes + offset;
      addRows(out, from, rowBytes, command.rowsEach, width);
    }
  }
}

/** Adds `rows` rows, one after the other, to `out`. */
function addRows(out: usize, from: usize, stride: usize, rows: i32, columns: i32): void {
  let row = 0;
  for (; row + 4 <= rows; row += 4, from += 4 * stride) {
    let a = from, i: usize = 0;
    for (const end = floats(columns & ~3); i < end; i += 16, a += 16) {
      const b = a + stride, c = b + stride;
      let sum = f32x4.add(v128.load(out + i), v128.load(a));
      sum = f32x4.add(f32x4.add(sum, v128.load(b)), v128.load(c));
      v128.store(out + i, f32x4.add(sum, v128.load(c + stride)));
    }
    for (; i < floats(columns); i += 4, a += 4) {
      const b = a + stride, c = b + stride;
      const sum = load<f32>(out + i) + load<f32>(a) + load<f32>(b) + load<f32>(c);
      store<f32>(out + i, sum + load<f32>(c + stride));
    }
  }
  for (; row < rows; row++, from += stride) addTo(out, from, columns);
}

function addTo(out: usize, from: usize, count: i32): void {
  let i: usize = 0;
  for (const end = floats(count & ~3); i < end; i += 16) {
    v128.store(out + i, f32x4.add(v128.load(out + i), v128.load(from + i)));
  }
  for (; i < floats(count); i += 4) store<f32>(out + i, load<f32>(out + i) + load<f32>(from + i));
}

// x is (n, k), transposed (k, n); bias is (n); out is panels [n / 8][k][8], outBias (n / 8 · 8)
@unmanaged
export class PackCommand {
  opcode: i32;
  x: usize;
  /** Null for zeros. */
  bias: usize;
  out: usize;
  outBias: usize;
  n: i32;
  k: i32;
  transposed: bool;
}

/** Steps of a panel that a chunk of a transposed matrix fills. */
const PACK_STEPS: i32 = 64;
/** Of them those that are filled in all panels before the next: cache lines that displace each other are few. */
const PACK_ROWS: i32 = 8;

/** Packs a matrix into panels, what passes its end as zeros. `pack` of tests/backends/naive/gradients.ts. */
export function pack(command: PackCommand, control: Control): void {
  const n = command.n, k = command.k, panelBytes = floats(k * TILE_COLUMNS);
  const chunks = command.transposed ? ceilDiv(k, PACK_STEPS) : ceilDiv(n, TILE_COLUMNS);
  for (let chunk = claim(control); chunk < chunks; chunk = claim(control)) {
    if (chunk == 0) packBias(command);
    if (command.transposed) {
      packSteps(command, chunk * PACK_STEPS, smaller(k, (chunk + 1) * PACK_STEPS));
    } else {
      const first = chunk * TILE_COLUMNS, rows = smaller(TILE_COLUMNS, n - first);
      const from = command.x + <usize> first * floats(k);
      packPanel(from, floats(k), rows, k, command.out + <usize> chunk * panelBytes);
    }
  }
}

/** Fills some steps of all panels from rows of x. */
function packSteps(command: PackCommand, first: i32, last: i32): void {
  const n = command.n, rowBytes = floats(n), panelBytes = floats(command.k * TILE_COLUMNS);
  for (let step = first; step < last; step += PACK_ROWS) {
    let from = command.x + <usize> step * rowBytes;
    let to = command.out + floats(step * TILE_COLUMNS);
    for (let column = 0; column < n; column += TILE_COLUMNS, from += 32, to += panelBytes) {
      const columns = smaller(TILE_COLUMNS, n - column);
      packColumns(from, rowBytes, smaller(PACK_ROWS, last - step), columns, to);
    }
  }
}

function packBias(command: PackCommand): void {
  const n = command.n, bias = command.bias;
  for (let i = 0; i < ceilDiv(n, TILE_COLUMNS) * TILE_COLUMNS; i++) {
    const value: f32 = bias != 0 && i < n ? load<f32>(bias + floats(i)) : 0;
    store<f32>(command.outBias + floats(i), value);
  }
}
