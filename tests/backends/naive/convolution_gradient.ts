// Gradients of convolutions, written to be read: float64 inside, rounded to float32 when stored.

import type { ConvGradientInputs } from "../../../src/backends/recording.ts";
import { type Floats, type Naive, store } from "./arrays.ts";
import type { Convolution } from "./convolution.ts";

/** Stores a weight (out, in, k, k), or that of the adjoint convolution. */
export function packConv(
  { values, shape }: Floats,
  bias: Floats | undefined,
  transpose: boolean,
  { weight, bias: biasOut }: Convolution,
): void {
  const [out, inside, size] = shape as [number, number, number, number];
  const taps = size ** 2;
  values.forEach((value, at) => {
    const [o, i, tap] = [Math.floor(at / taps / inside), Math.floor(at / taps) % inside, at % taps];
    weight[transpose ? (i * out + o) * taps + taps - 1 - tap : at] = value;
  });
  biasOut.set(bias?.values ?? new Float32Array(biasOut.length));
}

/** Gradient by the weight: for each tap the sum of dy · x over the pairs of pixels that it joins. */
export function conv2dWeightGradient(
  { x, dy, kernelSize, stride, upsample }: ConvGradientInputs<Naive>,
  dw: Floats,
): void {
  const [batch, height, width, inChannels] = x.shape as [number, number, number, number];
  const [, outHeight, outWidth, outChannels] = dy.shape as [number, number, number, number];
  const padding = stride === 2 ? 0 : (kernelSize - 1) / 2;
  const zoom = upsample ? 2 : 1;
  const out = new Float64Array(dw.values.length);
  for (let b = 0; b < batch; b++) {
    for (let at = 0; at < outHeight * outWidth; at++) {
      for (let tap = 0; tap < kernelSize ** 2; tap++) {
        const row = Math.floor(at / outWidth) * stride + Math.floor(tap / kernelSize) - padding;
        const column = at % outWidth * stride + tap % kernelSize - padding;
        const [h, w] = [Math.floor(row / zoom), Math.floor(column / zoom)];
        if (h < 0 || h >= height || w < 0 || w >= width) continue;
        for (let o = 0; o < outChannels; o++) {
          const gradient = dy.values[(b * outHeight * outWidth + at) * outChannels + o]!;
          for (let i = 0; i < inChannels; i++) {
            const value = x.values[((b * height + h) * width + w) * inChannels + i]!;
            out[(o * inChannels + i) * kernelSize ** 2 + tap]! += gradient * value;
          }
        }
      }
    }
  }
  store(dw, Float32Array.from(out));
}

/** Pixels at odd places, zeros elsewhere. */
export function dilate(x: Floats, y: Floats): void {
  const [batch, height, width, channels] = y.shape as [number, number, number, number];
  const [rows, columns] = x.shape.slice(1) as [number, number];
  const out = new Float32Array(y.values.length);
  for (let b = 0; b < batch; b++) {
    for (let i = 0; i < rows; i++) {
      for (let j = 0; j < columns; j++) {
        const from = ((b * rows + i) * columns + j) * channels;
        const to = ((b * height + 2 * i + 1) * width + 2 * j + 1) * channels;
        out.set(x.values.subarray(from, from + channels), to);
      }
    }
  }
  store(y, out);
}

/** Sums of 2×2 pixels. */
export function sumBlocks(x: Floats, y: Floats): void {
  const [, height, width, channels] = y.shape as [number, number, number, number];
  const out = new Float64Array(y.values.length);
  x.values.forEach((value, at) => {
    const pixel = Math.floor(at / channels);
    const [b, i, j] = [
      Math.floor(pixel / (4 * height * width)),
      Math.floor(pixel / (2 * width)) % (2 * height),
      pixel % (2 * width),
    ];
    const to = (b * height + (i >> 1)) * width + (j >> 1);
    out[to * channels + at % channels]! += value;
  });
  store(y, Float32Array.from(out));
}
