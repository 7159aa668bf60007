// Linear layers, written to be read: float64 inside, rounded to float32 when stored.

import type { WeightDType } from "../../../src/base/dtypes.ts";
import type { Activation, HostArray } from "../../../src/backends/backend.ts";
import type { Epilogue } from "../../../src/backends/recording.ts";
import { type Floats, store } from "./arrays.ts";

/** Weight (outFeatures, inFeatures) and bias (outFeatures, zeros if there is none). */
export interface Linear {
  readonly weight: Float32Array;
  readonly bias: Float32Array;
  readonly outFeatures: number;
  readonly inFeatures: number;
}

/** activation(x·Wᵀ + b): (rows, inFeatures) → (rows, outFeatures). */
export function linear(
  { values: x }: Floats,
  { weight, bias, outFeatures, inFeatures }: Linear,
  y: Floats,
  { activation, add }: Epilogue,
): void {
  const rows = x.length / inFeatures;
  const out = new Float32Array(rows * outFeatures);
  for (let r = 0; r < rows; r++) {
    for (let o = 0; o < outFeatures; o++) {
      let total = bias[o]!;
      for (let i = 0; i < inFeatures; i++) {
        total += x[r * inFeatures + i]! * weight[o * inFeatures + i]!;
      }
      out[r * outFeatures + o] = activated(total, activation);
    }
  }
  store(y, out, add);
}

/** The activation functions. */
export function activated(x: number, activation: Activation): number {
  switch (activation) {
    case "none":
      return x;
    case "quickGelu":
      return x / (1 + Math.exp(-1.702 * x));
    case "silu":
      return x / (1 + Math.exp(-x));
    case "gelu":
      return x * 0.5 * (1 + erf(x / Math.SQRT2));
  }
}

/** 2/√π · e^(−x²) · Σ 2ⁿ x^(2n+1) / (1·3·…·(2n+1)), of positive terms only. */
function erf(x: number): number {
  if (Math.abs(x) > 6) return Math.sign(x);
  let term = x;
  let total = x;
  for (let n = 1; Math.abs(term) > 1e-17 * Math.abs(total); n++) {
    term *= 2 * x * x / (2 * n + 1);
    total += term;
  }
  return 2 / Math.sqrt(Math.PI) * Math.exp(-x * x) * total;
}

/** Widens an array of a checkpoint to float32. */
export function widen(array: HostArray): Float32Array {
  switch (array.dtype) {
    case "f32":
      return Float32Array.from(array.data);
    case "f16":
      return Float32Array.from(
        new Float16Array(array.data.buffer, array.data.byteOffset, array.data.length),
      );
    case "bf16": {
      const bits = Uint32Array.from(array.data, (half) => half << 16);
      return new Float32Array(bits.buffer);
    }
    case "i8": {
      const columns = array.data.length / array.scale.length;
      return Float32Array.from(
        array.data,
        (value, i) => value * array.scale[Math.floor(i / columns)]!,
      );
    }
  }
}

/** What is left of float32 values (rows, columns) when they are held as `dtype`. */
export function hold(values: Float32Array, columns: number, dtype: WeightDType): Float32Array {
  if (dtype === "fp32") return values;
  if (dtype === "fp16") return Float32Array.from(Float16Array.from(values));
  const out = new Float32Array(values.length);
  for (let start = 0; start < values.length; start += columns) {
    const row = values.subarray(start, start + columns);
    const scale = Math.fround(row.reduce((a, b) => Math.max(a, Math.abs(b)), 0) / 127);
    row.forEach((value, i) => out[start + i] = scale === 0 ? 0 : Math.round(value / scale) * scale);
  }
  return out;
}
