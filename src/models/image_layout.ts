/**
 * Layouts of images: callers have channels first, as in PyTorch; inside, a pixel is a row.
 *
 * @module
 */

import type { Frame, Tensor } from "../backends/backend.ts";

/** (batch, channels, height, width) → (batch, height, width, channels). */
export function channelsLast(frame: Frame, images: Tensor): Tensor {
  const [batch, channels, height, width] = images.shape as [number, number, number, number];
  const planes = frame.reshape(images, [batch, channels, height * width]);
  return frame.reshape(frame.transpose(planes), [batch, height, width, channels]);
}

/** (batch, height, width, channels) → (batch, channels, height, width). */
export function channelsFirst(frame: Frame, pixels: Tensor): Tensor {
  const [batch, height, width, channels] = pixels.shape as [number, number, number, number];
  const rows = frame.reshape(pixels, [batch, height * width, channels]);
  return frame.reshape(frame.transpose(rows), [batch, channels, height, width]);
}
