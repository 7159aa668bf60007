/**
 * Damaged files of all kinds.
 *
 * @module
 */

import { createWasmBackend } from "../../src/backends/wasm/wasm_backend.ts";
import { checkClean } from "../checkpoints/clean_errors.ts";
import { Dice } from "../checkpoints/mutations.ts";
import { temporaryFolder } from "../temporary_folder.ts";
import { type FileKind, fileKinds, LONGEST_ERROR } from "./file_kinds.ts";
import type { TrialResult } from "./main.ts";

/** Most milliseconds for a file, which take some hundredths of that. */
const PATIENCE = 10_000;

/** 100 000 mutations over all kinds of files: errors that are not clean, and the longest case. */
export async function mutatedFiles(scale: number): Promise<TrialResult[]> {
  await using backend = await createWasmBackend({ threads: 1 });
  await using folder = await temporaryFolder();
  const results: TrialResult[] = [];
  for (const [name, kind] of Object.entries(await fileKinds(backend, folder.path))) {
    results.push(await tryMany(`damaged ${name}`, Math.ceil(kind.share * scale), kind));
  }
  return results;
}

async function tryMany(trial: string, count: number, kind: FileKind): Promise<TrialResult> {
  const first = crypto.getRandomValues(new Uint32Array(1))[0]! >>> 1;
  let [refused, slowest] = [0, 0];
  const unclean: string[] = [];
  for (let seed = first; seed < first + count; seed++) {
    const start = performance.now();
    try {
      if (!await checkClean(seed, () => kind.read(new Dice(seed)), LONGEST_ERROR, kind.names)) {
        refused++;
      }
    } catch (error) {
      unclean.push(String(error).replaceAll(/\s+/g, " ").slice(0, 300));
    }
    slowest = Math.max(slowest, performance.now() - start);
  }
  const found = unclean.length > 0
    ? `${unclean.length} unclean, such as ${unclean[0]}`
    : `${refused} refused, the slowest ${(slowest / 1000).toFixed(2)} s`;
  return { trial, count, found, passed: unclean.length === 0 && slowest < PATIENCE };
}
