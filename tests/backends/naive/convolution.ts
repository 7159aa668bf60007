// Convolution, written to be read: float64 inside, rounded to float32 when stored.

import type { ConvGeometry } from "../../../src/backends/recording.ts";
import { type Floats, store } from "./arrays.ts";

/** Weight (outChannels, inChannels, kernelSize, kernelSize) and bias (outChannels). */
export interface Convolution {
  readonly weight: Float32Array;
  readonly bias: Float32Array;
  readonly outChannels: number;
  readonly inChannels: number;
  readonly kernelSize: number;
}

/** Convolution of (batch, height, width, inChannels). */
export function conv2d(
  { values: x, shape }: Floats,
  { weight, bias, outChannels, inChannels, kernelSize }: Convolution,
  y: Floats,
  { stride, upsample, add }: Omit<ConvGeometry, "shape">,
): void {
  const [batch, height, width] = shape as [number, number, number];
  const convolved = (length: number) =>
    stride === 2 ? Math.floor(length / 2) : upsample ? 2 * length : length;
  const [outHeight, outWidth] = [convolved(height), convolved(width)];
  // Zeros above and to the left; a convolution of stride 2 has them below and to the right only.
  const padding = stride === 2 ? 0 : (kernelSize - 1) / 2;
  const zoom = upsample ? 2 : 1;
  const out = new Float32Array(batch * outHeight * outWidth * outChannels);
  let index = 0;
  for (let b = 0; b < batch; b++) {
    for (let row = 0; row < outHeight; row++) {
      for (let column = 0; column < outWidth; column++) {
        for (let o = 0; o < outChannels; o++) {
          let total = bias[o]!;
          for (let ky = 0; ky < kernelSize; ky++) {
            for (let kx = 0; kx < kernelSize; kx++) {
              const h = Math.floor((row * stride + ky - padding) / zoom);
              const w = Math.floor((column * stride + kx - padding) / zoom);
              if (h < 0 || h >= height || w < 0 || w >= width) continue;
              const pixel = ((b * height + h) * width + w) * inChannels;
              for (let i = 0; i < inChannels; i++) {
                const tap = ((o * inChannels + i) * kernelSize + ky) * kernelSize + kx;
                total += x[pixel + i]! * weight[tap]!;
              }
            }
          }
          out[index++] = total;
        }
      }
    }
  }
  store(y, out, add);
}
