/**
 * Which files of weights a pipeline on the hub is going to be loaded from.
 *
 * @module
 */

import type { FileSource } from "../files/source.ts";
import { DIFFUSERS_WEIGHTS, isIndex, TRANSFORMERS_WEIGHTS } from "../files/weight_names.ts";

const NAMES = [...DIFFUSERS_WEIGHTS, ...TRANSFORMERS_WEIGHTS];

/** Longest `model_index.json` that is read. */
const MOST_BYTES = 2 ** 20;

/**
 * The files of weights that the components of a pipeline are going to be loaded from.
 *
 * @param modelIndex `model_index.json`.
 * @param files What has a name of every file of the model.
 */
export async function expectedWeights(
  modelIndex: FileSource,
  files: ReadonlyMap<string, unknown>,
): Promise<readonly string[]> {
  // Whoever loads the pipeline reports what is wrong with it.
  if (modelIndex.size > MOST_BYTES) return [];
  const bytes = await modelIndex.read(0, modelIndex.size);
  let components: unknown;
  try {
    components = JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    return [];
  }
  if (typeof components !== "object" || components === null) return [];
  const parts = partsOf(files.keys());
  return Object.keys(components).flatMap((component) => {
    const name = NAMES.find((name) => files.has(`${component}/${name}`));
    if (name === undefined) return [];
    if (!isIndex(name)) return [`${component}/${name}`];
    const [stem, extension] = name.split(".");
    return parts.get(`${component}/${stem}.${extension}`) ?? [];
  });
}

/** Paths of the parts that weights are in, by the path that they would have as one file. */
function partsOf(paths: Iterable<string>): ReadonlyMap<string, readonly string[]> {
  const parts = new Map<string, string[]>();
  for (const path of paths) {
    // A variant stands before or after the number: model.fp16-00001-of-00002.safetensors.
    const [, weights, numbers, extension] =
      /^(.+\/\w+?)(?:\.[\w-]+?)?(-\d+-of-\d+)(?:\.[\w-]+)?\.(\w+)$/.exec(path) ?? [];
    if (numbers === undefined) continue;
    const whole = `${weights}.${extension}`;
    const others = parts.get(whole);
    if (others) others.push(path);
    else parts.set(whole, [path]);
  }
  return parts;
}
