// A program is a list of commands in memory, which the host records once and runs often. Every
// thread goes through the whole list; each command shares its chunks among them.

import { attention, AttentionCommand, attentionScratch } from "./attention";
import {
  attentionGradient,
  AttentionGradientCommand,
  attentionGradientScratch,
} from "./attention_gradient";
import { conv2d, Conv2dCommand, conv2dScratch } from "./convolution";
import {
  conv2dWeightGradient,
  Conv2dWeightGradientCommand,
  conv2dWeightGradientScratch,
  conv2dWeightGradientSum,
  dilate,
  packConv,
  PackConvCommand,
  PixelsCommand,
  sumBlocks,
} from "./convolution_gradient";
import { distance, DistanceCommand, distanceGradient } from "./distance";
import {
  activate,
  activateGradient,
  add,
  ElementsCommand,
  gegluGradient,
  layerNormGradient,
  LayerNormGradientCommand,
  logSoftmaxGradient,
  multiply,
  pack,
  PackCommand,
  RowsGradientCommand,
  scatterAdd,
  ScatterAddCommand,
} from "./gradients";
import { linear, LinearCommand, linearScratch } from "./linear";
import {
  linearQ8,
  LinearQ8Command,
  linearQ8Scratch,
  quantizeRows,
  QuantizeRowsCommand,
} from "./linear_q8";
import {
  diffusionLoss,
  DiffusionLossCommand,
  diffusionLossGradient,
  DiffusionLossGradientCommand,
  diffusionLossScratch,
  diffusionLossGradientScratch,
} from "./loss";
import {
  adaLayerNorm,
  AdaLayerNormCommand,
  groupNormApply,
  GroupNormCommand,
  groupNormScratch,
  groupNormSums,
  layerNorm,
  LayerNormCommand,
} from "./norms";
import {
  groupNormGradient,
  groupNormGradientApply,
  GroupNormGradientCommand,
  groupNormGradientScratch,
  normalizeRowsGradient,
} from "./norms_gradient";
import {
  predictStart,
  PredictCommand,
  predictScratch,
  rowMax,
  sharpen,
  SharpenCommand,
} from "./prediction";
import {
  embedding,
  EmbeddingCommand,
  geglu,
  logSoftmax,
  nearestCode,
  NearestCodeCommand,
  normalizeRows,
  repeat,
  RepeatCommand,
  RowsCommand,
  transpose,
  TransposeCommand,
} from "./rows";
import {
  posterior,
  PosteriorCommand,
  posteriorScratch,
  sampleStep,
  SampleStepCommand,
  sampleStepScratch,
} from "./sampling";
import { barrier, Control } from "./threads";
import { winograd, WinogradCommand, winogradScratch } from "./winograd";

/** Bytes of a command, and from one to the next. */
export const COMMAND_BYTES: i32 = 96;

/**
 * Runs `count` commands as one of `threads` threads.
 *
 * @param control Address of the {@link Control} that the threads share.
 * @param scratch Memory of this thread alone, as large as `scratchBytes` says for each command.
 * @returns Whether all were run; false if the run was aborted.
 */
export function run(
  program: usize,
  count: i32,
  control: usize,
  threads: i32,
  scratch: usize,
): bool {
  const shared = changetype<Control>(control);
  for (let i = 0; i < count; i++, program += COMMAND_BYTES) {
    perform(program, shared, scratch);
    if (!barrier(shared, threads)) return false;
  }
  return true;
}

/**
 * Runs some chunks of a command on one thread alone: `count` from `first` on, or as many as there are.
 *
 * @returns Whether there may be more.
 */
export function runChunks(
  command: usize,
  control: usize,
  first: i32,
  count: i32,
  scratch: usize,
): bool {
  const shared = changetype<Control>(control);
  shared.nextChunk = first;
  shared.limit = first + count;
  perform(command, shared, scratch);
  const more = shared.nextChunk > shared.limit;
  shared.nextChunk = 0;
  shared.limit = 0;
  return more;
}

/** Bytes of scratch that a command needs for each thread. */
export function scratchBytes(command: usize): usize {
  return perform(command, changetype<Control>(0), 0);
}

/**
 * Runs a command; without `control` it only returns the bytes of scratch that the command needs.
 *
 * This is the list of all operations: `deno task build` reads the number, the class and the name of each
 * from it, and makes `wasm/commands.ts` of them.
 */
function perform(command: usize, control: Control, scratch: usize): usize {
  switch (load<i32>(command)) {
    case 0:
      return inScratch<LinearCommand>(command, control, scratch, linear, linearScratch);
    case 1:
      return plain<QuantizeRowsCommand>(command, control, quantizeRows);
    case 2:
      return inScratch<LinearQ8Command>(command, control, scratch, linearQ8, linearQ8Scratch);
    case 3:
      return inScratch<AttentionCommand>(command, control, scratch, attention, attentionScratch);
    case 4:
      return plain<LayerNormCommand>(command, control, layerNorm);
    case 5:
      return plain<AdaLayerNormCommand>(command, control, adaLayerNorm);
    case 6:
      return plain<GroupNormCommand>(command, control, groupNormSums);
    case 7:
      return inScratch<GroupNormCommand>(command, control, scratch, groupNormApply, groupNormScratch);
    case 8:
      return inScratch<Conv2dCommand>(command, control, scratch, conv2d, conv2dScratch);
    case 9:
      return inScratch<WinogradCommand>(command, control, scratch, winograd, winogradScratch);
    case 10:
      return plain<EmbeddingCommand>(command, control, embedding);
    case 11:
      return plain<RowsCommand>(command, control, geglu);
    case 12:
      return plain<TransposeCommand>(command, control, transpose);
    case 13:
      return plain<RepeatCommand>(command, control, repeat);
    case 14:
      return plain<RowsCommand>(command, control, normalizeRows);
    case 15:
      return plain<NearestCodeCommand>(command, control, nearestCode);
    case 16:
      return plain<RowsCommand>(command, control, logSoftmax);
    case 17:
      return inScratch<PosteriorCommand>(command, control, scratch, posterior, posteriorScratch);
    case 18:
      return inScratch<SampleStepCommand>(command, control, scratch, sampleStep, sampleStepScratch);
    case 19:
      return inScratch<PredictCommand>(command, control, scratch, predictStart, predictScratch);
    case 20:
      return plain<RowsCommand>(command, control, rowMax);
    case 21:
      return plain<SharpenCommand>(command, control, sharpen);
    case 22:
      return plain<ElementsCommand>(command, control, add);
    case 23:
      return plain<ElementsCommand>(command, control, activate);
    case 24:
      return plain<ElementsCommand>(command, control, activateGradient);
    case 25:
      return plain<RowsGradientCommand>(command, control, gegluGradient);
    case 26:
      return plain<RowsGradientCommand>(command, control, logSoftmaxGradient);
    case 27:
      return plain<LayerNormGradientCommand>(command, control, layerNormGradient);
    case 28:
      return inScratch<AttentionGradientCommand>(command, control, scratch, attentionGradient, attentionGradientScratch);
    case 29:
      return plain<ScatterAddCommand>(command, control, scatterAdd);
    case 30:
      return plain<PackCommand>(command, control, pack);
    case 31:
      return inScratch<DiffusionLossCommand>(command, control, scratch, diffusionLoss, diffusionLossScratch);
    case 32:
      return inScratch<DiffusionLossGradientCommand>(command, control, scratch, diffusionLossGradient, diffusionLossGradientScratch);
    case 33:
      return plain<PackConvCommand>(command, control, packConv);
    case 34:
      return inScratch<Conv2dWeightGradientCommand>(command, control, scratch, conv2dWeightGradient, conv2dWeightGradientScratch);
    case 35:
      return plain<Conv2dWeightGradientCommand>(command, control, conv2dWeightGradientSum);
    case 36:
      return plain<PixelsCommand>(command, control, dilate);
    case 37:
      return plain<PixelsCommand>(command, control, sumBlocks);
    case 38:
      return inScratch<GroupNormGradientCommand>(command, control, scratch, groupNormGradient, groupNormGradientScratch);
    case 39:
      return inScratch<GroupNormGradientCommand>(command, control, scratch, groupNormGradientApply, groupNormGradientScratch);
    case 40:
      return plain<RowsGradientCommand>(command, control, normalizeRowsGradient);
    case 41:
      return plain<DistanceCommand>(command, control, distance);
    case 42:
      return plain<DistanceCommand>(command, control, distanceGradient);
    case 43:
      return plain<ElementsCommand>(command, control, multiply);
    default:
      return unreachable();
  }
}

type Kernel<C> = (command: C, control: Control) => void;
type KernelInScratch<C> = (command: C, control: Control, scratch: usize) => void;
type Scratch<C> = (command: C) => usize;

/** An operation that needs no scratch memory. */
function plain<C>(command: usize, control: Control, kernel: Kernel<C>): usize {
  if (changetype<usize>(control)) kernel(changetype<C>(command), control);
  return 0;
}

/** An operation in scratch memory of as many bytes as `bytes` returns. */
function inScratch<C>(
  command: usize,
  control: Control,
  scratch: usize,
  kernel: KernelInScratch<C>,
  bytes: Scratch<C>,
): usize {
  if (!changetype<usize>(control)) return bytes(changetype<C>(command));
  kernel(changetype<C>(command), control, scratch);
  return 0;
}
