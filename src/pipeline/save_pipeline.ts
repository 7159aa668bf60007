/**
 * Saving a pipeline in diffusers' layout.
 *
 * @module
 */

import { checkOptions } from "../base/check.ts";
import { writeFolder } from "../files/folder_writer.ts";
import type { SaveModelOptions } from "../models/model.ts";
import { COMPONENT_CLASSES, type PipelineComponents } from "./components.ts";

/** Options of `VQDiffusionPipeline.savePretrained`. */
export type SavePretrainedOptions = SaveModelOptions;

const OPTIONS: Readonly<Record<keyof SavePretrainedOptions, true>> = { dtype: true, signal: true };

/** The libraries that diffusers' `model_index.json` names for the components, where it finds their classes. */
const LIBRARIES: Readonly<Record<keyof typeof COMPONENT_CLASSES, string>> = {
  vqvae: "diffusers",
  text_encoder: "transformers",
  tokenizer: "transformers",
  transformer: "diffusers",
  scheduler: "diffusers",
  // Not exported by the package itself, but by the module of its pipeline.
  learned_classifier_free_sampling_embeddings: "vq_diffusion",
};

/**
 * Saves all components. No file of the folder is changed before all are written.
 *
 * @param path Path of the folder, which is made if need be.
 */
export async function savePipeline(
  components: PipelineComponents,
  path: string,
  options: SavePretrainedOptions,
): Promise<void> {
  checkOptions("save the pipeline", options, Object.keys(OPTIONS));
  await using folder = await writeFolder(path);
  const { vqvae, textEncoder, transformer, tokenizer, scheduler } = components;
  const embeddings = components.learnedClassifierFreeSamplingEmbeddings;
  await vqvae.savePretrained(folder.folder("vqvae"), options);
  await textEncoder.savePretrained(folder.folder("text_encoder"), options);
  await transformer.savePretrained(folder.folder("transformer"), options);
  await embeddings.savePretrained(
    folder.folder("learned_classifier_free_sampling_embeddings"),
    options,
  );
  await scheduler.savePretrained(folder.folder("scheduler"));
  for (const [name, text] of Object.entries(tokenizer.files())) {
    if (text !== undefined) await folder.folder("tokenizer").writeText(name, text);
  }
  await folder.writeText("model_index.json", `${JSON.stringify(modelIndex(), null, 2)}\n`);
  options.signal?.throwIfAborted();
  await folder.commit();
}

function modelIndex(): Record<string, unknown> {
  const names = Object.entries(COMPONENT_CLASSES) as [keyof typeof COMPONENT_CLASSES, string][];
  return {
    _class_name: "VQDiffusionPipeline",
    _diffusers_version: "0.9.0",
    ...Object.fromEntries(names.map(([name, type]) => [name, [LIBRARIES[name], type]])),
  };
}
