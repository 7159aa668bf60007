// Layer norms, plain and adaptive, and group norm.

import { silu4 } from "./math";
import { ceilDiv, floats, fma, smaller, splat, sumLanes } from "./simd";
import { claim, Control } from "./threads";

// x and out are (rows, columns), weight and bias are (columns)
@unmanaged
export class LayerNormCommand {
  opcode: i32;
  x: usize;
  weight: usize;
  bias: usize;
  out: usize;
  rows: i32;
  columns: i32;
  eps: f32;
}

/** Normalizes each row. `layerNorm` of tests/backends/naive/norms.ts. */
export function layerNorm(command: LayerNormCommand, control: Control): void {
  const rows = command.rows, columns = command.columns, chunks = ceilDiv(rows, NORM_ROWS);
  for (let chunk = claim(control); chunk < chunks; chunk = claim(control)) {
    const first = chunk * NORM_ROWS, last = smaller(rows, first + NORM_ROWS);
    for (let row = first; row < last; row++) {
      const x = command.x + <usize> row * floats(columns);
      const out = command.out + <usize> row * floats(columns);
      normRow(x, out, columns, command.eps, command.weight, command.bias, 0);
    }
  }
}

// x and out are (rows, columns), table is (timesteps, 2 · columns): scales, then shifts; timestep is
// (rows / rowsEach) int32
@unmanaged
export class AdaLayerNormCommand {
  opcode: i32;
  x: usize;
  table: usize;
  /** The rows of the table to use: one outside is taken as the nearest inside. */
  timestep: usize;
  out: usize;
  rows: i32;
  /** Rows that follow each other and have the same timestep. */
  rowsEach: i32;
  columns: i32;
  timesteps: i32;
  eps: f32;
}

/** Normalizes each row by factors 1 + scale. `adaLayerNorm` of tests/backends/naive/norms.ts. */
export function adaLayerNorm(command: AdaLayerNormCommand, control: Control): void {
  const rows = command.rows, columns = command.columns, chunks = ceilDiv(rows, NORM_ROWS);
  for (let chunk = claim(control); chunk < chunks; chunk = claim(control)) {
    const first = chunk * NORM_ROWS, last = smaller(rows, first + NORM_ROWS);
    for (let row = first; row < last; row++) {
      const at = <usize> row * floats(columns);
      const scales = tableRow(
        command.table,
        command.timestep + floats(row / command.rowsEach),
        command.timesteps,
        columns,
      );
      const shifts = scales + floats(columns);
      normRow(command.x + at, command.out + at, columns, command.eps, scales, shifts, 1);
    }
  }
}

/** Scales, then shifts, of the timestep that is stored at `timestep`. */
export function tableRow(table: usize, timestep: usize, timesteps: i32, columns: i32): usize {
  const row = min(max(load<i32>(timestep), 0), timesteps - 1);
  return table + <usize> row * floats(2 * columns);
}

/** Rows of a chunk. */
const NORM_ROWS: i32 = 8;

/** out = (x − mean) / sqrt(variance + eps) · (weight + offset) + bias */
function normRow(
  x: usize,
  out: usize,
  columns: i32,
  eps: f32,
  weight: usize,
  bias: usize,
  offset: f32,
): void {
  const vectors = floats(columns & ~7), end = floats(columns);
  let sum0 = splat(0), sum1 = splat(0);
  for (let i: usize = 0; i < vectors; i += 32) {
    sum0 = f32x4.add(sum0, v128.load(x + i));
    sum1 = f32x4.add(sum1, v128.load(x + i, 16));
  }
  let sum = sumLanes(f32x4.add(sum0, sum1));
  for (let i = vectors; i < end; i += 4) sum += load<f32>(x + i);
  const mean = sum / <f32> columns;

  const center = splat(mean);
  sum0 = splat(0), sum1 = splat(0);
  for (let i: usize = 0; i < vectors; i += 32) {
    const d0 = f32x4.sub(v128.load(x + i), center), d1 = f32x4.sub(v128.load(x + i, 16), center);
    sum0 = fma(d0, d0, sum0);
    sum1 = fma(d1, d1, sum1);
  }
  sum = sumLanes(f32x4.add(sum0, sum1));
  for (let i = vectors; i < end; i += 4) {
    const d = load<f32>(x + i) - mean;
    sum += d * d;
  }
  const inverse: f32 = 1 / sqrt<f32>(sum / <f32> columns + eps);

  const factor = splat(inverse), plus = splat(offset);
  for (let i: usize = 0; i < vectors; i += 16) {
    const normed = f32x4.mul(f32x4.sub(v128.load(x + i), center), factor);
    v128.store(out + i, fma(normed, f32x4.add(v128.load(weight + i), plus), v128.load(bias + i)));
  }
  for (let i = vectors; i < end; i += 4) {
    const normed = (load<f32>(x + i) - mean) * inverse;
    store<f32>(out + i, normed * (load<f32>(weight + i) + offset) + load<f32>(bias + i));
  }
}

/** Both passes of a group norm. */
// x and out are (batch, pixels, channels), sums is (batch, groupNormBlocks(pixels), 2, channels) float64,
// weight and bias are (channels)
@unmanaged
export class GroupNormCommand {
  opcode: i32;
  x: usize;
  out: usize;
  /** Sums and sums of squares over a block of pixels. */
  sums: usize;
  weight: usize;
  bias: usize;
  batch: i32;
  pixels: i32;
  channels: i32;
  groups: i32;
  eps: f32;
  /** Whether SiLU follows. */
  silu: bool;
}

/** Pixels of a block: fixed, so that sums are the same for any number of threads. */
export const BLOCK_PIXELS: i32 = 128;

/** Blocks of an image's pixels. */
export function groupNormBlocks(pixels: i32): i32 {
  return ceilDiv(pixels, BLOCK_PIXELS);
}

/**
 * First pass: sums of each channel over blocks of pixels; in float64, as mean² may dwarf the variance.
 * `groupNorm` of tests/backends/naive/norms.ts.
 */
export function groupNormSums(command: GroupNormCommand, control: Control): void {
  const channels = command.channels;
  const blocks = groupNormBlocks(command.pixels);
  const chunks = command.batch * blocks;
  for (let chunk = claim(control); chunk < chunks; chunk = claim(control)) {
    const sums = command.sums + <usize> chunk * <usize> channels * 16;
    const squares = sums + <usize> channels * 8;
    memory.fill(sums, 0, <usize> channels * 16);
    const first = chunk % blocks * BLOCK_PIXELS;
    const last = smaller(command.pixels, first + BLOCK_PIXELS);
    let x = command.x + <usize> (chunk / blocks * command.pixels + first) * floats(channels);
    for (let pixel = first; pixel < last; pixel++, x += floats(channels)) {
      let c = 0;
      for (; c + 2 <= channels; c += 2) {
        const value = f64x2.promote_low_f32x4(v128.load64_zero(x + floats(c)));
        const at = <usize> c << 3;
        v128.store(sums + at, f64x2.add(v128.load(sums + at), value));
        v128.store(squares + at, f64x2.add(v128.load(squares + at), f64x2.mul(value, value)));
      }
      if (c < channels) {
        const value = <f64> load<f32>(x + floats(c)), at = <usize> c << 3;
        store<f64>(sums + at, load<f64>(sums + at) + value);
        store<f64>(squares + at, load<f64>(squares + at) + value * value);
      }
    }
  }
}

/** Bytes of scratch: moments of a group, and a factor and a shift for each channel. */
export function groupNormScratch(command: GroupNormCommand): usize {
  return MOMENTS + floats(2 * command.channels);
}

/** Second pass: normalizes a block of pixels by factor and shift of each channel. */
export function groupNormApply(command: GroupNormCommand, control: Control, scratch: usize): void {
  const channels = command.channels;
  const blocks = groupNormBlocks(command.pixels);
  const chunks = command.batch * blocks;
  const factors = scratch + MOMENTS, shifts = factors + floats(channels);
  let prepared = -1;
  for (let chunk = claim(control); chunk < chunks; chunk = claim(control)) {
    const image = chunk / blocks;
    if (image != prepared) prepareGroups(command, image, blocks, factors, shifts);
    prepared = image;
    const first = chunk % blocks * BLOCK_PIXELS;
    const pixels = smaller(command.pixels, first + BLOCK_PIXELS) - first;
    const at = <usize> (image * command.pixels + first) * floats(channels);
    applyGroups(command, command.x + at, command.out + at, pixels, factors, shifts);
  }
}

function prepareGroups(
  command: GroupNormCommand,
  image: i32,
  blocks: i32,
  factors: usize,
  shifts: usize,
): void {
  const channels = command.channels, size = channels / command.groups, moments = factors - MOMENTS;
  const sums = command.sums + <usize> (image * blocks) * <usize> channels * 16;
  for (let group = 0; group < command.groups; group++) {
    groupMoments(sums, blocks, channels, group * size, size, command.pixels, command.eps, moments);
    const mean = load<f64>(moments), inverse = load<f64>(moments, 8);
    for (let c = group * size; c < (group + 1) * size; c++) {
      const factor = inverse * <f64> load<f32>(command.weight + floats(c));
      store<f32>(factors + floats(c), <f32> factor);
      store<f32>(
        shifts + floats(c),
        <f32> (<f64> load<f32>(command.bias + floats(c)) - mean * factor),
      );
    }
  }
}

/** Bytes of what {@link groupMoments} stores. */
export const MOMENTS: usize = 16;

/**
 * Mean and 1 / sqrt(variance + eps), float64, of channels `first …` of an image.
 *
 * @param sums Of the image's blocks.
 * @param to Receives both.
 */
export function groupMoments(
  sums: usize,
  blocks: i32,
  channels: i32,
  first: i32,
  size: i32,
  pixels: i32,
  eps: f32,
  to: usize,
): void {
  const count = <f64> size * <f64> pixels;
  let sum: f64 = 0, squares: f64 = 0;
  for (let block = 0; block < blocks; block++) {
    let at = sums + <usize> (block * 2 * channels + first) * 8;
    for (let c = 0; c < size; c++, at += 8) {
      sum += load<f64>(at);
      squares += load<f64>(at + <usize> channels * 8);
    }
  }
  const mean = sum / count;
  store<f64>(to, mean);
  store<f64>(to, 1 / sqrt<f64>(max<f64>(squares / count - mean * mean, 0) + <f64> eps), 8);
}

function applyGroups(
  command: GroupNormCommand,
  x: usize,
  out: usize,
  pixels: i32,
  factors: usize,
  shifts: usize,
): void {
  const channels = command.channels, silu = command.silu;
  for (let pixel = 0; pixel < pixels; pixel++, x += floats(channels), out += floats(channels)) {
    let c: usize = 0;
    for (const end = floats(channels & ~3); c < end; c += 16) {
      const value = fma(v128.load(x + c), v128.load(factors + c), v128.load(shifts + c));
      v128.store(out + c, silu ? silu4(value) : value);
    }
    for (; c < floats(channels); c += 4) {
      const value = splat(load<f32>(x + c) * load<f32>(factors + c) + load<f32>(shifts + c));
      store<f32>(out + c, f32x4.extract_lane(silu ? silu4(value) : value, 0));
    }
  }
}
