/**
 * Arithmetic that shaders share. Built-in functions of WGSL may be off by several ulp, and drivers
 * may reorder float additions; where tokens depend on the last bits, these are used instead.
 *
 * @module
 */

/**
 * `preciseExp(x)`: eˣ to 1 ulp, zero below −87. Cephes' polynomial of degree 5 on |r| ≤ ln 2 / 2.
 */
export const PRECISE_EXP = `
fn preciseExp(x: f32) -> f32 {
  let bounded = clamp(x, -87.0, 88.0);
  let n = round(bounded * 1.44269504);
  // ln 2 in two parts; n times the first, of 10 bits, is exact.
  let r = fma(n, 2.12194440e-4, fma(n, -0.693359375, bounded));
  var p = fma(1.9875691500e-4, r, 1.3981999507e-3);
  p = fma(p, r, 8.3334519073e-3);
  p = fma(p, r, 4.1665795894e-2);
  p = fma(p, r, 1.6666665459e-1);
  p = fma(p, r, 5.0000001201e-1);
  p = 1.0 + fma(r * r, p, r);
  return select(p * bitcast<f32>((i32(n) + 127) << 23u), 0.0, x < -87.0);
}`;

/**
 * `preciseLog(x)`: ln x to 1 ulp for normal x > 0, relative to the result also near 1. Cephes'
 * polynomial of degree 8 on the mantissa in √½ … √2.
 */
export const PRECISE_LOG = `
fn preciseLog(x: f32) -> f32 {
  let bits = bitcast<i32>(x) - 0x3f3504f3;
  let e = f32(bits >> 23u);
  let m = bitcast<f32>((bits & 0x7fffff) + 0x3f3504f3) - 1.0;
  let z = m * m;
  var p = fma(7.0376836292e-2, m, -1.1514610310e-1);
  p = fma(p, m, 1.1676998740e-1);
  p = fma(p, m, -1.2420140846e-1);
  p = fma(p, m, 1.4249322787e-1);
  p = fma(p, m, -1.6668057665e-1);
  p = fma(p, m, 2.0000714765e-1);
  p = fma(p, m, -2.4999993993e-1);
  p = fma(p, m, 3.3333331174e-1);
  p = fma(e, -2.12194440e-4, p * m * z);
  p = fma(z, -0.5, p);
  return fma(e, 0.693359375, m + p);
}`;

/**
 * Sums as integers: a number p in 0 … 1 becomes three digits of 14 bits, in units of 2⁻⁴². Sums of up
 * to 65536 of them are exact in any order, whatever a driver does to float additions. Needs
 * {@linkcode PRECISE_LOG}.
 *
 * - `digits(p)`: the digits of p
 * - `carried(sum)`: the sum with its lower digits below 2¹⁴
 * - `logOfSum(sum)`: ln of a sum of at least 1
 */
export const EXACT_SUM = `
fn digits(p: f32) -> vec3u {
  let x = p * 16384.0;
  let y = (x - floor(x)) * 16384.0;
  let z = (y - floor(y)) * 16384.0;
  return vec3u(u32(x), u32(y), u32(z + 0.5));
}
fn carried(sum: vec3u) -> vec3u {
  let y = sum.y + (sum.z >> 14u);
  return vec3u(sum.x + (y >> 14u), y & 16383u, sum.z & 16383u);
}
fn logOfSum(sum: vec3u) -> f32 {
  let s = carried(sum);
  let units = f32(s.x);
  // What the 24 bits of a float32 cannot hold.
  let rest = f32(i32(s.x) - i32(units)) + (f32(s.y) + f32(s.z) / 16384.0) / 16384.0;
  let relative = rest / units;
  return preciseLog(units / 16384.0) + fma(-0.5 * relative, relative, relative);
}`;

/** Most terms of an {@linkcode EXACT_SUM}. */
export const EXACT_SUM_TERMS = 65536;

/** `sigmoid(x)`, from exponentials that cannot overflow. */
export const SIGMOID = `
fn sigmoid(x: f32) -> f32 {
  let e = exp(-min(abs(x), 87.0));
  return select(e, 1.0, x >= 0.0) / (1.0 + e);
}`;

/** `gelu(x)`: x · Φ(x) = x / 2 · (1 + `normalErf(x)`), with the error function as a quotient of polynomials on |x| ≤ 4 (Eigen's). */
export const GELU = `
fn normalErf(x: f32) -> f32 {
  let y = clamp(x * 0.7071067811865475, -4.0, 4.0);
  let z = y * y;
  var p = fma(-2.72614225801306e-10, z, 2.77068142495902e-08);
  p = fma(p, z, -2.10102402082508e-06);
  p = fma(p, z, -5.69250639462346e-05);
  p = fma(p, z, -7.34990630326855e-04);
  p = fma(p, z, -2.95459980854025e-03);
  p = fma(p, z, -1.60960333262415e-02);
  var q = fma(-1.45660718464996e-05, z, -2.13374055278905e-04);
  q = fma(q, z, -1.68282697438203e-03);
  q = fma(q, z, -7.37332916720468e-03);
  q = fma(q, z, -1.42647390514189e-02);
  // Where it rounds to 1, exactly 1: huge arguments would magnify a last bit.
  return select(y * p / q, sign(y), abs(y) >= 4.0);
}
fn gelu(x: f32) -> f32 {
  return 0.5 * x * (1.0 + normalErf(x));
}`;

/** `geluSlope(x)`: the derivative of gelu, Φ(x) + x · φ(x). Needs {@linkcode GELU}. */
export const GELU_SLOPE = `
fn geluSlope(x: f32) -> f32 {
  let density = 0.3989422804014327 * exp(-0.5 * min(x * x, 160.0));
  return fma(x, density, 0.5 * (1.0 + normalErf(x)));
}`;
