// The prediction log p(x_0) as Microsoft's samplers use it: clamped and guided, truncated, the greatest
// of each pixel, and sharpened where it is sure.

import { exp4 } from "./math";
import { RowsCommand } from "./rows";
import { ceilDiv, floats, smaller, splat } from "./simd";
import { logSumExp, maxOf } from "./softmax";
import { claim, Control } from "./threads";
import { keepBest, LOWEST, truncateRow, truncationScratch } from "./truncation";

/** u + scale · (c − u), minus its log-sum-exp. Vectors pass the ends of the rows. */
export function guideRow(
  unconditional: usize,
  conditional: usize,
  guidanceScale: f32,
  count: i32,
  out: usize,
): void {
  const scale = splat(guidanceScale);
  for (let i: usize = 0; i < floats(count); i += 16) {
    const u = v128.load(unconditional + i), c = v128.load(conditional + i);
    v128.store(out + i, f32x4.add(u, f32x4.mul(scale, f32x4.sub(c, u))));
  }
  const total = splat(logSumExp(out, count));
  for (let i: usize = 0; i < floats(count); i += 16) {
    v128.store(out + i, f32x4.sub(v128.load(out + i), total));
  }
}

/** Raises a row to the lowest. */
function clampRow(from: usize, count: i32, out: usize): void {
  const lowest = splat(LOWEST);
  for (let i: usize = 0; i < floats(count); i += 16) {
    v128.store(out + i, f32x4.max(v128.load(from + i), lowest));
  }
}

// logProbs is (batch or, if guided, 2 · batch, pixels, columns), out is (batch, pixels, columns)
@unmanaged
export class PredictCommand {
  opcode: i32;
  logProbs: usize;
  out: usize;
  /** Those of all images. */
  pixels: i32;
  columns: i32;
  guided: bool;
  guidanceScale: f32;
  truncated: bool;
  truncationRate: f32;
  /** Most classes that are kept; 0 for all. */
  topK: i32;
}

/** Bytes of scratch: two rows with room for the vectors that pass their ends, and what truncation needs. */
export function predictScratch(command: PredictCommand): usize {
  return 2 * floats(command.columns + 8) + truncationScratch(command.columns);
}

/** Clamp, guidance, clamp, truncation. `predictStart` of tests/backends/naive/prediction.ts. */
export function predictStart(
  command: PredictCommand,
  control: Control,
  scratch: usize,
): void {
  const columns = command.columns, bytes = floats(columns);
  const conditional = scratch + floats(columns + 8), spare = conditional + floats(columns + 8);
  for (let pixel = claim(control); pixel < command.pixels; pixel = claim(control)) {
    const from = command.logProbs + <usize> pixel * bytes;
    clampRow(from, columns, scratch);
    if (command.guided) {
      clampRow(from + <usize> command.pixels * bytes, columns, conditional);
      guideRow(scratch, conditional, command.guidanceScale, columns, scratch);
      clampRow(scratch, columns, scratch);
    }
    if (command.truncated) truncateRow(scratch, columns, command.truncationRate, spare);
    if (command.topK > 0) keepBest(scratch, columns, command.topK, spare);
    memory.copy(command.out + <usize> pixel * bytes, scratch, bytes);
  }
}

/** The greatest element of each row, out is (rows). `rowMax` of tests/backends/naive/prediction.ts. */
export function rowMax(command: RowsCommand, control: Control): void {
  const bytes = floats(command.columns);
  for (let row = claim(control); row < command.rows; row = claim(control)) {
    const x = command.x + <usize> row * bytes;
    store<f32>(command.out + floats(row), maxOf(x, command.columns));
  }
}

// logProbs and out are (batch, pixels, columns), best is (batch, pixels), weight is (1)
@unmanaged
export class SharpenCommand {
  opcode: i32;
  logProbs: usize;
  /** The greatest log p of each pixel. */
  best: usize;
  weight: usize;
  out: usize;
  batch: i32;
  pixels: i32;
  columns: i32;
}

/** Pixels that share the search for the greatest of their image. */
const CHUNK_PIXELS: i32 = 32;

function exp(x: f32): f32 {
  return f32x4.extract_lane(exp4(splat(x)), 0);
}

/** log p times 1 + weight · purity of its pixel. `sharpen` of tests/backends/naive/prediction.ts. */
export function sharpen(command: SharpenCommand, control: Control): void {
  const columns = command.columns, pixels = command.pixels, weight = load<f32>(command.weight);
  const perImage = ceilDiv(pixels, CHUNK_PIXELS), chunks = command.batch * perImage;
  for (let chunk = claim(control); chunk < chunks; chunk = claim(control)) {
    const image = chunk / perImage * pixels, first = chunk % perImage * CHUNK_PIXELS;
    const highest = exp(maxOf(command.best + floats(image), pixels)) + <f32> 1e-10;
    const end = image + smaller(pixels, first + CHUNK_PIXELS);
    for (let pixel = image + first; pixel < end; pixel++) {
      const purity = exp(load<f32>(command.best + floats(pixel))) / highest;
      const at = <usize> pixel * floats(columns);
      scaleRow(command.logProbs + at, 1 + weight * purity, columns, command.out + at);
    }
  }
}

function scaleRow(x: usize, factor: f32, count: i32, out: usize): void {
  const factors = splat(factor);
  let i: usize = 0;
  for (const end = floats(count & ~3); i < end; i += 16) {
    v128.store(out + i, f32x4.mul(v128.load(x + i), factors));
  }
  for (; i < floats(count); i += 4) store<f32>(out + i, load<f32>(x + i) * factor);
}
