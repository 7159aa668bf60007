/**
 * Training anew: a model that has learned nothing, and its image autoencoder.
 *
 * @module
 */

import type { Backend } from "../backends/backend.ts";
import { createBackend, type CreateBackendOptions } from "../backends/select.ts";
import { KnownNames, NAMES_FILE } from "../conditioning/known_names.ts";
import { openDiskFolder } from "../files/disk_folder.ts";
import { INCOMPLETE_MARK } from "../files/incomplete.ts";
import { joinPath } from "../files/paths.ts";
import type { ModelFolder } from "../files/source.ts";
import { createSha256 } from "../hub/hashes.ts";
import type { RasterImage } from "../images/raster_image.ts";
import { disposeComponents } from "../pipeline/components.ts";
import { loadComponents } from "../pipeline/load_components.ts";
import { savePipeline } from "../pipeline/save_pipeline.ts";
import type { Seed } from "../random/seed.ts";
import { newModel, type NewModelOptions, newModelSettings } from "./new_model.ts";
import { expectSettings, hasState, isThere, readState, writeState } from "./state_file.ts";
import { TrainableParameters } from "./trainable_parameters.ts";
import { readPictures, type TrainingPicture } from "./training_examples.ts";
import {
  VQTrainer,
  type VQTrainerOptions,
  vqTrainerSettings,
  type VQTrainingStep,
} from "./vq_trainer.ts";

/** How to begin anew. */
export interface AnewOptions extends NewModelOptions {
  /** How the image autoencoder is trained. */
  readonly vqvae?: Omit<VQTrainerOptions, "seed"> | undefined;
}

/** What a start from nothing needs beside its options. */
export interface AnewRun {
  /** Folder of the training. */
  readonly folder: string;
  /** Seed of weights and of the training. */
  readonly seed: Seed;
  /** Seconds after which the state is saved again. */
  readonly saveSeconds: number;
  /** Where to compute. */
  readonly device: CreateBackendOptions & { readonly backend?: Backend | undefined };
  /** Called after each picture that was read. */
  readonly onPicture: (done: number, total: number) => void;
  /** Called after each step. */
  readonly onStep: (step: VQTrainingStep, steps: number) => void;
  /** Ends the training after the step that it is in; its state is saved. */
  readonly signal: AbortSignal | undefined;
}

/** Where the model that the transformer is trained in begins, below the folder of the training. */
const START = "start";

/** The name of the autoencoder's state. */
const STATE = "vqvae.safetensors";

/** Checks how to begin anew. */
export function checkAnew({ vqvae = {}, ...options }: AnewOptions): void {
  newModelSettings(options);
  vqTrainerSettings(vqvae);
}

/**
 * Makes a model for pictures and captions, with random weights, and trains its image autoencoder; or goes on
 * with that where it was stopped.
 *
 * @returns The folder of the model.
 * @throws {RangeError} If a state belongs to another training, or the loss is not finite.
 */
export async function beginAnew(
  pictures: readonly TrainingPicture[],
  { vqvae: vqOptions = {}, ...options }: AnewOptions,
  run: AnewRun,
): Promise<ModelFolder> {
  const { folder, seed, device, signal } = run;
  const start = joinPath(folder, START);
  const sizes = newModelSettings(options);
  const { imageSize } = sizes;
  const images = await readPictures(pictures, imageSize, { onProgress: run.onPicture, signal });
  const trainer = { ...vqTrainerSettings(vqOptions), seed: String(seed) };
  const settings = { ...sizes, ...trainer, pictures: digest(pictures, images) };
  const state = await hasState(folder, STATE) ? await readState(folder, STATE) : undefined;
  if (state) expectSettings(folder, state.settings, settings);
  const isWhole = await isThere(joinPath(start, "model_index.json")) &&
    !await isThere(joinPath(start, INCOMPLETE_MARK));
  if (isWhole) return await openDiskFolder(start);
  await using owned = new AsyncDisposableStack();
  const backend = device.backend ?? owned.use(await createBackend(device));
  const model = await newModel(backend, pictures.map(({ caption }) => caption), sizes, seed);
  const vqvae = new TrainableParameters();
  const components = await loadComponents(model, backend, { parameters: { vqvae }, signal });
  owned.defer(() => disposeComponents(components));
  using vqTrainer = await VQTrainer.create(components.vqvae, vqvae, images, { ...vqOptions, seed });
  if (state) vqTrainer.restore(state.arrays);
  const save = async () =>
    await writeState(folder, STATE, { settings, arrays: await vqTrainer.state() });
  await trainVQ(vqTrainer, run, save);
  const names = new KnownNames({ description: NAMES_FILE, values: { names: {} } });
  await savePipeline({ components, names }, start, {});
  return await openDiskFolder(start);
}

/** Does the steps that are left, and saves the state now and then. */
async function trainVQ(
  trainer: VQTrainer,
  { saveSeconds, onStep, signal }: AnewRun,
  save: () => Promise<void>,
): Promise<void> {
  const { steps } = trainer.settings;
  let saved = performance.now();
  while (trainer.steps < steps) {
    if (signal?.aborted) {
      await save();
      signal.throwIfAborted();
    }
    onStep(await trainer.step(), steps);
    if (performance.now() - saved < 1000 * saveSeconds) continue;
    await save();
    saved = performance.now();
  }
  await save();
}

/** A digest of pictures and captions. */
function digest(pictures: readonly TrainingPicture[], images: readonly RasterImage[]): string {
  const hash = createSha256();
  images.forEach(({ data }, i) => {
    hash.update(new TextEncoder().encode(`${JSON.stringify(pictures[i]!.caption)}\n`));
    hash.update(new Uint8Array(data.buffer));
  });
  return hash.digest();
}
