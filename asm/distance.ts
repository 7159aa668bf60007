// Distances of numbers, |x − y| or (x − y)², and their gradients.

import { ceilDiv, floats, smaller, splat } from "./simd";
import { claim, Control } from "./threads";

/** Elements of a chunk: whole vectors. The last vector of an array may pass its end, which has room. */
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
    const last = floats(smaller(command.count, (chunk + 1) * CHUNK));
    for (let at = floats(chunk * CHUNK); at < last; at += 16) {
      const d = f32x4.sub(v128.load(command.x + at), v128.load(command.y + at));
      v128.store(command.out + at, squared ? f32x4.mul(d, d) : f32x4.abs(d));
    }
  }
}

/** out = dy · sign(x − y) or 2 dy (x − y). `distanceGradient` of tests/backends/naive/distance.ts. */
export function distanceGradient(command: DistanceCommand, control: Control): void {
  const chunks = ceilDiv(command.count, CHUNK), squared = command.squared;
  for (let chunk = claim(control); chunk < chunks; chunk = claim(control)) {
    const last = floats(smaller(command.count, (chunk + 1) * CHUNK));
    for (let at = floats(chunk * CHUNK); at < last; at += 16) {
      const d = f32x4.sub(v128.load(command.x + at), v128.load(command.y + at));
      const slope = slope4(d, squared);
      v128.store(command.out + at, f32x4.mul(v128.load(command.dy + at), slope));
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
