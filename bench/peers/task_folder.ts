// The folder in which a task is handed to peers.

import type { ArraySource } from "../../src/checkpoints/arrays.ts";
import { type ArrayToWrite, writeSafetensors } from "../../src/checkpoints/safetensors_writer.ts";
import type { ByteSink } from "../../src/files/folder_writer.ts";
import type { PeerTask } from "./peer.ts";

/** Files of the folder. */
export const TaskFile = {
  /** Kind and sizes, JSON. */
  task: "task.json",
  inputs: "inputs.safetensors",
  weights: "weights.safetensors",
  model: "model.onnx",
  /** What a peer computed, raw float32. */
  output: "output.f32",
} as const;

/** Writes what peers need. */
export async function writeTask(task: PeerTask, folder: string): Promise<void> {
  const { kind, sizes, inputs, weights, onnx } = task;
  await Deno.writeTextFile(`${folder}/${TaskFile.task}`, JSON.stringify({ kind, sizes }));
  await writeFile(`${folder}/${TaskFile.inputs}`, (sink) => writeSafetensors(inputs, sink));
  if (weights) {
    const arrays = arraysOf(weights);
    await writeFile(`${folder}/${TaskFile.weights}`, (sink) => writeSafetensors(arrays, sink));
  }
  if (onnx) {
    const parts = await onnx();
    await writeFile(`${folder}/${TaskFile.model}`, async (sink) => {
      for (const part of parts) await sink(part);
    });
  }
}

function arraysOf(source: ArraySource): ArrayToWrite[] {
  return source.names().map((name) => ({
    name,
    dtype: source.dtype(name)!,
    shape: source.shape(name)!,
    bytes: async () => (await source.loadStored(name)).bytes,
  }));
}

async function writeFile(path: string, write: (sink: ByteSink) => Promise<void>): Promise<void> {
  using file = await Deno.create(path);
  await write(async (bytes) => {
    for (let done = 0; done < bytes.length;) done += await file.write(bytes.subarray(done));
  });
}
