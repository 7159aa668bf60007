/**
 * Saving a pipeline in diffusers' layout.
 *
 * @module
 */

import { checkOptions } from "../base/check.ts";
import { writeFolder } from "../files/folder_writer.ts";
import type { SaveModelOptions } from "../models/model.ts";
import { COMPONENT_NAMES, COMPONENTS, type PipelineParts } from "./components.ts";

/** Options of `VQDiffusionPipeline.savePretrained`. */
export type SavePretrainedOptions = SaveModelOptions;

const OPTIONS: Readonly<Record<keyof SavePretrainedOptions, true>> = { dtype: true, signal: true };

/**
 * Saves all components. No file of the folder is changed before all are written.
 *
 * @param path Path of the folder, which is made if need be.
 * @throws {TypeError} If a component is missing.
 */
export async function savePipeline(
  components: PipelineParts,
  path: string,
  options: SavePretrainedOptions,
): Promise<void> {
  checkOptions("save the pipeline", options, Object.keys(OPTIONS));
  const missing = COMPONENT_NAMES.find((name) => components[name] === undefined);
  if (missing !== undefined) {
    throw new TypeError(
      `Cannot save ${path}: the pipeline has no ${missing}, expected all components`,
    );
  }
  await using folder = await writeFolder(path);
  for (const name of COMPONENT_NAMES) {
    await components[name]!.savePretrained(folder.folder(COMPONENTS[name].folder), options);
  }
  await folder.writeText("model_index.json", `${JSON.stringify(modelIndex(), null, 2)}\n`);
  options.signal?.throwIfAborted();
  await folder.commit();
}

function modelIndex(): Record<string, unknown> {
  const entries = Object.values(COMPONENTS).map(({ folder, library, className }) => {
    return [folder, [library, className]];
  });
  return {
    _class_name: "VQDiffusionPipeline",
    _diffusers_version: "0.9.0",
    ...Object.fromEntries(entries),
  };
}
