/**
 * Saving a pipeline in diffusers' layout.
 *
 * @module
 */

import { checkOptions } from "../base/check.ts";
import { COMPONENTS } from "../checkpoints/component_classes.ts";
import { modelIndex } from "../checkpoints/model_index.ts";
import { type KnownNames, NAMES_FILE } from "../conditioning/known_names.ts";
import { type FolderWriter, writeFolder } from "../files/folder_writer.ts";
import type { SaveModelOptions } from "../models/model.ts";
import { componentNamesOf, type PipelineParts } from "./components.ts";
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
 * Saves all components, and what else belongs to the model.
 *
 * @param target Path of a folder, which is made if need be and in which nothing is changed until all is
 *   written; or a new folder that is being written, such as one in memory.
 * @throws {TypeError} If a component is missing.
 */
export async function savePipeline(
  { components, names: known }: SavedPipeline,
  target: string | FolderWriter,
  options: SavePretrainedOptions,
): Promise<void> {
  checkOptions("save the pipeline", options, Object.keys(OPTIONS));
  const { config: transformer } = components.transformer;
  const names = componentNamesOf(transformer);
  const missing = names.find((name) => components[name] === undefined);
  if (missing !== undefined) {
    const path = typeof target === "string" ? target : target.description;
    throw new TypeError(
      `Cannot save ${path}: the pipeline has no ${missing}, expected all components`,
    );
  }
  const { generationConfig: config } = components;
  const index = modelIndex(transformer.conditionType === "text");
  const texts = {
    [GENERATION_CONFIG_FILE]: config && generationConfigText(config),
    [NAMES_FILE]: known && `${JSON.stringify(known.json)}\n`,
    "model_index.json": `${JSON.stringify(index, null, 2)}\n`,
  };
  const write = async (folder: FolderWriter) => {
    for (const name of names) {
      await components[name]!.savePretrained(folder.folder(COMPONENTS[name].folder), options);
    }
    for (const [path, text] of Object.entries(texts)) {
      if (text !== undefined) await folder.writeText(path, text);
      else folder.remove?.(path);
    }
    options.signal?.throwIfAborted();
  };
  if (typeof target !== "string") return await write(target);
  await using folder = await writeFolder(target);
  await write(folder);
  await folder.commit();
}
