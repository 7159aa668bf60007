/**
 * Which files of weights a pipeline on the hub is going to be loaded from.
 *
 * @module
 */

import type { FileSource } from "../files/source.ts";
import { DIFFUSERS_WEIGHTS, isIndex, TRANSFORMERS_WEIGHTS } from "../files/weight_names.ts";

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
  return Object.keys(components).flatMap((component) => {
    const names = [...DIFFUSERS_WEIGHTS, ...TRANSFORMERS_WEIGHTS];
    const name = names.find((name) => files.has(`${component}/${name}`));
    if (name === undefined) return [];
    if (!isIndex(name)) return [`${component}/${name}`];
    const [stem = "", extension = ""] = name.split(".");
    return [...files.keys()].filter((path) =>
      path.startsWith(`${component}/${stem}`) && path.endsWith(`.${extension}`) &&
      /-\d+-of-\d+\./.test(path)
    );
  });
}
