// Rows of a matrix as panels of the register tile.

import { floats, smaller, transpose4 } from "./simd";
import { TILE_COLUMNS } from "./tile";

/** Packs (rows, dim) into [rows / 8][dim][8], zero past the end: for products over dim. */
export function packRows(from: usize, stride: usize, rows: i32, dim: i32, to: usize): void {
  for (let row = 0; row < rows; row += TILE_COLUMNS) {
    packPanel(from + <usize> row * stride, stride, smaller(TILE_COLUMNS, rows - row), dim, to);
    to += floats(dim * TILE_COLUMNS);
  }
}

/** Packs up to 8 rows of `dim` floats into a panel [dim][8], zero past the end. */
export function packPanel(from: usize, stride: usize, rows: i32, dim: i32, to: usize): void {
  const whole = rows == TILE_COLUMNS ? dim & ~3 : 0;
  for (let d = 0; d < whole; d += 4, from += 16, to += 128) {
    transpose4(from, stride, to, 32);
    transpose4(from + 4 * stride, stride, to + 16, 32);
  }
  for (let d = whole; d < dim; d++, from += 4, to += 32) {
    for (let row = 0; row < TILE_COLUMNS; row++) {
      store<f32>(to + floats(row), row < rows ? load<f32>(from + <usize> row * stride) : 0);
    }
  }
}

/** Packs (rows, dim) into [dim / 8][rows][8], zero past the end: for products over rows. */
export function packColumns(from: usize, stride: usize, rows: i32, dim: i32, to: usize): void {
  for (let d = 0; d < dim; d += TILE_COLUMNS) {
    const columns = smaller(TILE_COLUMNS, dim - d);
    let source = from + floats(d);
    for (let row = 0; row < rows; row++, to += 32, source += stride) {
      if (columns == TILE_COLUMNS) {
        v128.store(to, v128.load(source));
        v128.store(to, v128.load(source, 16), 16);
      } else {
        for (let j = 0; j < TILE_COLUMNS; j++) {
          store<f32>(to + floats(j), j < columns ? load<f32>(source + floats(j)) : 0);
        }
      }
    }
  }
}
