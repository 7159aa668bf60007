// A program is a list of commands in memory, which the host records once and runs often. Every
// thread goes through the whole list; each command shares its chunks among them.

import { attention, AttentionCommand, attentionScratch } from "./attention";
import { ConvCommand, convolution, convScratch } from "./convolution";
import {
  embedding,
  EmbeddingCommand,
  geglu,
  logSoftmax,
  nearestCode,
  NearestCodeCommand,
  repeat,
  transpose,
  TransposeCommand,
} from "./elementwise";
import { linear, LinearCommand, linearScratch } from "./linear";
import {
  linearQ8,
  LinearQ8Command,
  linearQ8Scratch,
  QuantizeCommand,
  quantizeRows,
} from "./linear_q8";
import {
  groupNormApply,
  GroupNormCommand,
  groupNormScratch,
  groupNormSums,
  layerNorm,
  LayerNormCommand,
  normalizeRows,
  RowsCommand,
} from "./norms";
import { posterior, PosteriorCommand, posteriorScratch } from "./posterior";
import { SampleCommand, sampleScratch, sampleStep } from "./sampling";
import { barrier, Control } from "./threads";
import { winograd, WinogradCommand, winogradScratch } from "./winograd";

/** Kinds of commands; the host numbers them alike. */
const enum Opcode {
  Linear,
  QuantizeRows,
  LinearQ8,
  Attention,
  LayerNorm,
  GroupNormSums,
  GroupNormApply,
  Convolution,
  Embedding,
  Geglu,
  Transpose,
  Repeat,
  NormalizeRows,
  NearestCode,
  LogSoftmax,
  Posterior,
  SampleStep,
  Winograd,
}

/** Bytes of a command. */
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
    execute(program, shared, scratch);
    if (!barrier(shared, threads)) return false;
  }
  return true;
}

function execute(command: usize, control: Control, scratch: usize): void {
  switch (load<i32>(command)) {
    case Opcode.Linear:
      return linear(changetype<LinearCommand>(command), control, scratch);
    case Opcode.QuantizeRows:
      return quantizeRows(changetype<QuantizeCommand>(command), control);
    case Opcode.LinearQ8:
      return linearQ8(changetype<LinearQ8Command>(command), control, scratch);
    case Opcode.Attention:
      return attention(changetype<AttentionCommand>(command), control, scratch);
    case Opcode.LayerNorm:
      return layerNorm(changetype<LayerNormCommand>(command), control);
    case Opcode.GroupNormSums:
      return groupNormSums(changetype<GroupNormCommand>(command), control);
    case Opcode.GroupNormApply:
      return groupNormApply(changetype<GroupNormCommand>(command), control, scratch);
    case Opcode.Convolution:
      return convolution(changetype<ConvCommand>(command), control, scratch);
    case Opcode.Embedding:
      return embedding(changetype<EmbeddingCommand>(command), control);
    case Opcode.Geglu:
      return geglu(changetype<RowsCommand>(command), control);
    case Opcode.Transpose:
      return transpose(changetype<TransposeCommand>(command), control);
    case Opcode.Repeat:
      return repeat(changetype<RowsCommand>(command), control);
    case Opcode.NormalizeRows:
      return normalizeRows(changetype<RowsCommand>(command), control);
    case Opcode.NearestCode:
      return nearestCode(changetype<NearestCodeCommand>(command), control);
    case Opcode.LogSoftmax:
      return logSoftmax(changetype<RowsCommand>(command), control);
    case Opcode.Posterior:
      return posterior(changetype<PosteriorCommand>(command), control, scratch);
    case Opcode.SampleStep:
      return sampleStep(changetype<SampleCommand>(command), control, scratch);
    case Opcode.Winograd:
      return winograd(changetype<WinogradCommand>(command), control, scratch);
    default:
      unreachable();
  }
}

/** Bytes of scratch that a command needs for each thread. */
export function scratchBytes(command: usize): usize {
  switch (load<i32>(command)) {
    case Opcode.Linear:
      return linearScratch();
    case Opcode.LinearQ8:
      return linearQ8Scratch();
    case Opcode.Attention: {
      const attention = changetype<AttentionCommand>(command);
      return attentionScratch(attention.keys, attention.headDim);
    }
    case Opcode.GroupNormApply:
      return groupNormScratch(changetype<GroupNormCommand>(command).channels);
    case Opcode.Convolution:
      return convScratch();
    case Opcode.Posterior:
      return posteriorScratch(changetype<PosteriorCommand>(command).classes);
    case Opcode.SampleStep:
      return sampleScratch(changetype<SampleCommand>(command).classes);
    case Opcode.Winograd:
      return winogradScratch(changetype<WinogradCommand>(command).inChannels);
    default:
      return 0;
  }
}
