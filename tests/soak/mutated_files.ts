/**
 * Damaged files of all kinds.
 *
 * @module
 */

import { createWasmBackend } from "../../src/backends/wasm/wasm_backend.ts";
import { openArrays } from "../../src/checkpoints/weights.ts";
import { parseOriginalConfig } from "../../src/checkpoints/original/original_config.ts";
import { reportFolder } from "../../src/cli/model_report.ts";
import { memoryFile, memoryFolder } from "../../src/files/memory_folder.ts";
import { VQDiffusionPipeline } from "../../src/pipeline/vq_diffusion_pipeline.ts";
import { checkClean, NAME } from "../checkpoints/clean_errors.ts";
import { damaged, damagedText, Dice } from "../checkpoints/mutations.ts";
import { encodeTorchFile } from "../checkpoints/torch/torch_writer.ts";
import { type Files, tinyFiles } from "../pipeline/golden_runs.ts";
import type { TrialResult } from "./main.ts";

/** Greatest length of an error about a whole model. */
const LONGEST = 6000;

/** Reads something damaged by dice. */
type Reader = (dice: Dice) => Promise<unknown>;

/** 100 000 mutations over all kinds of files: errors that are not clean, and the longest case. */
export async function mutatedFiles(scale: number): Promise<TrialResult[]> {
  await using backend = await createWasmBackend({ threads: 1 });
  const files = tinyFiles();
  const paths = Object.keys(files);
  const hostile = (dice: Dice): Files => {
    const path = dice.pick(paths);
    const isText = !path.endsWith(".safetensors") && dice.below(3) > 0;
    const text = () => damagedText(new TextDecoder().decode(files[path]!), dice);
    const bytes = isText ? new TextEncoder().encode(text()) : damaged(files[path]!, dice, 3000);
    return { ...files, [path]: bytes };
  };
  const weights = files["transformer/diffusion_pytorch_model.safetensors"]!;
  const values = {
    a: { dtype: "F32", shape: [3], bytes: new Uint8Array(12) },
    b: [1, "x"],
  } as const;
  const torch = await encodeTorchFile(values);
  const packed = await encodeTorchFile(values, { deflate: true });
  const yaml = `model:
  target: a.DALLE
  params:
    condition_codec_config: {params: {pad_value: &zero 0}}
    diffusion_config:
      params:
        transformer_config: {params: &p {n_layer: 2, n_embd: 32, n_head: 8}}
        content_emb_config: {params: {other: *p, more: [*zero, *zero]}}
`;
  const arrays = async (bytes: Uint8Array<ArrayBuffer>) => {
    await using source = await openArrays(memoryFile(NAME, bytes));
    for (const name of source.names()) await source.loadStored(name);
  };
  const readers: Readonly<Record<string, readonly [share: number, read: Reader]>> = {
    "whole models": [10_000, async (dice) => {
      const folder = memoryFolder(hostile(dice), NAME);
      await using _ = await VQDiffusionPipeline.fromPretrained(folder, { backend });
    }],
    "reports of inspect": [
      10_000,
      async (dice) => await reportFolder(memoryFolder(hostile(dice), NAME), backend),
    ],
    "safetensors": [30_000, async (dice) => await arrays(damaged(weights, dice, 3000))],
    "torch files": [
      30_000,
      async (dice) => await arrays(damaged(dice.pick([torch, packed]), dice)),
    ],
    // deno-lint-ignore require-await -- so that errors reject
    "YAML": [20_000, async (dice) => parseOriginalConfig(damagedText(yaml, dice), NAME)],
  };
  const results: TrialResult[] = [];
  for (const [kind, [share, read]] of Object.entries(readers)) {
    const count = Math.ceil(share * scale);
    results.push(await tryMany(`damaged ${kind}`, count, read));
  }
  return results;
}

async function tryMany(trial: string, count: number, read: Reader): Promise<TrialResult> {
  const first = crypto.getRandomValues(new Uint32Array(1))[0]! >>> 1;
  let [refused, slowest] = [0, 0];
  let unclean = "";
  for (let seed = first; seed < first + count; seed++) {
    const start = performance.now();
    try {
      if (!await checkClean(seed, () => read(new Dice(seed)), LONGEST)) refused++;
    } catch (error) {
      unclean ||= String(error).replaceAll(/\s+/g, " ").slice(0, 300);
    }
    slowest = Math.max(slowest, performance.now() - start);
  }
  const found = unclean || `${refused} refused, the slowest ${(slowest / 1000).toFixed(2)} s`;
  return { trial, count, found, passed: unclean === "" && slowest < 10_000 };
}
