// 3×3 convolution of stride 1 by Winograd's minimal filtering F(4×4, 3×3) (Lavin and Gray, arXiv
// 1509.09308): 36 products instead of 144 for 4×4 pixels of the result.
//
// Polynomials are interpolated at 0, ±P, ±Q and ∞ with P = 3/4 and Q = 3/2: the rounding error is twice
// that of the direct sum, a third of that with the usual ±1 and ±2 (Barabasz et al., arXiv 1803.10986).
//
// x is cut into tiles of 6×6 pixels that overlap by two. Each is transformed to 36 numbers a channel;
// these make 36 matrix products with the transformed weight; their results are transformed back.
//
// The weight is packed in panels [36][outChannels / 8][inChannels][8].

import { ceilDiv, floats, fma, smaller, splat } from "./simd";
import { claim, Control } from "./threads";
import { rowTable, tile, TILE_COLUMNS, TILE_ROWS } from "./tile";

// x is (batch, height, width, inChannels), out is (batch, outHeight, outWidth, outChannels), bias is
// (outChannels)
@unmanaged
export class WinogradCommand {
  opcode: i32;
  x: usize;
  /** A pixel of zeros, for the padding. */
  zero: usize;
  weight: usize;
  bias: usize;
  out: usize;
  batch: i32;
  height: i32;
  width: i32;
  /** A multiple of 4. */
  inChannels: i32;
  outHeight: i32;
  outWidth: i32;
  /** A multiple of 8. */
  outChannels: i32;
  /** Whether x is doubled in height and width first. */
  upsample: bool;
  /** Whether `out` is added to. */
  add: bool;
}

/** Side of a tile of x, and of its part of the result. */
const IN: i32 = 6;
const OUT: i32 = 4;
/** Points of a tile, each of which has a matrix product. */
const POINTS: i32 = IN * IN;
/** The points of the interpolation and their squares. */
const P: f32 = 0.75, P2: f32 = 0.5625, Q: f32 = 1.5, Q2: f32 = 2.25;
/** Tiles of a chunk: whole register tiles of rows. */
const CHUNK_TILES: i32 = 4 * TILE_ROWS;

/** Where the parts of a thread's scratch memory begin. */
const ROW_TABLE: usize = 0;
/** Addresses of the pixels of a tile. */
const PIXELS: usize = 64;
/** A tile between its two passes, four channels. */
const BETWEEN: usize = 256;
/** Eight zeros, which products begin with. */
const ZEROS: usize = 832;
/** Products of one panel: (points, tiles, 8). */
const PRODUCTS: usize = 896;
/** Transformed tiles: (points, tiles, inChannels). */
const TRANSFORMED: usize = PRODUCTS + floats(POINTS * CHUNK_TILES * TILE_COLUMNS);

/** Bytes of scratch. */
export function winogradScratch(command: WinogradCommand): usize {
  return TRANSFORMED + floats(POINTS * CHUNK_TILES * command.inChannels);
}

/** out (+)= x convolved with the weight, + bias. `conv2d` of tests/backends/naive/convolution.ts. */
export function winograd(command: WinogradCommand, control: Control, scratch: usize): void {
  const tiles = command.batch * ceilDiv(command.outHeight, OUT) * ceilDiv(command.outWidth, OUT);
  const chunks = ceilDiv(tiles, CHUNK_TILES);
  memory.fill(scratch + ZEROS, 0, 32);
  for (let chunk = claim(control); chunk < chunks; chunk = claim(control)) {
    const first = chunk * CHUNK_TILES, count = smaller(CHUNK_TILES, tiles - first);
    for (let t = 0; t < count; t++) transformTile(command, first + t, t, scratch);
    for (let channel = 0; channel < command.outChannels; channel += TILE_COLUMNS) {
      multiplyPanel(command, channel, count, scratch);
      for (let t = 0; t < count; t++) finishTile(command, first + t, t, channel, scratch);
    }
  }
}

/** Transforms tile `index` of x to row `t` of the 36 matrices. */
function transformTile(command: WinogradCommand, index: i32, t: i32, scratch: usize): void {
  pixelTable(command, index, scratch + PIXELS);
  const channels = command.inChannels;
  const plane = floats(CHUNK_TILES * channels);
  let to = scratch + TRANSFORMED + <usize> t * floats(channels);
  for (let c: usize = 0; c < floats(channels); c += 16, to += 16) {
    for (let j = 0; j < IN; j++) {
      const pixels = scratch + PIXELS + floats(j);
      transformInput(
        v128.load(<usize> load<u32>(pixels) + c),
        v128.load(<usize> load<u32>(pixels, 24) + c),
        v128.load(<usize> load<u32>(pixels, 48) + c),
        v128.load(<usize> load<u32>(pixels, 72) + c),
        v128.load(<usize> load<u32>(pixels, 96) + c),
        v128.load(<usize> load<u32>(pixels, 120) + c),
        scratch + BETWEEN + <usize> j * 16,
        IN * 16,
      );
    }
    for (let i = 0; i < IN; i++) {
      const row = scratch + BETWEEN + <usize> i * IN * 16;
      transformInput(
        v128.load(row),
        v128.load(row, 16),
        v128.load(row, 32),
        v128.load(row, 48),
        v128.load(row, 64),
        v128.load(row, 80),
        to + <usize> (i * IN) * plane,
        plane,
      );
    }
  }
}

/** Addresses of the 6×6 pixels of a tile, row by row; a pixel of zeros stands for those outside. */
function pixelTable(command: WinogradCommand, index: i32, table: usize): void {
  const across = ceilDiv(command.outWidth, OUT);
  const perImage = across * ceilDiv(command.outHeight, OUT);
  const top = index % perImage / across * OUT - 1, left = index % across * OUT - 1;
  const pixelBytes = floats(command.inChannels), upsample = <i32> command.upsample;
  const pixel = index / perImage * command.height * command.width;
  const image = command.x + <usize> pixel * pixelBytes;
  for (let i = 0; i < IN; i++) {
    for (let j = 0; j < IN; j++, table += 4) {
      const y = top + i, x = left + j;
      let address = command.zero;
      if (y >= 0 && y < command.outHeight && x >= 0 && x < command.outWidth) {
        address = image + <usize> ((y >> upsample) * command.width + (x >> upsample)) * pixelBytes;
      }
      store<u32>(table, <u32> address);
    }
  }
}

/** One pass of the input transform, Bᵀ·d, for six numbers of four channels. */
// @ts-ignore: decorator
@inline
function transformInput(
  d0: v128,
  d1: v128,
  d2: v128,
  d3: v128,
  d4: v128,
  d5: v128,
  to: usize,
  stride: usize,
): void {
  const even = fma(d2, splat(-Q2), d4), odd = f32x4.mul(fma(d1, splat(-Q2), d3), splat(P));
  const outerEven = fma(d2, splat(-P2), d4);
  const outerOdd = f32x4.mul(fma(d1, splat(-P2), d3), splat(Q));
  v128.store(to, fma(d0, splat(P2 * Q2), fma(d2, splat(-P2 - Q2), d4)));
  to += stride;
  v128.store(to, f32x4.add(even, odd));
  to += stride;
  v128.store(to, f32x4.sub(even, odd));
  to += stride;
  v128.store(to, f32x4.add(outerEven, outerOdd));
  to += stride;
  v128.store(to, f32x4.sub(outerEven, outerOdd));
  to += stride;
  v128.store(to, fma(d1, splat(P2 * Q2), fma(d3, splat(-P2 - Q2), d5)));
}

/** The 36 products of all tiles with eight channels of the result. */
function multiplyPanel(command: WinogradCommand, channel: i32, count: i32, scratch: usize): void {
  const channels = command.inChannels;
  const panelBytes = floats(TILE_COLUMNS * channels);
  const pointBytes = panelBytes * (command.outChannels / TILE_COLUMNS);
  const rowBytes = floats(channels), table = scratch + ROW_TABLE, zeros = scratch + ZEROS;
  for (let point = 0; point < POINTS; point++) {
    const ofPoint = command.weight + <usize> point * pointBytes;
    const panel = ofPoint + <usize> (channel / TILE_COLUMNS) * panelBytes;
    const rows = scratch + TRANSFORMED + <usize> (point * CHUNK_TILES) * rowBytes;
    const products = scratch + PRODUCTS + floats(point * CHUNK_TILES * TILE_COLUMNS);
    for (let t = 0; t < count; t += TILE_ROWS) {
      rowTable(table, rows + <usize> t * rowBytes, rowBytes, smaller(TILE_ROWS, count - t));
      tile(table, 1, channels, panel, zeros, 0, products + floats(t * TILE_COLUMNS), 32);
    }
  }
}

/** Transforms the products of a tile back, and adds the bias. */
function finishTile(
  command: WinogradCommand,
  index: i32,
  t: i32,
  channel: i32,
  scratch: usize,
): void {
  const across = ceilDiv(command.outWidth, OUT);
  const perImage = across * ceilDiv(command.outHeight, OUT);
  const top = index % perImage / across * OUT, left = index % across * OUT;
  const rows = smaller(OUT, command.outHeight - top);
  const columns = smaller(OUT, command.outWidth - left);
  const pixelBytes = floats(command.outChannels);
  const corner = (index / perImage * command.outHeight + top) * command.outWidth + left;
  const plane = floats(CHUNK_TILES * TILE_COLUMNS), between = scratch + BETWEEN;
  for (let half: usize = 0; half < 32; half += 16) {
    const products = scratch + PRODUCTS + floats(t * TILE_COLUMNS) + half;
    for (let j = 0; j < IN; j++) {
      transformOutput(products + <usize> j * plane, IN * plane, between + <usize> j * 16, IN * 16);
    }
    const bias = v128.load(command.bias + floats(channel) + half);
    let out = command.out + <usize> corner * pixelBytes + floats(channel) + half;
    for (let i = 0; i < rows; i++, out += <usize> command.outWidth * pixelBytes) {
      const row = between + <usize> i * IN * 16;
      transformOutput(row, 16, row, 16);
      for (let j: usize = 0; j < <usize> columns; j++) {
        const at = out + j * pixelBytes;
        let value = f32x4.add(v128.load(row + j * 16), bias);
        if (command.add) value = f32x4.add(value, v128.load(at));
        v128.store(at, value);
      }
    }
  }
}

/** One pass of the output transform, Aᵀ·m, from six numbers of four channels to four. */
// @ts-ignore: decorator
@inline
function transformOutput(from: usize, stride: usize, to: usize, toStride: usize): void {
  const m0 = v128.load(from), m1 = v128.load(from + stride), m2 = v128.load(from + 2 * stride);
  const m3 = v128.load(from + 3 * stride), m4 = v128.load(from + 4 * stride);
  const m5 = v128.load(from + 5 * stride);
  const sum12 = f32x4.add(m1, m2), difference12 = f32x4.sub(m1, m2);
  const sum34 = f32x4.add(m3, m4), difference34 = f32x4.sub(m3, m4);
  v128.store(to, f32x4.add(m0, f32x4.add(sum12, sum34)));
  to += toStride;
  v128.store(to, fma(difference34, splat(Q), f32x4.mul(difference12, splat(P))));
  to += toStride;
  v128.store(to, fma(sum34, splat(Q2), f32x4.mul(sum12, splat(P2))));
  to += toStride;
  v128.store(to, fma(difference34, splat(Q2 * Q), fma(difference12, splat(P2 * P), m5)));
}

// G: rows (1, x, x²) / Π (x − other points) for each point x.
const G: usize = memory.data<f64>([
  0.7901234567901234, 0, 0,
  -0.5267489711934157, -0.3950617283950617, -0.2962962962962963,
  -0.5267489711934157, 0.3950617283950617, -0.2962962962962963,
  0.13168724279835392, 0.19753086419753085, 0.2962962962962963,
  0.13168724279835392, -0.19753086419753085, 0.2962962962962963,
  0, 0, 1,
]);

/**
 * Transforms a weight from the panels of the direct convolution, [outChannels / 8][9][inChannels][8], to
 * those of this one: G·g·Gᵀ, in float64.
 */
export function packWinograd(from: usize, outChannels: i32, inChannels: i32, to: usize): void {
  const tapBytes = floats(inChannels * TILE_COLUMNS), pointBytes = floats(outChannels * inChannels);
  for (let o = 0; o < outChannels; o++) {
    const column = floats(o % TILE_COLUMNS), panel = o / TILE_COLUMNS;
    for (let c = 0; c < inChannels; c++) {
      const offset = floats(c * TILE_COLUMNS) + column;
      const kernel = from + <usize> (panel * 9) * tapBytes + offset;
      const result = to + <usize> panel * tapBytes + offset;
      for (let i = 0; i < IN; i++) {
        for (let j = 0; j < IN; j++) {
          const at = result + <usize> (i * IN + j) * pointBytes;
          store<f32>(at, <f32> weightPoint(kernel, tapBytes, i, j));
        }
      }
    }
  }
}

/** Element (i, j) of G·g·Gᵀ for a kernel g (3, 3), whose elements are `stride` bytes apart. */
function weightPoint(kernel: usize, stride: usize, i: i32, j: i32): f64 {
  let sum: f64 = 0;
  for (let a = 0; a < 3; a++) {
    let row: f64 = 0;
    for (let b = 0; b < 3; b++) {
      const g = load<f32>(kernel + <usize> (a * 3 + b) * stride);
      row += <f64> g * load<f64>(G + (<usize> (j * 3 + b) << 3));
    }
    sum += row * load<f64>(G + (<usize> (i * 3 + a) << 3));
  }
  return sum;
}
