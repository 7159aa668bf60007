// A head's rows as panels of the register tile.

import { floats, smaller } from "./simd";
import { TILE_COLUMNS } from "./tile";

/** Packs (rows, dim) into [rows / 8][dim][8], zero past the end: for products over dim. */
export function packRows(from: usize, stride: usize, rows: i32, dim: i32, to: usize): void {
  for (let row = 0; row < rows; row += TILE_COLUMNS) {
    for (let j = 0; j < TILE_COLUMNS; j++) {
      const source = from + <usize> (row + j) * stride;
      let at = to + floats(j);
      if (row + j < rows) {
        for (let d = 0; d < dim; d++, at += 32) store<f32>(at, load<f32>(source + floats(d)));
      } else {
        for (let d = 0; d < dim; d++, at += 32) store<f32>(at, 0);
      }
    }
    to += floats(dim * TILE_COLUMNS);
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
