// The critic and the losses around it, plainly, in float64.

import type { TrainableParameters } from "../../src/training/trainable_parameters.ts";

/** Arrays by name. */
export type Weights = ReadonlyMap<string, Float64Array>;

/** Numbers (height, width, channels). */
export interface NaiveImage {
  readonly height: number;
  readonly width: number;
  readonly data: Float64Array;
}

/** The parameters as they are now. */
export async function weightsOf({ tensors }: TrainableParameters): Promise<Weights> {
  return new Map(
    await Promise.all(
      tensors.map(async ({ arrays, tensor }) =>
        [arrays[0]![0], Float64Array.from(await tensor.data())] as const
      ),
    ),
  );
}

/** Features of an image, layer by layer, and its scores at the end. */
export function naiveCritic(weights: Weights, image: NaiveImage): NaiveImage[] {
  const maps: NaiveImage[] = [];
  for (const i of [0, 1, 2]) {
    maps.push(silu(convolve(weights, `convs.${i}`, maps.at(-1) ?? image, 2)));
  }
  return [...maps, convolve(weights, "conv_out", maps.at(-1)!, 1)];
}

/** weight · (mean (D(x̂) − 1)² + 3 · mean_i mean |F_i(x̂) − F_i(x)|), over a batch. */
export function naiveTerms(
  weights: Weights,
  decoded: readonly NaiveImage[],
  images: readonly NaiveImage[],
  weight: number,
): number {
  const terms = decoded.map((image, i) => {
    const [of, from] = [image, images[i]!].map((x) => naiveCritic(weights, x));
    const scores = mean(of!.at(-1)!.data.map((score) => (score - 1) ** 2));
    const features = [0, 1, 2].map((l) => {
      const target = from![l]!.data;
      return mean(of![l]!.data.map((value, j) => Math.abs(value - target[j]!)));
    });
    return scores + 3 * mean(Float64Array.from(features));
  });
  return weight * mean(Float64Array.from(terms));
}

/** mean (D(x) − 1)² and mean D(x̂)², averaged. */
export function naiveCriticLoss(
  weights: Weights,
  decoded: readonly NaiveImage[],
  images: readonly NaiveImage[],
): number {
  const error = (image: NaiveImage, wanted: number) =>
    mean(naiveCritic(weights, image).at(-1)!.data.map((score) => (score - wanted) ** 2));
  const errors = [...images.map((x) => error(x, 1)), ...decoded.map((x) => error(x, 0))];
  return mean(Float64Array.from(errors));
}

/** Images of a batch (batch, channels, side, side). */
export function naiveImages(values: ArrayLike<number>, batch: number, side: number): NaiveImage[] {
  const size = values.length / batch;
  const [pixels, channels] = [side * side, size / (side * side)];
  return Array.from({ length: batch }, (_, b) => ({
    height: side,
    width: side,
    data: Float64Array.from(
      { length: size },
      (_, i) => values[b * size + (i % channels) * pixels + Math.floor(i / channels)]!,
    ),
  }));
}

/** 3 × 3, with zeros around; of stride 2 around pixels (2i + 1, 2j + 1). */
function convolve(weights: Weights, name: string, x: NaiveImage, stride: 1 | 2): NaiveImage {
  const [kernel, bias] = [weights.get(`${name}.weight`)!, weights.get(`${name}.bias`)!];
  const [height, width] = [Math.floor(x.height / stride), Math.floor(x.width / stride)];
  const channels = x.data.length / (x.height * x.width);
  const data = Float64Array.from({ length: height * width * bias.length }, (_, at) => {
    const out = at % bias.length;
    const pixel = Math.floor(at / bias.length);
    const [top, left] = [Math.floor(pixel / width), pixel % width].map((i) =>
      stride === 2 ? 2 * i : i - 1
    ) as [number, number];
    let sum = bias[out]!;
    for (let tap = 0; tap < 9; tap++) {
      const [row, column] = [top + Math.floor(tap / 3), left + tap % 3];
      if (row < 0 || column < 0 || row >= x.height || column >= x.width) continue;
      for (let c = 0; c < channels; c++) {
        const value = x.data[(row * x.width + column) * channels + c]!;
        sum += value * kernel[(out * channels + c) * 9 + tap]!;
      }
    }
    return sum;
  });
  return { height, width, data };
}

function silu(x: NaiveImage): NaiveImage {
  return { ...x, data: x.data.map((value) => value / (1 + Math.exp(-value))) };
}

function mean(values: Float64Array): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
