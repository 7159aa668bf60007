// Programs of others that do the same work as ours, in processes of their own.

import type { ArrayToWrite } from "../../src/checkpoints/safetensors_writer.ts";
import type { ArraySource } from "../../src/checkpoints/arrays.ts";
import type { OnnxModel } from "./onnx_transformer.ts";

/** Work that peers can do. */
export interface PeerTask {
  /** Which work. */
  readonly kind: "block" | "step" | "decode" | "scheduler" | "training";
  /** Sizes, as the kind needs them. */
  readonly sizes: Readonly<Record<string, unknown>>;
  readonly inputs: readonly ArrayToWrite[];
  readonly weights?: ArraySource;
  /** Makes the ONNX graph, if there is one. */
  readonly onnx?: () => Promise<OnnxModel>;
}

/** A program to compare with. */
export interface Peer {
  /** Name and version. */
  readonly name: string;
  /** Name in the title of a column. */
  readonly shortName: string;
  /** Instruction set. */
  readonly simd: string;
  /** Whether it can do the work. */
  supports(task: PeerTask): boolean;
  /** The command that does the task in a folder, told what to do by `PeerProcess`. */
  command(folder: string, threads: number): readonly string[];
}

/** An array of float32 numbers as an input of a task. */
export function floats(name: string, data: Float32Array, shape: readonly number[]): ArrayToWrite {
  return { name, dtype: "F32", shape, bytes: () => bytesOf(data) };
}

/** An array of int32 numbers as an input of a task. */
export function integers(name: string, data: Int32Array, shape: readonly number[]): ArrayToWrite {
  return { name, dtype: "I32", shape, bytes: () => bytesOf(data) };
}

function bytesOf({ buffer, byteOffset, byteLength }: ArrayBufferView): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}
