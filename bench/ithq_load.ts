// Measures what memory a model of the size of ithq's takes: see `USAGE`.

import type { WeightDType } from "../src/base/dtypes.ts";
import { createWasmBackend } from "../src/backends/wasm/wasm_backend.ts";
import type { ArraySource } from "../src/checkpoints/arrays.ts";
import { saveWeights } from "../src/checkpoints/save_weights.ts";
import { integerOption, UsageError } from "../src/cli/arguments.ts";
import { writeFolder } from "../src/files/folder_writer.ts";
import { Transformer2DModel } from "../src/models/transformer_2d.ts";
import { VQModel } from "../src/models/vq_model.ts";
import { runScript } from "../tools/script.ts";
import {
  CONTEXT_LENGTH,
  ITHQ,
  randomTransformer,
  transformerConfig,
} from "./random_transformer.ts";
import { vqConfig, vqShapes, type VQSize } from "./random_vq_model.ts";
import { randomNumbers, randomWeights } from "./random_weights.ts";

const CASES = ["fp16-fp16", "fp16-q8", "fp32-fp16", "fp32-q8", "q8-q8", "fp32-fp32"];

const USAGE =
  `Loads a model of the size of ithq's from a folder made for it, and measures the memory it takes.

    deno run --allow-all bench/ithq_load.ts [cases] [options]

Cases are FILE-HELD, such as fp32-q8 for float32 files held in int8; default: ${CASES.join(" ")}.
Each runs in a process of its own.

--steps n       guided evaluations of each case; default: 1
--folder path   keeps the files, up to 8.5 GB; default: a temporary folder`;

const WEIGHTS = "diffusion_pytorch_model.safetensors";

/** The image autoencoder of ithq: 64 · (1, 2, 4, 8) channels. */
const VQ: VQSize = {
  channels: [64, 128, 256, 512],
  layers: 2,
  side: 256,
  latentChannels: 256,
  codes: 4096,
};

/** What a process that loaded the model reports. */
interface Loaded {
  /** Resident memory in bytes: before, after, and the most there was until then. */
  readonly before: number;
  readonly after: number;
  readonly peak: number;
  /** Bytes of the weights, as the models expected. */
  readonly weights: number;
  readonly seconds: number;
  /** Milliseconds of each guided evaluation. */
  readonly steps: readonly number[];
}

/** A field of `/proc/self/status`, in bytes. */
function status(field: "VmRSS" | "VmHWM"): number {
  const text = Deno.readTextFileSync("/proc/self/status");
  return 1024 * Number(text.match(new RegExp(`^${field}:\\s+(\\d+) kB`, "m"))![1]);
}

async function makeFolder(path: string, dtype: "fp32" | "fp16"): Promise<void> {
  await using folder = await writeFolder(path);
  const models: [string, Readonly<Record<string, unknown>>, ArraySource][] = [
    ["transformer", transformerConfig(ITHQ).values, randomTransformer(ITHQ)],
    ["vqvae", vqConfig(VQ).values, randomWeights(vqShapes(VQ))],
  ];
  for (const [name, config, weights] of models) {
    await folder.writeText(`${name}/config.json`, JSON.stringify(config));
    await saveWeights(weights, folder.folder(name), WEIGHTS, { dtype });
  }
  await folder.commit();
}

/** Converts a folder, and gives the most memory that took. */
async function quantize(from: string, to: string): Promise<number> {
  await using backend = await createWasmBackend({ threads: 1 });
  await using folder = await writeFolder(to);
  const options = { backend, load: false };
  await using transformer = await Transformer2DModel.fromPretrained(`${from}/transformer`, options);
  await transformer.savePretrained(folder.folder("transformer"), { dtype: "q8" });
  await using vqvae = await VQModel.fromPretrained(`${from}/vqvae`, options);
  await vqvae.savePretrained(folder.folder("vqvae"), { dtype: "q8" });
  await folder.commit();
  return status("VmHWM");
}

async function load(folder: string, dtype: WeightDType, steps: number): Promise<Loaded> {
  await using backend = await createWasmBackend();
  const before = status("VmRSS");
  const start = performance.now();
  const options = { backend, dtype };
  await using transformer = await Transformer2DModel.fromPretrained(
    `${folder}/transformer`,
    options,
  );
  await using _vqvae = await VQModel.fromPretrained(`${folder}/vqvae`, options);
  const seconds = (performance.now() - start) / 1000;
  const [after, peak] = [status("VmRSS"), status("VmHWM")];
  const weights = backend.memoryUse().bytes;
  const times: number[] = [];
  for (let i = 0; i < steps; i++) times.push(await step(transformer));
  return { before, after, peak, weights, seconds, steps: times };
}

/** Milliseconds of one evaluation with guidance. */
async function step(transformer: Transformer2DModel): Promise<number> {
  const { backend } = transformer;
  const pixels = ITHQ.side ** 2;
  const shape = [2, CONTEXT_LENGTH, ITHQ.context];
  using sample = backend.tensor(new Int32Array(pixels).fill(ITHQ.classes - 1), [1, pixels]);
  using encoderHiddenStates = backend.tensor(
    randomNumbers("context", 2 * CONTEXT_LENGTH * ITHQ.context),
    shape,
  );
  const start = performance.now();
  using logProbs = transformer.forward({ sample, encoderHiddenStates, timestep: 50 });
  await logProbs.data();
  return performance.now() - start;
}

/** Runs this file in a process of its own. */
async function child<T>(...args: string[]): Promise<T | string> {
  const command = new Deno.Command(Deno.execPath(), {
    args: ["run", "--allow-all", import.meta.filename!, "--child", ...args],
    stdout: "piped",
    stderr: "piped",
  });
  const { stdout, stderr } = await command.output();
  const decoder = new TextDecoder();
  const [last = ""] = decoder.decode(stdout).trim().split("\n").slice(-1);
  return last === "" ? decoder.decode(stderr).trim().split("\n")[0]! : JSON.parse(last);
}

const gigabytes = (bytes: number) => `${(bytes / 1e9).toFixed(2)} GB`;

async function report(cases: readonly string[], root: string, steps: number): Promise<void> {
  for (const name of cases) {
    const [file = "", held = ""] = name.split("-");
    const folder = `${root}/${file}`;
    if (!await exists(folder)) {
      console.log(`Making a folder in ${file}`);
      if (file !== "q8") await makeFolder(folder, file === "fp16" ? "fp16" : "fp32");
      else {
        const peak = await child<number>("quantize", await sourceOf(root), folder);
        console.log(`fp32 → q8 on disk: peak ${typeof peak === "number" ? gigabytes(peak) : peak}`);
      }
    }
    const result = await child<Loaded>("load", folder, held, String(steps));
    if (typeof result === "string") {
      console.log(`${name}: ${result}`);
      continue;
    }
    const { before, after, peak, weights, seconds } = result;
    const times = result.steps.map((time) => `${(time / 1000).toFixed(1)} s`).join(", ");
    console.log(
      `${name}: weights ${gigabytes(weights)}, resident ${gigabytes(before)} before, ` +
        `${gigabytes(after)} after, peak ${gigabytes(peak)}; ${seconds.toFixed(0)} s; ` +
        `guided evaluations ${times || "not run"}`,
    );
  }
}

/** The folder in float32, made if need be. */
async function sourceOf(root: string): Promise<string> {
  const folder = `${root}/fp32`;
  if (!await exists(folder)) await makeFolder(folder, "fp32");
  return folder;
}

async function exists(path: string): Promise<boolean> {
  return await Deno.stat(path).then(() => true, () => false);
}

/** What a process of a case does; the result is its last line. */
async function runChild([verb, from = "", to = "", steps]: readonly string[]): Promise<void> {
  const result = verb === "quantize"
    ? await quantize(from, to)
    : await load(from, to as WeightDType, Number(steps));
  console.log(JSON.stringify(result));
}

async function runCases(
  cases: readonly string[],
  folder: string | undefined,
  steps: number,
): Promise<void> {
  const unknown = cases.find((name) => !CASES.includes(name));
  if (unknown !== undefined) {
    throw new UsageError(`The case is "${unknown}", expected some of ${CASES.join(", ")}`);
  }
  const root = folder ?? await Deno.makeTempDir({ prefix: "vq-diffusion-" });
  try {
    await report(cases.length > 0 ? cases : CASES, root, steps);
  } finally {
    if (folder === undefined) await Deno.remove(root, { recursive: true });
  }
}

await runScript({
  usage: USAGE,
  options: {
    steps: { type: "string", default: "1" },
    folder: { type: "string" },
    child: { type: "boolean", default: false },
  },
  positionals: true,
  run({ values, positionals }) {
    if (values.child) return runChild(positionals);
    const steps = integerOption("steps", values.steps, { min: 0 })!;
    return runCases(positionals, values.folder, steps);
  },
});
