// 2-D convolution of (batch, height, width, channels) images, 1×1 or 3×3, without an im2col copy: the
// row table of the tile has one tap for each kernel position, which points at the pixels under it.
//
// The weight is packed in panels [outChannels / 8][kernel position][inChannels][8].
//
// winograd.ts has the faster way for 3×3 and stride 1.

import { ceilDiv, floats, smaller } from "./simd";
import { claim, Control } from "./threads";
import { addBias } from "./linear";
import { copyBlock, tile, TILE_COLUMNS, TILE_ROWS } from "./tile";

// x is (batch, height, width, inChannels), out is (batch, outHeight, outWidth, outChannels), bias is
// (outChannels)
@unmanaged
export class Conv2dCommand {
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
  inChannels: i32;
  outHeight: i32;
  outWidth: i32;
  outChannels: i32;
  kernelSize: i32;
  stride: i32;
  /** Whether x is doubled in height and width first. */
  upsample: bool;
  /** Whether `out` is added to. */
  add: bool;
}

/** Result pixels of a chunk. */
const CHUNK_PIXELS: i32 = 48;
/** Panels that a row table serves before the next is made. */
const CHUNK_CHANNELS: i32 = 128;

/** Bytes of scratch: a tile and the row tables of a chunk (9 taps). */
export function conv2dScratch(_command: Conv2dCommand): usize {
  return 256 + <usize> (CHUNK_PIXELS / TILE_ROWS) * 9 * 24;
}

/** out (+)= x convolved with the weight, + bias. `conv2d` of tests/backends/naive/convolution.ts. */
export function conv2d(command: Conv2dCommand, control: Control, scratch: usize): void {
  const pixels = command.batch * command.outHeight * command.outWidth;
  const pixelChunks = ceilDiv(pixels, CHUNK_PIXELS);
  const chunks = pixelChunks * ceilDiv(command.outChannels, CHUNK_CHANNELS);
  const taps = command.kernelSize * command.kernelSize;
  const tables = scratch + 256;
  for (let chunk = claim(control); chunk < chunks; chunk = claim(control)) {
    const first = chunk % pixelChunks * CHUNK_PIXELS;
    const count = smaller(CHUNK_PIXELS, pixels - first);
    for (let p = 0; p < count; p += TILE_ROWS) {
      tapTable(
        command,
        tables + <usize> (p / TILE_ROWS * taps) * 24,
        first + p,
        smaller(TILE_ROWS, count - p),
      );
    }
    const firstChannel = chunk / pixelChunks * CHUNK_CHANNELS;
    const lastChannel = smaller(command.outChannels, firstChannel + CHUNK_CHANNELS);
    for (let channel = firstChannel; channel < lastChannel; channel += TILE_COLUMNS) {
      for (let p = 0; p < count; p += TILE_ROWS) {
        const table = tables + <usize> (p / TILE_ROWS * taps) * 24;
        convTile(command, table, taps, first + p, smaller(TILE_ROWS, count - p), channel, scratch);
      }
    }
  }
}

/** Addresses of the pixels under each kernel position, for 6 result pixels. */
function tapTable(command: Conv2dCommand, table: usize, pixel: i32, count: i32): void {
  const size = command.kernelSize, area = command.outHeight * command.outWidth;
  const pixelBytes = floats(command.inChannels);
  const doubling = <i32> command.upsample;
  const height = command.height << doubling, width = command.width << doubling;
  // A stride of 2 pads below and to the right only.
  const padding = command.stride == 1 ? size / 2 : 0;
  for (let r = 0; r < TILE_ROWS; r++) {
    const index = pixel + smaller(r, count - 1);
    const image = index / area, y = index % area / command.outWidth, x = index % command.outWidth;
    const base = command.x + <usize> (image * command.height * command.width) * pixelBytes;
    for (let tap = 0; tap < size * size; tap++) {
      const v = y * command.stride + tap / size - padding,
        u = x * command.stride + tap % size - padding;
      let address = command.zero;
      if (v >= 0 && v < height && u >= 0 && u < width) {
        address = base +
          <usize> ((v >> doubling) * command.width + (u >> doubling)) * pixelBytes;
      }
      store<u32>(table + <usize> (tap * TILE_ROWS + r) * 4, <u32> address);
    }
  }
}

function convTile(
  command: Conv2dCommand,
  table: usize,
  taps: i32,
  pixel: i32,
  rows: i32,
  channel: i32,
  scratch: usize,
): void {
  const outStride = floats(command.outChannels);
  const out = command.out + <usize> pixel * outStride + floats(channel);
  const columns = smaller(TILE_COLUMNS, command.outChannels - channel);
  const panel = command.weight + <usize> channel * floats(taps * command.inChannels);
  const bias = command.bias + floats(channel);
  const whole = rows == TILE_ROWS && columns == TILE_COLUMNS;
  const c = whole ? out : scratch;
  const cStride = whole ? outStride : floats(TILE_COLUMNS);
  if (command.add) {
    if (!whole) copyBlock(out, outStride, c, cStride, rows, columns);
    addBias(bias, c, cStride);
    tile(table, taps, command.inChannels, panel, c, cStride, c, cStride);
  } else {
    tile(table, taps, command.inChannels, panel, bias, 0, c, cStride);
  }
  if (!whole) copyBlock(c, cStride, out, outStride, rows, columns);
}
