// Golden runs of Microsoft's code from embeddings: ordinary ones, and those of its fast inference.

import { typedArray } from "../../src/checkpoints/arrays.ts";
import { parseSafetensors } from "../../src/checkpoints/safetensors.ts";

const FOLDER = new URL("../fixtures/sampling_fast/", import.meta.url);

/** A run of the reference: its arguments, and what it gave. */
export interface FastRun {
  /** Names of the embeddings, one for each image. */
  readonly condition_order: readonly string[];
  readonly guidance_scale: number;
  readonly guided: boolean;
  readonly truncation_rate: number;
  readonly seed: number;
  readonly calls: number;
  /** Integers: `timesteps` and `posterior_timesteps` (calls), `tokens` (calls, images, pixels). */
  ints(name: string): Int32Array;
}

/** Where the model lies. */
export const FAST_MODEL: URL = FOLDER;

/** A run by its name. */
export function fastRun(name: string): FastRun {
  const { runs } = JSON.parse(Deno.readTextFileSync(new URL("case.json", FOLDER)));
  const arrays = parseSafetensors(Deno.readFileSync(new URL(`runs/${name}.safetensors`, FOLDER)));
  return { ...runs[name], ints: (key: string) => typedArray(arrays.get(key)!) as Int32Array };
}

/** Embeddings, one after the other, as a generation takes them. */
export function fastEmbeddings(names: readonly string[], folder: URL = FOLDER) {
  const arrays = parseSafetensors(Deno.readFileSync(new URL("embeddings.safetensors", folder)));
  const [length, columns] = arrays.get(names[0]!)!.shape.slice(-2) as [number, number];
  const data = Float32Array.from(
    names.flatMap((name) => [...typedArray(arrays.get(name)!) as Float32Array]),
  );
  return { data, shape: [names.length, length, columns] as const };
}
