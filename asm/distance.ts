// Distances of numbers, |x − y| or (x − y)², and their gradients.

import { ceilDiv, floats, smaller, splat } from "./simd";
import { claim, Control } from "./threads";

/** Elements of a chunk. */
const CHUNK: i32 = 4096;

// x, y, dy and out are (count)
@unmanaged
export class DistanceCommand {
  opcode: i32;
  x: usize;
  y: usize;
  /** Gradient of the result; null if that is computed. */
  dy: usize;
  out: usize;
  count: i32;
  /** Whether it is (x − y)². */
  squared: bool;
}

/** out = |x − y| or (x − y)². `distance` of tests/backends/naive/distance.ts. */
export function distance(command: DistanceCommand, control: Control): void {
  const chunks = ceilDiv(command.count, CHUNK), squared = command.squared;
  for (let chunk = claim(control); chunk < chunks; chunk = claim(control)) {
    const last = smaller(command.count, (chunk + 1) * CHUNK);
    let i = chunk * CHUNK;
    for (; i + 4 <= last; i += 4) {
      const d = f32x4.sub(v128.load(command.x + floats(i)), v128.load(command.y + floats(i)));
      v128.store(command.out + floats(i), squared ? f32x4.mul(d, d) : f32x4.abs(d));
    }
    for (; i < last; i++) {
      const d = load<f32>(command.x + floats(i)) - load<f32>(command.y + floats(i));
      store<f32>(command.out + floats(i), squared ? d * d : abs<f32>(d));
    }
  }
}

/** out = dy · sign(x − y) or 2 dy (x − y). `distanceGradient` of tests/backends/naive/distance.ts. */
export function distanceGradient(command: DistanceCommand, control: Control): void {
  const chunks = ceilDiv(command.count, CHUNK);
  for (let chunk = claim(control); chunk < chunks; chunk = claim(control)) {
    const last = smaller(command.count, (chunk + 1) * CHUNK);
    let i = chunk * CHUNK;
    for (; i + 4 <= last; i += 4) {
      const d = f32x4.sub(v128.load(command.x + floats(i)), v128.load(command.y + floats(i)));
      const slope = f32x4.mul(slope4(d, command.squared), v128.load(command.dy + floats(i)));
      v128.store(command.out + floats(i), slope);
    }
    for (; i < last; i++) {
      const d = load<f32>(command.x + floats(i)) - load<f32>(command.y + floats(i));
      const slope = f32x4.extract_lane(slope4(splat(d), command.squared), 0);
      store<f32>(command.out + floats(i), slope * load<f32>(command.dy + floats(i)));
    }
  }
}

/** 2 d, or the sign of d: 1 with the sign bit of d, and 0 where d is. */
// @ts-ignore: decorator
@inline
function slope4(d: v128, squared: bool): v128 {
  if (squared) return f32x4.add(d, d);
  const signed = v128.bitselect(d, splat(1), i32x4.splat(0x80000000));
  return v128.and(signed, f32x4.ne(d, splat(0)));
}
