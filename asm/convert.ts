// Number formats of checkpoints, and the packing of weights into panels.

import { floats } from "./simd";
import { TILE_COLUMNS } from "./tile";

/** How a checkpoint holds numbers, named as the host's arrays. */
export const enum Format {
  f32,
  f16,
  bf16,
  i8,
}

/** Widens `count` float16 (a multiple of 8, finite) to float32, exactly. */
export function widenHalf(from: usize, to: usize, count: i32): void {
  // The half's exponent and mantissa, moved to a float's place, lack a factor of 2^112.
  const mask = i32x4.splat(0x8fffe000), factor = f32x4.splat(5.192296858534828e33);
  for (const end = to + floats(count); to < end; to += 32, from += 16) {
    const low = i32x4.shl(v128.load16x4_s(from), 13);
    const high = i32x4.shl(v128.load16x4_s(from, 8), 13);
    v128.store(to, f32x4.mul(v128.and(low, mask), factor));
    v128.store(to, f32x4.mul(v128.and(high, mask), factor), 16);
  }
}

function halfToFloat(bits: u32): f32 {
  const sign = (bits & 0x8000) << 16;
  const magnitude = bits & 0x7fff;
  if (magnitude >= 0x7c00) return reinterpret<f32>(sign | 0x7f800000 | ((magnitude & 0x3ff) << 13));
  return reinterpret<f32>(
    sign | reinterpret<u32>(reinterpret<f32>(magnitude << 13) * <f32> 5.192296858534828e33),
  );
}

/** Rounds to the nearest float16, ties to even; too large becomes infinite, NaN stays. */
function floatToHalf(value: f32): u16 {
  const bits = reinterpret<u32>(value);
  const sign = (bits >> 16) & 0x8000;
  const magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) return <u16> (sign | 0x7e00);
  if (magnitude >= 0x477ff000) return <u16> (sign | 0x7c00);
  if (magnitude < 0x38800000) {
    // Adding 0.5 leaves the subnormal's bits, rounded, at the end of the mantissa.
    return <u16> (sign | (reinterpret<u32>(reinterpret<f32>(magnitude) + <f32> 0.5) - 0x3f000000));
  }
  return <u16> (sign | ((magnitude - 0x38000000 + 0xfff + ((magnitude >> 13) & 1)) >> 13));
}

// @ts-ignore: decorator
@inline
function read(from: usize, index: usize, format: Format): f32 {
  if (format == Format.f32) return load<f32>(from + (index << 2));
  if (format == Format.f16) return halfToFloat(load<u16>(from + (index << 1)));
  if (format == Format.bf16) return reinterpret<f32>(<u32> load<u16>(from + (index << 1)) << 16);
  return <f32> load<i8>(from + index);
}

/** Widens an array of any format to float32; `scale` has one factor for each `columns` of int8. */
export function widen(
  from: usize,
  format: Format,
  to: usize,
  count: i32,
  scale: usize,
  columns: i32,
): void {
  for (let i = 0; i < count; i++) {
    let value = read(from, i, format);
    if (format == Format.i8) value *= load<f32>(scale + floats(i / columns));
    store<f32>(to + floats(i), value);
  }
}

/**
 * Packs rows of a matrix (rows, k) into panels [n / 8][k][8] of float32 or float16, beginning with
 * row `first` of the panels.
 *
 * @returns Whether float16, if it is that, can hold all values.
 */
export function packPanels(from: usize, rows: i32, k: i32, to: usize, first: i32, half: i32): bool {
  let fits = true;
  for (let row = 0; row < rows; row++) {
    const n = first + row;
    let index = (<usize> (n / TILE_COLUMNS) * <usize> k) * TILE_COLUMNS +
      <usize> (n % TILE_COLUMNS);
    for (let i = 0; i < k; i++) {
      const value = load<f32>(from);
      if (half) {
        const bits = floatToHalf(value);
        fits = fits && (bits & 0x7c00) != 0x7c00;
        store<u16>(to + (index << 1), bits);
      } else store<f32>(to + (index << 2), value);
      from += 4, index += TILE_COLUMNS;
    }
  }
  return fits;
}
