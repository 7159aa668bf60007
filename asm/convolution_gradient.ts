// Gradients of convolutions by their weights, the weights of adjoint convolutions, and the adjoints of
// strides and of doubling.

import { ceilDiv, floats, smaller, splat } from "./simd";
import { claim, Control } from "./threads";
import { rowTable, tile, TILE_COLUMNS, TILE_ROWS } from "./tile";

// weight is (outChannels, inChannels, taps); out is panels [n / 8][taps][k][8], outBias is (n / 8 · 8)
@unmanaged
export class PackConvCommand {
  opcode: i32;
  weight: usize;
  /** Null for zeros. */
  bias: usize;
  out: usize;
  outBias: usize;
  /** A pixel of k zeros, for the padding. */
  zero: usize;
  /** Channels of the result. */
  n: i32;
  /** Channels of the argument. */
  k: i32;
  taps: i32;
  /** Whether n are the weight's inChannels; then its rows and columns are turned round. */
  transposed: bool;
}

/** Packs a weight into panels. `packConv` of tests/backends/naive/convolution_gradient.ts. */
export function packConv(command: PackConvCommand, control: Control): void {
  const n = command.n, k = command.k, taps = command.taps, panels = ceilDiv(n, TILE_COLUMNS);
  const nStride = floats(command.transposed ? taps : k * taps);
  const kStride = floats(command.transposed ? n * taps : taps);
  for (let panel = claim(control); panel < panels; panel = claim(control)) {
    const first = panel * TILE_COLUMNS, width = smaller(TILE_COLUMNS, n - first);
    let out = command.out + <usize> first * floats(k * taps);
    const from = command.weight + <usize> first * nStride;
    for (let tap = 0; tap < taps; tap++) {
      let at = from + floats(command.transposed ? taps - 1 - tap : tap);
      for (let i = 0; i < k; i++, at += kStride) {
        for (let c = 0; c < TILE_COLUMNS; c++, out += 4) {
          store<f32>(out, c < width ? load<f32>(at + <usize> c * nStride) : 0);
        }
      }
    }
    for (let c = first; c < first + TILE_COLUMNS; c++) {
      const filled = command.bias != 0 && c < n;
      store<f32>(command.outBias + floats(c), filled ? load<f32>(command.bias + floats(c)) : 0);
    }
    if (panel == 0) memory.fill(command.zero, 0, floats(k));
  }
}

/** Both passes of the gradient by a weight. */
// x is (batch, height, width, inChannels), dy is (pixels, outChannels) with pixels = batch · outHeight ·
// outWidth, partial is (slices, ⌈outChannels / 6⌉ · 6, taps, ⌈inChannels / 8⌉ · 8), out is (outChannels,
// inChannels, taps)
@unmanaged
export class Conv2dWeightGradientCommand {
  opcode: i32;
  x: usize;
  dy: usize;
  partial: usize;
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
  /** Pixels of the result in a slice. */
  slicePixels: i32;
  slices: i32;
  /** Whether x was doubled in height and width first. */
  upsample: bool;
}

/** Pixels that a pass goes through: a panel of 8 channels of them (16 KiB) stays in the first-level cache. */
const DEPTH: i32 = 512;
/** Channels of dy whose pixels of a pass (132 KiB) stay in the second-level cache. */
const GROUP: i32 = 11 * TILE_ROWS;

/** Where the parts of a thread's scratch memory begin: a row table, zeros, a panel of x, rows of dy, taps. */
const ZEROS: usize = 64;
const PANEL: usize = 128;
const ROWS: usize = PANEL + floats(DEPTH * TILE_COLUMNS);
const TAPS: usize = ROWS + floats(DEPTH * GROUP);

/** Bytes of scratch. */
export function conv2dWeightGradientScratch(command: Conv2dWeightGradientCommand): usize {
  return TAPS + floats(DEPTH * command.kernelSize * command.kernelSize);
}

/**
 * First pass: products dyᵀ · x for each tap, over slices of the pixels that do not depend on threads.
 * `conv2dWeightGradient` of tests/backends/naive/convolution_gradient.ts.
 */
export function conv2dWeightGradient(
  command: Conv2dWeightGradientCommand,
  control: Control,
  scratch: usize,
): void {
  const pixels = command.batch * command.outHeight * command.outWidth;
  memory.fill(scratch + ZEROS, 0, 32);
  for (let slice = claim(control); slice < command.slices; slice = claim(control)) {
    const first = slice * command.slicePixels;
    const last = smaller(pixels, first + command.slicePixels);
    for (let pixel = first; pixel < last; pixel += DEPTH) {
      const depth = smaller(DEPTH, last - pixel);
      tapAddresses(command, pixel, depth, scratch + TAPS);
      for (let group = 0; group < command.outChannels; group += GROUP) {
        const count = smaller(GROUP, command.outChannels - group);
        turnRows(command, pixel, depth, group, count, scratch + ROWS);
        multiplyPanels(command, slice, depth, group, count, pixel > first, scratch);
      }
    }
  }
}

/** Addresses of the pixels of x under each tap of `count` pixels of the result, null outside: (taps, DEPTH). */
function tapAddresses(
  command: Conv2dWeightGradientCommand,
  pixel: i32,
  count: i32,
  table: usize,
): void {
  const size = command.kernelSize, area = command.outHeight * command.outWidth;
  const pixelBytes = floats(command.inChannels), doubling = <i32> command.upsample;
  const height = command.height << doubling, width = command.width << doubling;
  // A stride of 2 pads below and to the right only.
  const padding = command.stride == 1 ? size / 2 : 0;
  for (let i = 0; i < count; i++, table += 4) {
    const index = pixel + i;
    const y = index % area / command.outWidth * command.stride - padding;
    const x = index % command.outWidth * command.stride - padding;
    const image = <usize> (index / area * command.height * command.width);
    let at = table;
    for (let v = y; v < y + size; v++) {
      for (let u = x; u < x + size; u++, at += floats(DEPTH)) {
        let address: usize = 0;
        if (v >= 0 && v < height && u >= 0 && u < width) {
          const inside = image + <usize> ((v >> doubling) * command.width + (u >> doubling));
          address = command.x + inside * pixelBytes;
        }
        store<u32>(at, <u32> address);
      }
    }
  }
}

/** Channels `group …` of dy, each a row of DEPTH pixels. */
function turnRows(
  command: Conv2dWeightGradientCommand,
  pixel: i32,
  depth: i32,
  group: i32,
  count: i32,
  rows: usize,
): void {
  const stride = floats(command.outChannels);
  let from = command.dy + <usize> pixel * stride + floats(group);
  for (let i = 0; i < depth; i++, from += stride, rows += 4) {
    for (let c = 0; c < count; c++) {
      store<f32>(rows + floats(c * DEPTH), load<f32>(from + floats(c)));
    }
  }
}

/** Adds the products of all panels of x with a group of channels of dy to their part of `partial`. */
function multiplyPanels(
  command: Conv2dWeightGradientCommand,
  slice: i32,
  depth: i32,
  group: i32,
  count: i32,
  resume: bool,
  scratch: usize,
): void {
  const taps = command.kernelSize * command.kernelSize;
  const filled = ceilDiv(command.inChannels, TILE_COLUMNS) * TILE_COLUMNS;
  const rowBytes = floats(taps * filled), panel = scratch + PANEL;
  const rows = ceilDiv(command.outChannels, TILE_ROWS) * TILE_ROWS;
  const partial = command.partial + <usize> (slice * rows + group) * rowBytes;
  for (let tap = 0; tap < taps; tap++) {
    const addresses = scratch + TAPS + floats(tap * DEPTH);
    for (let channel = 0; channel < filled; channel += TILE_COLUMNS) {
      const width = smaller(TILE_COLUMNS, command.inChannels - channel);
      gatherPanel(addresses, depth, floats(channel), width, panel);
      const columns = partial + floats(tap * filled + channel);
      for (let r = 0; r < count; r += TILE_ROWS) {
        const from = scratch + ROWS + floats(r * DEPTH), c = columns + <usize> r * rowBytes;
        rowTable(scratch, from, floats(DEPTH), smaller(TILE_ROWS, count - r));
        if (resume) tile(scratch, 1, depth, panel, c, rowBytes, c, rowBytes);
        else tile(scratch, 1, depth, panel, scratch + ZEROS, 0, c, rowBytes);
      }
    }
  }
}

/** Eight channels of each pixel, zeros beyond the last and outside. */
function gatherPanel(addresses: usize, count: i32, offset: usize, width: i32, panel: usize): void {
  const zeros = splat(0);
  for (let i = 0; i < count; i++, panel += 32) {
    const pixel = <usize> load<u32>(addresses + floats(i)), from = pixel + offset;
    if (pixel != 0 && width == TILE_COLUMNS) {
      v128.store(panel, v128.load(from));
      v128.store(panel, v128.load(from, 16), 16);
      continue;
    }
    v128.store(panel, zeros);
    v128.store(panel, zeros, 16);
    if (pixel == 0) continue;
    for (let c = 0; c < width; c++) store<f32>(panel + floats(c), load<f32>(from + floats(c)));
  }
}

/** Second pass: the sum of the slices, in the order of the weight. */
export function conv2dWeightGradientSum(
  command: Conv2dWeightGradientCommand,
  control: Control,
): void {
  const taps = command.kernelSize * command.kernelSize, channels = command.inChannels;
  const filled = ceilDiv(channels, TILE_COLUMNS) * TILE_COLUMNS;
  const rows = ceilDiv(command.outChannels, TILE_ROWS) * TILE_ROWS;
  const sliceBytes = floats(rows * taps * filled);
  for (let o = claim(control); o < command.outChannels; o = claim(control)) {
    const row = command.partial + floats(o * taps * filled);
    const out = command.out + floats(o * channels * taps);
    for (let tap = 0; tap < taps; tap++) {
      for (let i = 0; i < channels; i++) {
        let at = row + floats(tap * filled + i), sum: f32 = 0;
        for (let slice = 0; slice < command.slices; slice++, at += sliceBytes) {
          sum += load<f32>(at);
        }
        store<f32>(out + floats(i * taps + tap), sum);
      }
    }
  }
}

/** What moves pixels. */
// The larger image is (batch, height, width, channels), the smaller one (batch, height / 2, width / 2,
// channels), rounded down
@unmanaged
export class PixelsCommand {
  opcode: i32;
  x: usize;
  out: usize;
  batch: i32;
  height: i32;
  width: i32;
  channels: i32;
}

/** Pixels of x at odd places of out. `dilate` of tests/backends/naive/convolution_gradient.ts. */
export function dilate(command: PixelsCommand, control: Control): void {
  const height = command.height, width = command.width, bytes = floats(command.channels);
  const rows = command.batch * height, rowBytes = <usize> width * bytes;
  for (let row = claim(control); row < rows; row = claim(control)) {
    const image = row / height, y = row % height;
    const out = command.out + <usize> row * rowBytes;
    memory.fill(out, 0, rowBytes);
    if (y % 2 == 0) continue;
    let from = command.x + <usize> ((image * (height / 2) + y / 2) * (width / 2)) * bytes;
    for (let x = 1; x < width; x += 2, from += bytes) memory.copy(out + <usize> x * bytes, from, bytes);
  }
}

/** Sums of 2×2 pixels of x. `sumBlocks` of tests/backends/naive/convolution_gradient.ts. */
export function sumBlocks(command: PixelsCommand, control: Control): void {
  const rows = command.batch * (command.height / 2), width = command.width / 2;
  const bytes = floats(command.channels), vectors = floats(command.channels & ~3);
  const below = <usize> command.width * bytes;
  for (let row = claim(control); row < rows; row = claim(control)) {
    let x = command.x + <usize> (2 * row) * below, out = command.out + <usize> (row * width) * bytes;
    for (let i = 0; i < width; i++, x += 2 * bytes, out += bytes) {
      let c: usize = 0;
      for (; c < vectors; c += 16) {
        const at = x + c, next = at + bytes;
        const upper = f32x4.add(v128.load(at), v128.load(next));
        const lower = f32x4.add(v128.load(at + below), v128.load(next + below));
        v128.store(out + c, f32x4.add(upper, lower));
      }
      for (; c < bytes; c += 4) {
        const at = x + c, next = at + bytes;
        const upper = load<f32>(at) + load<f32>(next);
        store<f32>(out + c, upper + (load<f32>(at + below) + load<f32>(next + below)));
      }
    }
  }
}
