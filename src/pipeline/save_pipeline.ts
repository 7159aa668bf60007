/**
 * Saving a pipeline in diffusers' layout.
 *
 * @module
 */

import { checkOptions } from "../base/check.ts";
import { type KnownNames, NAMES_FILE } from "../conditioning/known_names.ts";
import { type FolderTransaction, writeFolder } from "../files/folder_writer.ts";
import type { SaveModelOptions } from "../models/model.ts";
import {
  COMPONENT_NAMES,
  type ComponentName,
  componentNamesOf,
  COMPONENTS,
  type PipelineParts,
} from "./components.ts";
import { GENERATION_CONFIG_FILE, generationConfigText } from "./generation_config.ts";

/** Options of `VQDiffusionPipeline.savePretrained`. */
export type SavePretrainedOptions = SaveModelOptions;

/** What is saved. */
export interface SavedPipeline {
  /** The components, all of which have to be there that such a model has. */
  readonly components: PipelineParts;
  /** The names that the model knows, if it has a list of them. */
  readonly names: KnownNames | undefined;
}

const OPTIONS: Readonly<Record<keyof SavePretrainedOptions, true>> = { dtype: true, signal: true };

/**
 * Saves all components, and what else belongs to the model. No file of the folder is changed before all are written.
 *
 * @param path Path of the folder, which is made if need be.
 * @throws {TypeError} If a component is missing.
 */
export async function savePipeline(
  { components, names: known }: SavedPipeline,
  path: string,
  options: SavePretrainedOptions,
): Promise<void> {
  checkOptions("save the pipeline", options, Object.keys(OPTIONS));
  const { config: transformer } = components.transformer;
  const names = componentNamesOf(transformer);
  const missing = names.find((name) => components[name] === undefined);
  if (missing !== undefined) {
    throw new TypeError(
      `Cannot save ${path}: the pipeline has no ${missing}, expected all components`,
    );
  }
  await using folder = await writeFolder(path);
  for (const name of names) {
    await components[name]!.savePretrained(folder.folder(COMPONENTS[name].folder), options);
  }
  const { generationConfig: config } = components;
  await replaceText(folder, GENERATION_CONFIG_FILE, config && generationConfigText(config));
  await replaceText(folder, NAMES_FILE, known && `${JSON.stringify(known.json)}\n`);
  await folder.writeText("model_index.json", `${JSON.stringify(modelIndex(names), null, 2)}\n`);
  options.signal?.throwIfAborted();
  await folder.commit();
}

/** Writes a file that this model may not have: then that of another model must not stay there either. */
async function replaceText(
  folder: FolderTransaction,
  path: string,
  text: string | undefined,
): Promise<void> {
  if (text === undefined) folder.remove(path);
  else await folder.writeText(path, text);
}

/**
 * What `model_index.json` says of a pipeline. A component that it does not have is null, as diffusers writes it.
 */
export function modelIndex(
  names: readonly ComponentName[] = COMPONENT_NAMES,
): Record<string, unknown> {
  const entries = COMPONENT_NAMES.map((name) => {
    const { folder, library, className } = COMPONENTS[name];
    return [folder, names.includes(name) ? [library, className] : [null, null]];
  });
  return {
    _class_name: "VQDiffusionPipeline",
    _diffusers_version: "0.9.0",
    ...Object.fromEntries(entries),
  };
}
