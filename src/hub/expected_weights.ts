/**
 * Which files of weights a pipeline on the hub is going to be loaded from.
 *
 * @module
 */

import { DIFFUSERS_WEIGHTS, isIndex, TRANSFORMERS_WEIGHTS } from "../files/weight_names.ts";

/**
 * The files of weights that the components of a pipeline are going to be loaded from.
 *
 * @param modelIndex Text of `model_index.json`.
 * @param files What has a name of every file of the model.
 */
export function expectedWeights(
  modelIndex: string,
  files: ReadonlyMap<string, unknown>,
): readonly string[] {
  let components: unknown;
  try {
    components = JSON.parse(modelIndex);
  } catch {
    return []; // whoever loads the pipeline reports it
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
