// Linear layers: out = activation(x·Wᵀ + bias), or out += x·Wᵀ + bias.
//
// W (n, k) is packed in panels [n / 8][k][8], float32 or float16, columns past n zero.
//
// linear_q8.ts has those with int8 weights.

import { activate, Activation } from "./math";
import { ceilDiv, floats, smaller } from "./simd";
import { claim, Control } from "./threads";
import { copyBlock, PANEL_STEP, rowTable, tile, TILE_COLUMNS, TILE_ROWS } from "./tile";
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
}

/** k that a pass goes through: the panel's part (16 KiB) stays in the first-level cache. */
const DEPTH: i32 = 512;
/** Rows of a chunk: their part of x (at most 384 KiB) stays in the second-level cache. */
const CHUNK_ROWS: i32 = 192;
/** Columns of a chunk. */
const CHUNK_COLUMNS: i32 = 64;

/** Bytes of the row tables of a chunk. */
const TABLES: usize = <usize> (CHUNK_ROWS / TILE_ROWS) * 24;

/** Bytes of scratch: the row tables, a tile, and a widened panel. */
export function linearScratch(_command: LinearCommand): usize {
  return TABLES + floats(TILE_ROWS * TILE_COLUMNS) + <usize> DEPTH * PANEL_STEP;
}

/** out = activation(x·Wᵀ + bias), or out += x·Wᵀ + bias. `linear` of tests/backends/naive/linear.ts. */
export function linear(command: LinearCommand, control: Control, scratch: usize): void {
  const rowChunks = ceilDiv(command.rows, CHUNK_ROWS);
  // Equal shares in whole tiles, so that no thread waits long for the last chunk.
  const tiles = ceilDiv(command.rows, TILE_ROWS);
  const chunkRows = ceilDiv(tiles, rowChunks) * TILE_ROWS;
  const columnChunks = ceilDiv(command.n, CHUNK_COLUMNS);
  const chunks = rowChunks * columnChunks;
  for (let chunk = claim(control); chunk < chunks; chunk = claim(control)) {
    // Neighbours in time share the columns of W, which are more than the rows of x.
    const row = (chunk % rowChunks) * chunkRows;
    const column = (chunk / rowChunks) * CHUNK_COLUMNS;
    const rows = smaller(chunkRows, command.rows - row);
    if (rows > 0) linearChunk(command, row, rows, column, scratch);
  }
}

function linearChunk(
  command: LinearCommand,
  row: i32,
  rows: i32,
  firstColumn: i32,
  scratch: usize,
): void {
  const k = command.k;
  let x = command.x + <usize> row * floats(k);
  for (let r = 0; r < rows; r += TILE_ROWS, x += floats(TILE_ROWS * k)) {
    rowTable(scratch + floats(r), x, floats(k), smaller(TILE_ROWS, rows - r));
  }
  const lastColumn = smaller(command.n, firstColumn + CHUNK_COLUMNS);
  const widened = scratch + TABLES + floats(TILE_ROWS * TILE_COLUMNS);
  for (let k0 = 0; k0 < k; k0 += DEPTH) {
    const depth = smaller(DEPTH, k - k0);
    for (let column = firstColumn; column < lastColumn; column += TILE_COLUMNS) {
      const step = <usize> column * <usize> k + <usize> k0 * TILE_COLUMNS;
      let panel = command.weight + (step << (command.half ? 1 : 2));
      if (command.half) {
        widenHalf(panel, widened, depth * TILE_COLUMNS);
        panel = widened;
      }
      for (let r = 0; r < rows; r += TILE_ROWS) {
        const count = smaller(TILE_ROWS, rows - r);
        const table = scratch + floats(r), spare = scratch + TABLES;
        linearTile(command, table, row + r, count, column, k0, depth, panel, spare);
      }
    }
  }
}

/**
 * One tile of the result, over `depth` k from `k0` on.
 *
 * @param table Addresses of its rows of x.
 * @param spare Room for a tile that passes the end of the result.
 */
function linearTile(
  command: LinearCommand,
  table: usize,
  row: i32,
  rows: i32,
  column: i32,
  k0: i32,
  depth: i32,
  panel: usize,
  spare: usize,
): void {
  const outStride = floats(command.n);
  const out = command.out + <usize> row * outStride + floats(column);
  const columns = smaller(TILE_COLUMNS, command.n - column);
  const whole = rows == TILE_ROWS && columns == TILE_COLUMNS;
  const c = whole ? out : spare;
  const cStride = whole ? outStride : floats(TILE_COLUMNS);
  const bias = command.bias + floats(column);
  const resume = k0 > 0 || command.add;
  if (!whole && resume) copyBlock(out, outStride, c, cStride, rows, columns);
  if (k0 == 0 && command.add) addBias(bias, c, cStride);

  if (resume) tile(table, floats(k0), 1, depth, panel, c, cStride, c, cStride);
  else tile(table, floats(k0), 1, depth, panel, bias, 0, c, cStride);

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
