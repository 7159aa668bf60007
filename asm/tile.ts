// The register tile that matrix products, convolutions and attention are made of.
//
// 6 rows × 8 columns of C stay in 12 vector registers; 2 more hold a row of B and 1 an element of A,
// which leaves one of the 16 of x86-64. B is packed in panels of 8 columns, [k][8]; A is read where it
// lies, through a table of row addresses: 6 for each tap. A matrix product has one tap; a convolution
// has one for each kernel position, and its rows are the pixels that the position falls on.

import { fma } from "./simd";

/** Rows of a tile. */
export const TILE_ROWS: i32 = 6;
/** Columns of a tile, and of a panel of B. */
export const TILE_COLUMNS: i32 = 8;
/** Bytes of one k of a float32 panel. */
export const PANEL_STEP: usize = 32;

/**
 * C (6 × 8) = start (6 × 8) + Σ over taps and k of A·B.
 *
 * @param rows Table of row addresses, 6 × u32 for each tap.
 * @param depth Number of k in each tap.
 * @param b Panel, taps · depth steps.
 * @param start, startStride What C begins with: a bias with stride 0, or C itself.
 */
export function tile(
  rows: usize,
  taps: i32,
  depth: i32,
  b: usize,
  start: usize,
  startStride: usize,
  c: usize,
  cStride: usize,
): void {
  let s = start;
  let c00 = v128.load(s), c01 = v128.load(s, 16);
  s += startStride;
  let c10 = v128.load(s), c11 = v128.load(s, 16);
  s += startStride;
  let c20 = v128.load(s), c21 = v128.load(s, 16);
  s += startStride;
  let c30 = v128.load(s), c31 = v128.load(s, 16);
  s += startStride;
  let c40 = v128.load(s), c41 = v128.load(s, 16);
  s += startStride;
  let c50 = v128.load(s), c51 = v128.load(s, 16);

  for (const lastRow = rows + <usize> taps * 24; rows < lastRow; rows += 24) {
    let a0 = <usize> load<u32>(rows);
    let a1 = <usize> load<u32>(rows, 4);
    let a2 = <usize> load<u32>(rows, 8);
    let a3 = <usize> load<u32>(rows, 12);
    let a4 = <usize> load<u32>(rows, 16);
    let a5 = <usize> load<u32>(rows, 20);
    const end = b + <usize> depth * PANEL_STEP;

    // Without fused multiply-add two steps a turn are faster; with it they would spill.
    if (!ASC_FEATURE_RELAXED_SIMD) {
      while (b + PANEL_STEP < end) {
        const b0 = v128.load(b), b1 = v128.load(b, 16);
        const x0 = v128.load32_splat(a0);
        c00 = fma(x0, b0, c00), c01 = fma(x0, b1, c01);
        const x1 = v128.load32_splat(a1);
        c10 = fma(x1, b0, c10), c11 = fma(x1, b1, c11);
        const x2 = v128.load32_splat(a2);
        c20 = fma(x2, b0, c20), c21 = fma(x2, b1, c21);
        const x3 = v128.load32_splat(a3);
        c30 = fma(x3, b0, c30), c31 = fma(x3, b1, c31);
        const x4 = v128.load32_splat(a4);
        c40 = fma(x4, b0, c40), c41 = fma(x4, b1, c41);
        const x5 = v128.load32_splat(a5);
        c50 = fma(x5, b0, c50), c51 = fma(x5, b1, c51);

        const d0 = v128.load(b, 32), d1 = v128.load(b, 48);
        const y0 = v128.load32_splat(a0, 4);
        c00 = fma(y0, d0, c00), c01 = fma(y0, d1, c01);
        const y1 = v128.load32_splat(a1, 4);
        c10 = fma(y1, d0, c10), c11 = fma(y1, d1, c11);
        const y2 = v128.load32_splat(a2, 4);
        c20 = fma(y2, d0, c20), c21 = fma(y2, d1, c21);
        const y3 = v128.load32_splat(a3, 4);
        c30 = fma(y3, d0, c30), c31 = fma(y3, d1, c31);
        const y4 = v128.load32_splat(a4, 4);
        c40 = fma(y4, d0, c40), c41 = fma(y4, d1, c41);
        const y5 = v128.load32_splat(a5, 4);
        c50 = fma(y5, d0, c50), c51 = fma(y5, d1, c51);

        b += 2 * PANEL_STEP;
        a0 += 8, a1 += 8, a2 += 8, a3 += 8, a4 += 8, a5 += 8;
      }
    }
    while (b < end) {
      const b0 = v128.load(b), b1 = v128.load(b, 16);
      const x0 = v128.load32_splat(a0);
      c00 = fma(x0, b0, c00), c01 = fma(x0, b1, c01);
      const x1 = v128.load32_splat(a1);
      c10 = fma(x1, b0, c10), c11 = fma(x1, b1, c11);
      const x2 = v128.load32_splat(a2);
      c20 = fma(x2, b0, c20), c21 = fma(x2, b1, c21);
      const x3 = v128.load32_splat(a3);
      c30 = fma(x3, b0, c30), c31 = fma(x3, b1, c31);
      const x4 = v128.load32_splat(a4);
      c40 = fma(x4, b0, c40), c41 = fma(x4, b1, c41);
      const x5 = v128.load32_splat(a5);
      c50 = fma(x5, b0, c50), c51 = fma(x5, b1, c51);
      b += PANEL_STEP;
      a0 += 4, a1 += 4, a2 += 4, a3 += 4, a4 += 4, a5 += 4;
    }
  }

  v128.store(c, c00), v128.store(c, c01, 16);
  c += cStride;
  v128.store(c, c10), v128.store(c, c11, 16);
  c += cStride;
  v128.store(c, c20), v128.store(c, c21, 16);
  c += cStride;
  v128.store(c, c30), v128.store(c, c31, 16);
  c += cStride;
  v128.store(c, c40), v128.store(c, c41, 16);
  c += cStride;
  v128.store(c, c50), v128.store(c, c51, 16);
}

/** Copies a block of `rows` × `columns` floats. */
export function copyBlock(
  from: usize,
  fromStride: usize,
  to: usize,
  toStride: usize,
  rows: i32,
  columns: i32,
): void {
  for (let r = 0; r < rows; r++) {
    for (let x: usize = 0; x < <usize> columns << 2; x += 4) {
      store<f32>(to + x, load<f32>(from + x));
    }
    from += fromStride, to += toStride;
  }
}

/** Fills a table of 6 row addresses; rows past the last repeat it, and their results are dropped. */
// @ts-ignore: decorator
@inline
export function rowTable(table: usize, first: usize, stride: usize, rows: i32): void {
  for (let r = 0; r < TILE_ROWS; r++) {
    const row = r < rows ? r : rows - 1;
    store<u32>(table + (<usize> r << 2), <u32> (first + <usize> row * stride));
  }
}
