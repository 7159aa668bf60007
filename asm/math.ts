// Elementary functions on four floats at a time, within 1–2 ulp (the range reductions and
// coefficients of Cephes' single precision library).
//
// Constants come from a table in memory: V8 is about twice as slow with v128 literals in a hot loop.

import { fma } from "./simd";

const C: usize = memory.data<f32>([
  // 0: exp: lowest and highest argument, 1.5 · 2^23 (adding it rounds to an integer), log2(e), −ln 2
  // in two parts
  -87.3365,
  88.3762,
  12582912.0,
  1.44269504088896341,
  -0.693359375,
  2.12194440e-4,
  // 6: exp: polynomial
  1.9875691500e-4,
  1.3981999507e-3,
  8.3334519073e-3,
  4.1665795894e-2,
  1.6666665459e-1,
  5.0000001201e-1,
  // 12: log: polynomial
  7.0376836292e-2,
  -1.1514610310e-1,
  1.1676998740e-1,
  -1.2420140846e-1,
  1.4249322787e-1,
  -1.6668057665e-1,
  2.0000714765e-1,
  -2.4999993993e-1,
  3.3333331174e-1,
  // 21: shared small numbers: 1, 0.5, −0.5, ln 2 in two parts (log), 1.702, 1/√2
  1.0,
  0.5,
  -0.5,
  -2.12194440e-4,
  0.693359375,
  1.702,
  0.70710678118654752,
  // 28: erf: largest argument; numerator
  4.0,
  -2.72614225801306e-10,
  2.77068142495902e-08,
  -2.10102402082508e-06,
  -5.69250639462346e-05,
  -7.34990630326855e-04,
  -2.95459980854025e-03,
  -1.60960333262415e-02,
  // 36: erf: denominator
  -1.45660718464996e-05,
  -2.13374055278905e-04,
  -1.68282697438203e-03,
  -7.37332916720468e-03,
  -1.42647390514189e-02,
  // 41: log: √½, the bits of a mantissa (as a float's bits), 1e-30
  0.70710676908493042, 1.1754942106924411e-38, 1e-30,
  // 44: 1/√(2π)
  0.39894228040143268,
]);

// @ts-ignore: decorator
@inline
function c(index: usize): v128 {
  return v128.load32_splat(C + (index << 2));
}

// e^x; arguments beyond the range of normal floats are clamped to it, −∞ included.
// @ts-ignore: decorator
@inline
export function exp4(x: v128): v128 {
  const clamped = f32x4.pmin(c(1), f32x4.pmax(c(0), x));
  const shifted = fma(clamped, c(3), c(2));
  const n = f32x4.sub(shifted, c(2));
  const r = fma(n, c(5), fma(n, c(4), clamped));
  let p = fma(c(6), r, c(7));
  p = fma(p, r, c(8));
  p = fma(p, r, c(9));
  p = fma(p, r, c(10));
  p = fma(p, r, c(11));
  p = f32x4.add(fma(f32x4.mul(r, r), p, r), c(21));
  // The low bits of `shifted` hold n: adding them to the exponent multiplies by 2^n.
  return i32x4.add(p, i32x4.shl(shifted, 23));
}

// Natural logarithm of positive normal floats.
// @ts-ignore: decorator
@inline
export function log4(x: v128): v128 {
  const sqrtHalf = c(41);
  const offset = i32x4.sub(x, sqrtHalf);
  const exponent = f32x4.convert_i32x4_s(i32x4.shr_s(offset, 23));
  const mantissa = i32x4.add(v128.and(offset, c(42)), sqrtHalf);
  const m = f32x4.sub(mantissa, c(21));
  const z = f32x4.mul(m, m);
  let p = fma(c(12), m, c(13));
  p = fma(p, m, c(14));
  p = fma(p, m, c(15));
  p = fma(p, m, c(16));
  p = fma(p, m, c(17));
  p = fma(p, m, c(18));
  p = fma(p, m, c(19));
  p = fma(p, m, c(20));
  p = fma(exponent, c(24), f32x4.mul(f32x4.mul(p, m), z));
  p = fma(z, c(23), p);
  return fma(exponent, c(25), f32x4.add(m, p));
}

// Error function, by a rational approximation on −4 … 4.
// @ts-ignore: decorator
@inline
function erf4(value: v128): v128 {
  const x = f32x4.pmin(c(28), f32x4.pmax(f32x4.neg(c(28)), value));
  const z = f32x4.mul(x, x);
  let p = fma(c(29), z, c(30));
  p = fma(p, z, c(31));
  p = fma(p, z, c(32));
  p = fma(p, z, c(33));
  p = fma(p, z, c(34));
  p = fma(p, z, c(35));
  let q = fma(c(36), z, c(37));
  q = fma(q, z, c(38));
  q = fma(q, z, c(39));
  q = fma(q, z, c(40));
  return f32x4.div(f32x4.mul(p, x), q);
}

// log(e^a + e^b), also where one of them or both are −∞.
// @ts-ignore: decorator
@inline
export function logAddExp4(a: v128, b: v128): v128 {
  const high = f32x4.max(a, b);
  // The clamp of exp4 also swallows the NaN of (−∞) − (−∞).
  const difference = f32x4.sub(f32x4.min(a, b), high);
  return f32x4.add(high, log4(f32x4.add(c(21), exp4(difference))));
}

// Gumbel noise of uniform numbers, −log(−log(u + 1e-30) + 1e-30), as diffusers computes it.
// @ts-ignore: decorator
@inline
export function gumbel4(uniform: v128): v128 {
  const inner = f32x4.neg(log4(f32x4.add(uniform, c(43))));
  return f32x4.neg(log4(f32x4.add(inner, c(43))));
}

// x · sigmoid(x)
// @ts-ignore: decorator
@inline
export function silu4(x: v128): v128 {
  return f32x4.div(x, f32x4.add(c(21), exp4(f32x4.neg(x))));
}

// x · sigmoid(1.702 x)
// @ts-ignore: decorator
@inline
export function quickGelu4(x: v128): v128 {
  return f32x4.div(x, f32x4.add(c(21), exp4(f32x4.neg(f32x4.mul(x, c(26))))));
}

// x · Φ(x)
// @ts-ignore: decorator
@inline
export function gelu4(x: v128): v128 {
  const half = f32x4.mul(x, c(22));
  return fma(half, erf4(f32x4.mul(x, c(27))), half);
}

/** Elementwise functions that may follow a linear layer, named as the host's. */
export const enum Activation {
  none,
  quickGelu,
  silu,
  gelu,
}

// @ts-ignore: decorator
@inline
export function activate(x: v128, activation: i32): v128 {
  if (activation == Activation.quickGelu) return quickGelu4(x);
  if (activation == Activation.silu) return silu4(x);
  if (activation == Activation.gelu) return gelu4(x);
  return x;
}

// The derivative of `activate` at x.
// @ts-ignore: decorator
@inline
export function slope4(x: v128, activation: i32): v128 {
  if (activation == Activation.quickGelu) return sigmoidSlope4(x, c(26));
  if (activation == Activation.silu) return sigmoidSlope4(x, c(21));
  if (activation == Activation.gelu) return geluSlope4(x);
  return c(21);
}

// The derivative of x · sigmoid(a x).
// @ts-ignore: decorator
@inline
function sigmoidSlope4(x: v128, a: v128): v128 {
  const scaled = f32x4.mul(a, x);
  const s = f32x4.div(c(21), f32x4.add(c(21), exp4(f32x4.neg(scaled))));
  return f32x4.mul(s, fma(scaled, f32x4.sub(c(21), s), c(21)));
}

// The derivative of x · Φ(x).
// @ts-ignore: decorator
@inline
export function geluSlope4(x: v128): v128 {
  const cumulative = fma(c(22), erf4(f32x4.mul(x, c(27))), c(22));
  const density = f32x4.mul(c(44), exp4(f32x4.mul(c(23), f32x4.mul(x, x))));
  return fma(x, density, cumulative);
}

const D: usize = memory.data<f64>([
  // 0: lowest argument, 1.5 · 2^52, log2(e), −ln 2 in two parts
  -700.0,
  6755399441055744.0,
  1.4426950408889634,
  -0.6931471803691238,
  -1.9082149292705877e-10,
  // 5: 1/11! … 1/2!, 1
  2.505210838544172e-8,
  2.755731922398589e-7,
  2.7557319223985893e-6,
  2.48015873015873e-5,
  1.984126984126984e-4,
  1.388888888888889e-3,
  8.333333333333333e-3,
  4.1666666666666664e-2,
  1.6666666666666666e-1,
  0.5,
  1.0,
]);

// @ts-ignore: decorator
@inline
function d(index: usize): v128 {
  return v128.load64_splat(D + (index << 3));
}

// @ts-ignore: decorator
@inline
function fmaF64(a: v128, b: v128, c: v128): v128 {
  return ASC_FEATURE_RELAXED_SIMD ? f64x2.relaxed_madd(a, b, c) : f64x2.add(f64x2.mul(a, b), c);
}

// e^x of two doubles up to about 700, within 1e-14: rounded to float32 it is the nearest one but for
// one argument in some ten million.
// @ts-ignore: decorator
@inline
export function exp2F64(value: v128): v128 {
  const x = f64x2.pmax(d(0), value);
  const shifted = fmaF64(x, d(2), d(1));
  const n = f64x2.sub(shifted, d(1));
  const r = fmaF64(n, d(4), fmaF64(n, d(3), x));
  let p = fmaF64(d(5), r, d(6));
  p = fmaF64(p, r, d(7));
  p = fmaF64(p, r, d(8));
  p = fmaF64(p, r, d(9));
  p = fmaF64(p, r, d(10));
  p = fmaF64(p, r, d(11));
  p = fmaF64(p, r, d(12));
  p = fmaF64(p, r, d(13));
  p = fmaF64(p, r, d(14));
  p = fmaF64(p, r, d(15));
  p = fmaF64(p, r, d(15));
  // The low bits of `shifted` hold n: adding them to the exponent multiplies by 2^n.
  return i64x2.add(p, i64x2.shl(shifted, 52));
}
