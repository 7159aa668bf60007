/**
 * Checks of operations that take many arguments.
 *
 * @module
 */

import type { Arguments, Device } from "./arguments.ts";
import {
  type AttentionOptions,
  type Columns,
  type ConvOptions,
  type ConvWeight,
  type GroupNormOptions,
  type PosteriorOptions,
  type PredictStartOptions,
  SCHEDULE_COLUMNS,
  type Tensor,
} from "./backend.ts";
import type { DiffusionLossTargets } from "./backend.ts";
import type {
  AttentionInputs,
  ConvGeometry,
  DiffusionLossInputs,
  GroupNormInputs,
  PosteriorInputs,
  PredictStartInputs,
  SharpenInputs,
} from "./recording.ts";
import { columnsOf } from "../base/shapes.ts";

/** Names of the lengths of images. */
export const IMAGES: readonly string[] = ["batch", "height", "width", "channels"];

/** Arguments of `attention`. */
export function attentionInputs<D extends Device>(
  args: Arguments<D>,
  q: Columns,
  k: Columns,
  v: Columns,
  options: AttentionOptions,
): AttentionInputs<D> {
  const { batch, heads, headDim, scale, causal = false } = options;
  args.natural("batch", batch);
  args.natural("heads", heads);
  args.natural("headDim", headDim);
  args.expect(scale > 0 && scale < Infinity, "scale to be positive and finite", scale);
  const width = heads * headDim;
  const inputs = {
    ...{ batch, heads, headDim, scale, causal },
    q: args.columns("q", q, width, batch),
    k: args.columns("k", k, width, batch),
    v: args.columns("v", v, width, batch),
  };
  const [queries, keys, values] = [inputs.q.rows, inputs.k.rows, inputs.v.rows];
  args.expect(keys > 0, "k with at least one row a sequence", keys);
  args.expect(values === keys, `v with ${keys} rows a sequence, as k`, values);
  const aligned = !causal || queries === keys;
  args.expect(aligned, `q with ${keys} rows a sequence, as k, to be causal`, queries);
  return inputs;
}

/** How `conv2d` of x (batch, height, width, channels) is done. */
export function convGeometry<D extends Device>(
  args: Arguments<D>,
  x: D["floats"],
  { kernelSize, outChannels }: Pick<ConvWeight, "kernelSize" | "outChannels">,
  { stride = 1, upsample = false, addTo }: ConvOptions,
): ConvGeometry {
  const possible = stride === 1 || (stride === 2 && kernelSize === 3 && !upsample);
  args.expect(possible, "stride 1, or 2 for a 3×3 kernel without upsample", stride);
  const [batch, height, width] = x.shape as [number, number, number];
  const large = stride === 1 || Math.min(height, width) >= 2;
  args.expect(large, "x of at least 2×2 pixels for stride 2", x.shape);
  // With stride 2 the padding is one row below and one column to the right.
  const side = (length: number) =>
    stride === 2 ? Math.floor(length / 2) : upsample ? 2 * length : length;
  const shape = [batch, side(height), side(width), outChannels];
  return { shape, stride, upsample, add: addTo !== undefined };
}

/** Arguments of `groupNorm` and its gradient. */
export function groupNormInputs<D extends Device>(
  args: Arguments<D>,
  x: Tensor,
  { weight, bias, groups, eps, silu = false }: GroupNormOptions,
): GroupNormInputs<D> {
  const input = args.floats("x", x, IMAGES);
  const channels = columnsOf(input);
  args.natural("groups", groups);
  args.expect(channels % groups === 0, `groups to divide ${channels} channels`, groups);
  return {
    x: input,
    weight: args.vector("weight", weight, channels),
    bias: args.vector("bias", bias, channels),
    ...{ groups, eps, silu },
  };
}

/**
 * Arguments of `posterior`, and those that `sampleStep` shares with it.
 *
 * @param copies Predictions of an image: two with guidance.
 */
export function posteriorInputs<D extends Device>(
  args: Arguments<D>,
  logProbs: Tensor,
  latents: Tensor<"i32">,
  { schedule, row }: PosteriorOptions,
  copies = 1,
): PosteriorInputs<D> {
  const tokens = args.ints("latents", latents, ["batch", "pixels"]);
  const [batch, pixels] = tokens.shape as [number, number];
  const predictions = args.floats("logProbs", logProbs, [copies * batch, pixels, "classes"]);
  const table = args.floats("schedule", schedule, ["rows", SCHEDULE_COLUMNS.length]);
  return {
    logProbs: predictions,
    latents: tokens,
    schedule: table,
    row: args.scalar("row", row),
    batch,
    pixels,
    classes: columnsOf(predictions) + 1,
    lastRow: table.shape[0]! - 1,
  };
}

/** Arguments of `predictStart`, and the number of images. */
export function predictStartInputs<D extends Device>(
  args: Arguments<D>,
  logProbs: Tensor,
  options: PredictStartOptions,
): PredictStartInputs<D> & { readonly batch: number } {
  const predictions = args.floats("logProbs", logProbs, ["batch", "pixels", "classes"]);
  const batch = predictions.shape[0]! / (options.guidanceScale === undefined ? 1 : 2);
  args.expect(Number.isInteger(batch), "logProbs of twice the batch", predictions.shape);
  return { logProbs: predictions, batch, ...predictStartOptions(args, options) };
}

/** How `predictStart` and `sampleStep` change a prediction, as far as it is given. */
export function predictStartOptions<D extends Device>(
  args: Arguments<D>,
  { guidanceScale, truncationRate, topK }: PredictStartOptions,
): PredictStartOptions {
  if (guidanceScale !== undefined) args.finite("guidanceScale", guidanceScale);
  if (truncationRate !== undefined) args.finite("truncationRate", truncationRate);
  if (topK !== undefined) args.natural("topK", topK);
  return { guidanceScale, truncationRate, topK };
}

/** Arguments of `sharpen`. */
export function sharpenInputs<D extends Device>(
  args: Arguments<D>,
  logProbs: Tensor,
  best: Tensor,
  weight: Tensor,
): SharpenInputs<D> {
  const predictions = args.floats("logProbs", logProbs, ["batch", "pixels", "classes"]);
  const [batch, pixels] = predictions.shape as [number, number, number];
  return {
    logProbs: predictions,
    best: args.floats("best", best, [batch, pixels]),
    weight: args.vector("weight", weight, 1),
  };
}

/** Arguments of `diffusionLoss` and its gradient. */
export function diffusionLossInputs<D extends Device>(
  args: Arguments<D>,
  logProbs: Tensor,
  { x0, xt, schedule, row }: DiffusionLossTargets,
): DiffusionLossInputs<D> {
  const image = args.ints("x0", x0, ["batch", "pixels"]);
  const [batch, pixels] = image.shape as [number, number];
  const predictions = args.floats("logProbs", logProbs, [batch, pixels, "classes"]);
  const table = args.floats("schedule", schedule, ["rows", SCHEDULE_COLUMNS.length]);
  return {
    logProbs: predictions,
    x0: image,
    xt: args.ints("xt", xt, [batch, pixels]),
    schedule: table,
    row: args.ints("row", row, [batch]),
    batch,
    pixels,
    classes: columnsOf(predictions) + 1,
    lastRow: table.shape[0]! - 1,
  };
}
