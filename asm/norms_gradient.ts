// Gradients of group norms, and of rows that are divided by their L2 norms.

import { RowsGradientCommand } from "./gradients";
import { Activation, slope4 } from "./math";
import { BLOCK_PIXELS, groupMoments, groupNormBlocks, MOMENTS } from "./norms";
import { floats, fma, smaller, splat, storeUpTo4, sumLanes } from "./simd";
import { claim, Control } from "./threads";

/** The passes that follow `groupNormSums`. */
// x, dy and out are (batch, pixels, channels), sums is that of `groupNormSums`, slopes is (batch,
// groupNormBlocks(pixels), 2, channels), affine is (batch, 2, channels), weight and bias are (channels)
@unmanaged
export class GroupNormGradientCommand {
  opcode: i32;
  x: usize;
  dy: usize;
  out: usize;
  /** Sums and sums of squares over a block of pixels. */
  sums: usize;
  /** Sums of the gradients by factors and shifts over a block of pixels. */
  slopes: usize;
  /** Gradients by the factors and shifts, for each image. */
  affine: usize;
  weight: usize;
  bias: usize;
  batch: i32;
  pixels: i32;
  channels: i32;
  groups: i32;
  eps: f32;
  /** Whether SiLU followed. */
  silu: bool;
}

/** Bytes of scratch: moments of a group, and four numbers for each channel. */
export function groupNormGradientScratch(command: GroupNormGradientCommand): usize {
  return MOMENTS + floats(4 * command.channels);
}

/**
 * Second pass: out = gradients by the values that SiLU was applied to, and their sums over blocks.
 * `groupNormGradient` of tests/backends/naive/norms_gradient.ts.
 */
export function groupNormGradient(
  command: GroupNormGradientCommand,
  control: Control,
  scratch: usize,
): void {
  const channels = command.channels, blocks = groupNormBlocks(command.pixels);
  const chunks = command.batch * blocks, inverses = scratch + MOMENTS;
  let prepared = -1;
  for (let chunk = claim(control); chunk < chunks; chunk = claim(control)) {
    const image = chunk / blocks, first = chunk % blocks * BLOCK_PIXELS;
    if (image != prepared) prepareMoments(command, image, blocks, scratch);
    prepared = image;
    const slopes = command.slopes + floats(2 * chunk * channels);
    memory.fill(slopes, 0, floats(2 * channels));
    const pixels = smaller(command.pixels, first + BLOCK_PIXELS) - first;
    let at = <usize> (image * command.pixels + first) * floats(channels);
    for (let pixel = 0; pixel < pixels; pixel++, at += floats(channels)) {
      slopesOfPixel(command, at, inverses, slopes);
    }
  }
}

/** For each channel 1 / sqrt(variance + eps) and −mean / sqrt(variance + eps). */
function prepareMoments(
  command: GroupNormGradientCommand,
  image: i32,
  blocks: i32,
  scratch: usize,
): void {
  const channels = command.channels, size = channels / command.groups;
  const inverses = scratch + MOMENTS, shifts = inverses + floats(channels);
  const sums = command.sums + <usize> (image * blocks) * <usize> channels * 16;
  for (let group = 0; group < command.groups; group++) {
    groupMoments(sums, blocks, channels, group * size, size, command.pixels, command.eps, scratch);
    const mean = load<f64>(scratch), inverse = load<f64>(scratch, 8);
    for (let c = group * size; c < (group + 1) * size; c++) {
      store<f32>(inverses + floats(c), <f32> inverse);
      store<f32>(shifts + floats(c), <f32> (-mean * inverse));
    }
  }
}

function slopesOfPixel(
  command: GroupNormGradientCommand,
  at: usize,
  inverses: usize,
  slopes: usize,
): void {
  const channels = command.channels, bytes = floats(channels);
  const shifts = inverses + bytes, totals = slopes + bytes;
  const x = command.x + at, dy = command.dy + at, out = command.out + at;
  for (let i = 0; i < channels; i += 4) {
    const c = floats(i), left = channels - i, factor = v128.load(inverses + c);
    const normed = fma(v128.load(x + c), factor, v128.load(shifts + c));
    let d = v128.load(dy + c);
    if (command.silu) {
      const weight = v128.load(command.weight + c);
      const value = fma(normed, weight, v128.load(command.bias + c));
      d = f32x4.mul(d, slope4(value, Activation.silu));
    }
    storeUpTo4(out + c, d, left);
    storeUpTo4(slopes + c, fma(d, normed, v128.load(slopes + c)), left);
    storeUpTo4(totals + c, f32x4.add(d, v128.load(totals + c)), left);
  }
}

/** Third pass: out becomes the gradient by x; the first block of an image stores those by the parameters. */
export function groupNormGradientApply(
  command: GroupNormGradientCommand,
  control: Control,
  scratch: usize,
): void {
  const channels = command.channels, blocks = groupNormBlocks(command.pixels);
  const chunks = command.batch * blocks;
  let prepared = -1;
  for (let chunk = claim(control); chunk < chunks; chunk = claim(control)) {
    const image = chunk / blocks, first = chunk % blocks * BLOCK_PIXELS;
    if (image != prepared) prepareSlopes(command, image, blocks, scratch);
    prepared = image;
    if (first == 0) storeAffine(command, image, blocks);
    const pixels = smaller(command.pixels, first + BLOCK_PIXELS) - first;
    let at = <usize> (image * command.pixels + first) * floats(channels);
    for (let pixel = 0; pixel < pixels; pixel++, at += floats(channels)) {
      applyToPixel(command, at, scratch + MOMENTS);
    }
  }
}

/** Sum over the blocks of an image of element `index` of (2, channels). */
function sumOfBlocks(
  command: GroupNormGradientCommand,
  image: i32,
  blocks: i32,
  index: i32,
): f64 {
  const stride = floats(2 * command.channels);
  let at = command.slopes + <usize> (image * blocks) * stride + floats(index), sum: f64 = 0;
  for (let block = 0; block < blocks; block++, at += stride) sum += <f64> load<f32>(at);
  return sum;
}

function storeAffine(command: GroupNormGradientCommand, image: i32, blocks: i32): void {
  const count = 2 * command.channels, to = command.affine + floats(image * count);
  for (let i = 0; i < count; i++) {
    store<f32>(to + floats(i), <f32> sumOfBlocks(command, image, blocks, i));
  }
}

/**
 * For each channel what {@link applyToPixel} needs: with the means m of the gradients g of the normed values
 * n and s of g · n, the gradient by x is (g − m − n · s) / sqrt(variance + eps).
 */
function prepareSlopes(
  command: GroupNormGradientCommand,
  image: i32,
  blocks: i32,
  scratch: usize,
): void {
  prepareMoments(command, image, blocks, scratch);
  const channels = command.channels, size = channels / command.groups;
  const means = scratch + MOMENTS + floats(2 * channels), products = means + floats(channels);
  const count = <f64> size * <f64> command.pixels;
  for (let first = 0; first < channels; first += size) {
    let sum: f64 = 0, product: f64 = 0;
    for (let c = first; c < first + size; c++) {
      const weight = <f64> load<f32>(command.weight + floats(c));
      product += weight * sumOfBlocks(command, image, blocks, c);
      sum += weight * sumOfBlocks(command, image, blocks, channels + c);
    }
    for (let c = first; c < first + size; c++) {
      store<f32>(means + floats(c), <f32> (sum / count));
      store<f32>(products + floats(c), <f32> (product / count));
    }
  }
}

function applyToPixel(command: GroupNormGradientCommand, at: usize, inverses: usize): void {
  const channels = command.channels, bytes = floats(channels);
  const shifts = inverses + bytes, means = shifts + bytes, products = means + bytes;
  const x = command.x + at, out = command.out + at;
  for (let i = 0; i < channels; i += 4) {
    const c = floats(i), left = channels - i, inverse = v128.load(inverses + c);
    const normed = fma(v128.load(x + c), inverse, v128.load(shifts + c));
    const g = f32x4.mul(v128.load(out + c), v128.load(command.weight + c));
    const part = fma(normed, v128.load(products + c), v128.load(means + c));
    storeUpTo4(out + c, f32x4.mul(f32x4.sub(g, part), inverse), left);
  }
}

/** (dy − y (y · dy)) / |x| for y = x / |x|. `normalizeRowsGradient` of tests/backends/naive/norms_gradient.ts. */
export function normalizeRowsGradient(command: RowsGradientCommand, control: Control): void {
  const bytes = floats(command.columns), vectors = floats(command.columns & ~3);
  for (let row = claim(control); row < command.rows; row = claim(control)) {
    const at = <usize> row * bytes;
    const x = command.x + at, dy = command.dy + at, out = command.out + at;
    let squares = splat(0), products = splat(0), i: usize = 0;
    for (; i < vectors; i += 16) {
      const value = v128.load(x + i);
      squares = fma(value, value, squares);
      products = fma(value, v128.load(dy + i), products);
    }
    let square = sumLanes(squares), product = sumLanes(products);
    for (; i < bytes; i += 4) {
      square += load<f32>(x + i) * load<f32>(x + i);
      product += load<f32>(x + i) * load<f32>(dy + i);
    }
    const inverse: f32 = 1 / sqrt<f32>(square), share: f32 = product / square;
    for (i = 0; i < vectors; i += 16) {
      const along = f32x4.mul(v128.load(x + i), splat(share));
      v128.store(out + i, f32x4.mul(f32x4.sub(v128.load(dy + i), along), splat(inverse)));
    }
    for (; i < bytes; i += 4) {
      store<f32>(out + i, (load<f32>(dy + i) - load<f32>(x + i) * share) * inverse);
    }
  }
}
