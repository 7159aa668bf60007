// Runs an ONNX model in onnxruntime, told by `PeerProcess`:
//
//     deno run --allow-all onnx_child.ts <folder of node_modules> <package> <task folder> <threads>

import { createRequire } from "node:module";
import { typedArray } from "../../src/checkpoints/arrays.ts";
import { openFolder } from "../../src/checkpoints/folders.ts";
import { openWeights } from "../../src/checkpoints/weights.ts";
import { bestTime } from "../timing.ts";
import { lines } from "./lines.ts";
import { TaskFile } from "./task_folder.ts";

/** What is used of onnxruntime's interface, which its two packages share. */
interface OnnxRuntime {
  readonly env: { readonly wasm: { numThreads?: number } };
  readonly Tensor: new (type: string, data: unknown, shape: readonly number[]) => unknown;
  readonly InferenceSession: {
    create(model: Uint8Array, options: Record<string, unknown>): Promise<{
      run(inputs: Record<string, unknown>): Promise<{ y: { data: Float32Array<ArrayBuffer> } }>;
    }>;
  };
}

const TYPES: Readonly<Record<string, string>> = { F32: "float32", I32: "int32" };

const [modules, name, folder, threadsText] = Deno.args as [string, string, string, string];
const threads = Number(threadsText);
const onnx: OnnxRuntime = createRequire(`${modules}/`)(name);
const isWeb = name === "onnxruntime-web";
if (isWeb) onnx.env.wasm.numThreads = threads;

const inputs: Record<string, unknown> = {};
await using arrays = await openWeights(await openFolder(folder), [TaskFile.inputs]);
for (const input of arrays.names()) {
  const array = await arrays.loadStored(input);
  inputs[input] = new onnx.Tensor(TYPES[array.dtype]!, typedArray(array), array.shape);
}
const model = await Deno.readFile(`${folder}/${TaskFile.model}`);
const session = await onnx.InferenceSession.create(model, {
  intraOpNumThreads: threads,
  executionProviders: [isWeb ? "wasm" : "cpu"],
});

let result: Float32Array<ArrayBuffer> | undefined;
const run = async () => {
  result = (await session.run(inputs)).y.data;
};
console.log("ready");
for await (const line of lines(Deno.stdin.readable)) {
  const [command, milliseconds] = line.split(" ");
  if (command === "turn") console.log(await bestTime(run, Number(milliseconds)));
  else {
    await Deno.writeFile(`${folder}/${TaskFile.output}`, new Uint8Array(result!.buffer));
    console.log("done");
  }
}
Deno.exit(0);
