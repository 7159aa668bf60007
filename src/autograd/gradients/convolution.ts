/**
 * Gradients of convolutions.
 *
 * @module
 */

import type { ConvSampling, Frame, PackOptions, Tensor } from "../../backends/backend.ts";
import { type RecordGradients, sumRows } from "../tape.ts";

/** What a convolution's weight was packed of. */
export interface PackedKernel extends Pick<PackOptions, "bias"> {
  /** (outChannels, inChannels, k, k). */
  readonly kernel: Tensor;
}

/**
 * y = x ∗ W + b + a, by x, by W and by what of b and a there is. By x it is a convolution of dy by the adjoint
 * weight, after the adjoint of the stride and before that of the doubling.
 */
export function conv2dGradients(
  x: Tensor,
  { kernel, bias }: PackedKernel,
  sampling: ConvSampling,
  addTo: Tensor | undefined,
): RecordGradients {
  const kernelSize = kernel.shape.at(-1) as 1 | 3;
  return (frame, dy, [xWanted, kernelWanted, biasWanted]) => [
    xWanted ? byArgument(frame, x, dy, kernel, sampling) : undefined,
    kernelWanted ? frame.conv2dWeightGradient(x, dy, { kernelSize, ...sampling }) : undefined,
    ...(bias ? [biasWanted ? sumRows(frame, dy) : undefined] : []),
    ...(addTo ? [dy] : []),
  ];
}

function byArgument(
  frame: Frame,
  x: Tensor,
  dy: Tensor,
  kernel: Tensor,
  { stride, upsample }: ConvSampling,
): Tensor {
  using adjoint = frame.packConv(kernel, { transpose: true });
  if (stride === 2) {
    const [, height, width] = x.shape as [number, number, number, number];
    using dilated = frame.dilate(dy, height, width);
    return frame.conv2d(dilated, adjoint);
  }
  if (!upsample) return frame.conv2d(dy, adjoint);
  using doubled = frame.conv2d(dy, adjoint);
  return frame.sumBlocks(doubled);
}
