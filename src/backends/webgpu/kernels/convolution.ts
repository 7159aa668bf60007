/**
 * Convolutions as matrix products: a row of the left factor is the neighbourhood of a pixel of the
 * result, gathered while it is copied to workgroup memory, never stored as a whole.
 *
 * @module
 */

import type { ConvGeometry } from "../../recording.ts";
import { denseFactor, type LeftFactor, recordMatmul } from "./linear.ts";
import type { Recorder } from "../recorder.ts";
import type { FloatTensor } from "../tensor.ts";
import type { WebGpuConvWeight } from "../weights.ts";

interface Geometry {
  readonly kernelSize: number;
  readonly stride: number;
  readonly upsample: boolean;
  readonly channels: number;
}

/**
 * Neighbourhoods of pixels of x (batch, height, width, channels): columns are (ky, kx, channel), with
 * the channels filled up with zeros to a multiple of 4 as in the weight.
 */
function neighbourhoods({ kernelSize, stride, upsample, channels }: Geometry): LeftFactor {
  const vectors = channels % 4 === 0;
  // With stride 2 the padding is below and to the right only.
  const padding = stride === 1 && kernelSize === 3 ? 1 : 0;
  const load = vectors ? "return x[at / 4u];" : `
  let last = params.channels - 1u;
  let c = vec4u(channel, channel + 1u, channel + 2u, channel + 3u);
  let at4 = vec4u(at) + min(c, vec4u(last)) - channel;
  return select(vec4f(), vec4f(x[at4.x], x[at4.y], x[at4.z], x[at4.w]), c <= vec4u(last));`;
  return {
    name: `conv ${kernelSize}x${kernelSize} stride ${stride}` +
      `${upsample ? " upsample" : ""}${vectors ? " vectors" : ""}`,
    type: vectors ? "vec4f" : "f32",
    params: { height: "u32", width: "u32", channels: "u32", outHeight: "u32", outWidth: "u32" },
    code: `
// First pixel of the image, and the neighbourhood's corner.
struct Row { image: u32, y: i32, x: i32 }
fn rowOf(m: u32) -> Row {
  let column = m % params.outWidth;
  let line = m / params.outWidth % params.outHeight;
  let image = m / params.outWidth / params.outHeight;
  return Row(
    image * params.height * params.width,
    i32(line) * ${stride} - ${padding},
    i32(column) * ${stride} - ${padding},
  );
}
fn loadX(row: Row, k: u32) -> vec4f {
  let filled = (params.channels + 3u) / 4u * 4u;
  let tap = k / filled;
  let channel = k % filled;
  if (tap >= ${kernelSize ** 2}u) { return vec4f(); }
  // Negative coordinates become huge, so that one comparison is enough.
  let line = u32(row.y + i32(tap / ${kernelSize}u))${upsample ? " / 2u" : ""};
  let column = u32(row.x + i32(tap % ${kernelSize}u))${upsample ? " / 2u" : ""};
  if (line >= params.height || column >= params.width) { return vec4f(); }
  let at = (row.image + line * params.width + column) * params.channels + channel;
  ${load}
}`,
  };
}

/** Records a convolution of x into y. */
export function conv2d(
  recorder: Recorder,
  x: FloatTensor,
  weight: WebGpuConvWeight,
  y: FloatTensor,
  { shape, stride, upsample, add }: ConvGeometry,
): void {
  const [, height, width, channels] = x.shape as [number, number, number, number];
  const { kernelSize } = weight;
  const epilogue = { activation: "none", add } as const;
  if (kernelSize === 1 && !upsample) {
    const left = { factor: denseFactor(channels), params: { inner: channels } };
    return recordMatmul(recorder, left, x, weight.matrix, y, epilogue);
  }
  const factor = neighbourhoods({ kernelSize, stride, upsample, channels });
  const [, outHeight, outWidth] = shape as [number, number, number];
  const params = { height, width, channels, outHeight, outWidth };
  recordMatmul(recorder, { factor, params }, x, weight.matrix, y, epilogue);
}
