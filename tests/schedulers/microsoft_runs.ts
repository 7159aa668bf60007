// Golden runs of Microsoft's samplers from embeddings, and how a pipeline is compared with them.

import { assertEquals } from "@std/assert";
import type { Backend } from "../../src/backends/backend.ts";
import { createWasmBackend } from "../../src/backends/wasm/wasm_backend.ts";
import { typedArray } from "../../src/checkpoints/arrays.ts";
import { parseSafetensors } from "../../src/checkpoints/safetensors.ts";
import { Transformer2DModel } from "../../src/models/transformer_2d.ts";
import { VQDiffusionPipeline } from "../../src/pipeline/vq_diffusion_pipeline.ts";
import { TorchGenerator } from "../../src/random/torch_generator.ts";
import type { Scheduler } from "../../src/schedulers/scheduler.ts";
import { makeWebGpu, WITHOUT_WEBGPU } from "../backends/webgpu_adapter.ts";
import { fastEmbeddings } from "../pipeline/sampling_fast.ts";

/** A run of the reference: its arguments, and what it gave. */
export interface MicrosoftRun {
  readonly name: string;
  readonly num_train_timesteps?: number;
  readonly prompts: readonly string[];
  /** Names of the embeddings, one for each image; those of the prompts if it is missing. */
  readonly condition_order?: readonly string[];
  readonly infer_speed: number | false;
  readonly prior_rule?: 1 | 2;
  readonly prior_weight?: number;
  /** The name of a table of the original, or a table. */
  readonly n_sample?: string | readonly number[];
  readonly guidance_scale: number;
  readonly truncation_rate: number;
  readonly seed: number;
  readonly calls: number;
  /** Where the model lies. */
  readonly model: URL;
  /** The fields of the scheduler's config. */
  readonly config: Readonly<Record<string, unknown>>;
  /** Which calls there are tokens of. */
  readonly tokenCalls: readonly number[];
  /** Numbers of a tensor. */
  numbers(name: string): Int32Array | Float32Array | Uint8Array;
}

/** All runs of a case whose results are here. */
export function microsoftRuns(name: "sampling_fast" | "sampling_purity"): MicrosoftRun[] {
  const folder = new URL(`../fixtures/${name}/`, import.meta.url);
  const read = (path: string) => JSON.parse(Deno.readTextFileSync(new URL(path, folder)));
  const { runs } = read("case.json");
  return [...Deno.readDirSync(new URL("runs/", folder))].map((file) => {
    const run = file.name.replace(".safetensors", "");
    const arrays = parseSafetensors(Deno.readFileSync(new URL(`runs/${file.name}`, folder)));
    const numbers = (key: string) => typedArray(arrays.get(key)!) as Int32Array;
    const model = run.startsWith("small_")
      ? new URL("../fixtures/sampling_fast/", import.meta.url)
      : folder;
    const values = JSON.parse(
      Deno.readTextFileSync(new URL("scheduler/scheduler_config.json", model)),
    );
    const { num_train_timesteps = 100, calls } = runs[run];
    return {
      ...runs[run],
      ...{ name: run, model, numbers, config: { ...values, num_train_timesteps } },
      tokenCalls: arrays.has("token_calls")
        ? [...numbers("token_calls")]
        : [...Array(calls).keys()],
    };
  }).sort((a, b) => a.name.localeCompare(b.name));
}

/** Backends that all runs, or only some, are repeated on. */
export const RUN_BACKENDS: readonly {
  readonly name: string;
  readonly make: () => Promise<Backend>;
  /** Whether only short runs are to be repeated. */
  readonly slow: boolean;
  readonly ignore?: boolean;
}[] = [
  {
    name: "wasm",
    slow: false,
    make: () => createWasmBackend({ threads: 2, simd: "relaxed-simd" }),
  },
  ...([[1, "relaxed-simd"], [1, "simd"], [2, "simd"]] as const).map(([threads, simd]) => ({
    name: `wasm, ${threads} threads, ${simd}`,
    slow: true,
    make: () => createWasmBackend({ threads, simd }),
  })),
  { name: "WebGPU", slow: true, make: makeWebGpu, ignore: WITHOUT_WEBGPU },
];

/** Calls of a run that a test waits for. */
const MOST_CALLS = 120;

/** Draws the images of a run and compares the timesteps, and the tokens as far as they are here. */
export async function checkRun(
  backend: Backend,
  scheduler: Scheduler,
  run: MicrosoftRun,
): Promise<void> {
  await using transformer = await Transformer2DModel.fromPretrained(run.model, {
    backend,
    subfolder: "transformer",
  });
  const pipe = new VQDiffusionPipeline({ transformer, scheduler });
  const options = {
    promptEmbeds: fastEmbeddings(run.condition_order ?? run.prompts, run.model),
    ...(run.guidance_scale !== 1 && {
      negativePromptEmbeds: fastEmbeddings(["uncond"], run.model),
    }),
    guidanceScale: run.guidance_scale,
    truncationRate: run.truncation_rate,
    // One stream for all images, as in the reference.
    generator: new TorchGenerator(run.seed),
  };
  const stored = run.numbers("tokens");
  const size = stored.length / run.tokenCalls.length;
  let compared = 0;
  for await (const { step, steps, timestep, tokens } of pipe.stream(undefined, options)) {
    const call = step - 1;
    assertEquals([steps, timestep], [run.calls, run.numbers("timesteps")[call]]);
    const index = run.tokenCalls.indexOf(call);
    if (index >= 0) {
      const expected = [...stored.slice(index * size, (index + 1) * size)];
      assertEquals([...tokens], expected, `tokens after call ${call}`);
      compared++;
    }
    if (step === MOST_CALLS) break;
  }
  assertEquals(compared, run.tokenCalls.filter((call) => call < MOST_CALLS).length);
}
