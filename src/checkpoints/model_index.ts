/**
 * `model_index.json`, which is written where a pipeline is saved or made.
 *
 * @module
 */

import { COMPONENTS } from "./component_classes.ts";

/**
 * What `model_index.json` says of a pipeline. A component that it does not have is null, as diffusers writes it.
 *
 * @param drawsFromText Whether it has those for text.
 */
export function modelIndex(drawsFromText: boolean): Record<string, unknown> {
  const entries = Object.values(COMPONENTS).map(({ folder, library, className, isForText }) => {
    return [folder, drawsFromText || !isForText ? [library, className] : [null, null]];
  });
  return {
    _class_name: "VQDiffusionPipeline",
    _diffusers_version: "0.9.0",
    ...Object.fromEntries(entries),
  };
}
