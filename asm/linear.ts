// Linear layers: out = activation(x·Wᵀ + bias), or out += x·Wᵀ + bias.
//
// W (n, k) is packed in panels [n / 8][k][8], float32 or float16, columns past n zero.
//
// linear_q8.ts has those with int8 weights.

import { activate, Activation } from "./math";
import { ceilDiv, floats, smaller } from "./simd";
import { claim, Control } from "./threads";
import { copyBlock, rowTable, tile, TILE_COLUMNS, TILE_ROWS } from "./tile";
import { widenHalf } from "./convert";

// x is (rows, k), out is (rows, n)
@unmanaged
export class LinearCommand {
  opcode: i32;
  x: usize;
  /** Panels of the weight. */
  weight: usize;
  /** One float for each column of the panels. */
  bias: usize;
  out: usize;
  rows: i32;
  /** Columns of the result. */
  n: i32;
  /** Columns of x. */
  k: i32;
  /** Whether the panels hold float16. */
  half: bool;
  activation: Activation;
  /** Whether `out` is added to. */
  add: bool;
  /**
   * Columns of a chunk, whole panels: their part of W, at most 512 KiB, stays in the second-level cache. The
   * host chooses it by the numbers of rows and threads.
   */
  chunkColumns: i32;
}

/** k that a pass goes through: a panel's part (16 KiB) and that of the rows of a tile stay in the first-level cache. */
const DEPTH: i32 = 512;
/** Rows of a chunk at most. */
const CHUNK_ROWS: i32 = 192;
/**
 * Bytes from row to row of the copy that a tile reads: an odd number of cache lines, as rows that are a
 * power of two apart displace each other from the first-level cache.
 */
const COPY_STRIDE: usize = <usize> DEPTH * 4 + 64;

/** Where the parts of a thread's scratch memory begin: the row table, a tile, a copy of 6 rows, widened panels. */
const SPARE: usize = 64;
const COPY: usize = SPARE + <usize> (TILE_ROWS * TILE_COLUMNS) * 4;
const WIDENED: usize = COPY + <usize> TILE_ROWS * COPY_STRIDE;

/** Bytes of scratch. */
export function linearScratch(command: LinearCommand): usize {
  if (!command.half) return WIDENED;
  return WIDENED + floats(smaller(command.k, DEPTH) * command.chunkColumns);
}

/** out = activation(x·Wᵀ + bias), or out += x·Wᵀ + bias. `linear` of tests/backends/naive/linear.ts. */
export function linear(command: LinearCommand, control: Control, scratch: usize): void {
  const rowChunks = ceilDiv(command.rows, CHUNK_ROWS);
  // Equal shares in whole tiles, so that no thread waits long for the last chunk.
  const tiles = ceilDiv(command.rows, TILE_ROWS);
  const chunkRows = ceilDiv(tiles, rowChunks) * TILE_ROWS;
  const columns = command.chunkColumns;
  const chunks = rowChunks * ceilDiv(command.n, columns);
  for (let chunk = claim(control); chunk < chunks; chunk = claim(control)) {
    // Neighbours in time share the columns of W, which are more than the rows of x.
    const row = (chunk % rowChunks) * chunkRows;
    const column = (chunk / rowChunks) * columns;
    const rows = smaller(chunkRows, command.rows - row);
    const lastColumn = smaller(command.n, column + columns);
    if (rows > 0) linearChunk(command, row, row + rows, column, lastColumn, scratch);
  }
}

function linearChunk(
  command: LinearCommand,
  firstRow: i32,
  lastRow: i32,
  firstColumn: i32,
  lastColumn: i32,
  scratch: usize,
): void {
  const k = command.k, copy = scratch + COPY;
  for (let k0 = 0; k0 < k; k0 += DEPTH) {
    const depth = smaller(DEPTH, k - k0);
    let panels = command.weight + floats(firstColumn * k + k0 * TILE_COLUMNS);
    let panelBytes = floats(k * TILE_COLUMNS);
    if (command.half) {
      panels = scratch + WIDENED, panelBytes = floats(depth * TILE_COLUMNS);
      widenPanels(command, k0, depth, firstColumn, lastColumn, panels);
    }
    for (let row = firstRow; row < lastRow; row += TILE_ROWS) {
      const count = smaller(TILE_ROWS, lastRow - row);
      let x = command.x + <usize> row * floats(k) + floats(k0);
      for (let i = 0; i < count; i++, x += floats(k)) {
        memory.copy(copy + <usize> i * COPY_STRIDE, x, floats(depth));
      }
      rowTable(scratch, copy, COPY_STRIDE, count);
      let panel = panels;
      for (let column = firstColumn; column < lastColumn; column += TILE_COLUMNS) {
        linearTile(command, scratch, row, count, column, k0, depth, panel);
        panel += panelBytes;
      }
    }
  }
}

/** Widens `depth` k from `k0` on of the panels of a chunk. */
function widenPanels(
  command: LinearCommand,
  k0: i32,
  depth: i32,
  firstColumn: i32,
  lastColumn: i32,
  to: usize,
): void {
  for (let column = firstColumn; column < lastColumn; column += TILE_COLUMNS) {
    const step = <usize> column * <usize> command.k + <usize> k0 * TILE_COLUMNS;
    widenHalf(command.weight + (step << 1), to, depth * TILE_COLUMNS);
    to += floats(depth * TILE_COLUMNS);
  }
}

/**
 * One tile of the result, over `depth` k from `k0` on.
 *
 * @param scratch The addresses of its rows of x, and room for a tile that passes the end of the result.
 */
function linearTile(
  command: LinearCommand,
  scratch: usize,
  row: i32,
  rows: i32,
  column: i32,
  k0: i32,
  depth: i32,
  panel: usize,
): void {
  const outStride = floats(command.n);
  const out = command.out + <usize> row * outStride + floats(column);
  const columns = smaller(TILE_COLUMNS, command.n - column);
  const whole = rows == TILE_ROWS && columns == TILE_COLUMNS;
  const c = whole ? out : scratch + SPARE;
  const cStride = whole ? outStride : floats(TILE_COLUMNS);
  const bias = command.bias + floats(column);
  const resume = k0 > 0 || command.add;
  if (!whole && resume) copyBlock(out, outStride, c, cStride, rows, columns);
  if (k0 == 0 && command.add) addBias(bias, c, cStride);

  if (resume) tile(scratch, 1, depth, panel, c, cStride, c, cStride);
  else tile(scratch, 1, depth, panel, bias, 0, c, cStride);

  if (command.activation != Activation.none && k0 + depth == command.k) {
    activateTile(c, cStride, command.activation);
  }
  if (!whole) copyBlock(c, cStride, out, outStride, rows, columns);
}

/** Adds one bias vector to each row of a tile. */
export function addBias(bias: usize, c: usize, cStride: usize): void {
  const low = v128.load(bias), high = v128.load(bias, 16);
  for (let r = 0; r < TILE_ROWS; r++) {
    v128.store(c, f32x4.add(v128.load(c), low));
    v128.store(c, f32x4.add(v128.load(c, 16), high), 16);
    c += cStride;
  }
}

function activateTile(c: usize, cStride: usize, activation: Activation): void {
  for (let r = 0; r < TILE_ROWS; r++) {
    v128.store(c, activate(v128.load(c), activation));
    v128.store(c, activate(v128.load(c, 16), activation), 16);
    c += cStride;
  }
}
