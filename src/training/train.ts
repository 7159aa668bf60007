/**
 * Training a model on pictures, from beginning to end.
 *
 * @module
 */

import {
  checkChoice,
  checkFunction,
  checkInteger,
  checkNumber,
  checkOptions,
  checkSignal,
  describeValue,
  refuseType,
} from "../base/check.ts";
import { WEIGHT_DTYPES, type WeightDType } from "../base/dtypes.ts";
import { promptNotes } from "../conditioning/prompt_notes.ts";
import { writeFolder } from "../files/folder_writer.ts";
import { openDiskFolder } from "../files/disk_folder.ts";
import { joinPath } from "../files/paths.ts";
import type { ModelFolder } from "../files/source.ts";
import { contactSheet } from "../images/contact_sheet.ts";
import type { RasterImage } from "../images/raster_image.ts";
import { VQDiffusionPipeline } from "../pipeline/vq_diffusion_pipeline.ts";
import { readPictureFolder } from "./picture_folder.ts";
import { type AnewOptions, type AnewRun, beginAnew, checkAnew } from "./anew.ts";
import { expectSettings, hasState, isThere, readState, writeState } from "./state_file.ts";
import { settingsOf, startOf } from "./train_settings.ts";
import { TrainableModel, type TrainableModelOptions } from "./trainable_model.ts";
import { Trainer, type TrainerOptions, trainerSettings } from "./trainer.ts";
import type { TrainingStep } from "./trainer_state.ts";
import type { VQTrainingStep } from "./vq_trainer.ts";
import { encodePictures, type TrainingExample, type TrainingPicture } from "./training_examples.ts";

/** What goes on in a training. */
export type TrainEvent =
  | {
    /** Pictures are turned into tokens. */
    readonly type: "encode";
    readonly done: number;
    readonly total: number;
  }
  | {
    /** Something to know. */
    readonly type: "note";
    readonly message: string;
  }
  | {
    /** Training goes on from a state that was saved. */
    readonly type: "resume";
    /** Steps that are done already. */
    readonly step: number;
    readonly steps: number;
  }
  | VQTrainingStep & {
    /** A step of the image autoencoder was done, where training begins anew. */
    readonly type: "vqvae";
    readonly steps: number;
  }
  | TrainingStep & {
    /** A step was done. */
    readonly type: "step";
    readonly steps: number;
  }
  | {
    /** The state of a step was saved. */
    readonly type: "save";
    readonly step: number;
  }
  | {
    /** Model and samples were written. */
    readonly type: "samples";
    readonly step: number;
    /** Path of the pictures. */
    readonly path: string;
  };

/** Options of {@linkcode train}. */
export interface TrainOptions {
  /** Folder of the model, which may have been begun by a training before: then it goes on. */
  readonly out: string;
  /** The model to start from. Default: the embedded model. */
  readonly from?: string | URL | ModelFolder | undefined;
  /**
   * Begins anew, with a tokenizer, an image autoencoder, a text encoder and a transformer of its own, in place
   * of `from`.
   */
  readonly anew?: AnewOptions | undefined;
  /** Whether the text encoder is trained along. Default: where training begins anew. */
  readonly trainTextEncoder?: boolean | undefined;
  /** How to open and where to compute. */
  readonly load?: Omit<TrainableModelOptions, "trainTextEncoder"> | undefined;
  /** Steps, batches, optimiser. */
  readonly trainer?: TrainerOptions | undefined;
  /** Seconds after which the state is saved again. Default 50. */
  readonly saveSeconds?: number | undefined;
  /** Steps after which model and samples are written; they are at the end, too. Default: a tenth of all. */
  readonly sampleEvery?: number | undefined;
  /** Prompts of the samples. Default: up to eight captions. */
  readonly prompts?: readonly string[] | undefined;
  /** Type of the weights of the model. Default: float32. */
  readonly dtype?: WeightDType | undefined;
  /** Called with what goes on. */
  readonly onEvent?: ((event: TrainEvent) => void) | undefined;
  /** Ends the training after the step that it is in; its state is saved. */
  readonly signal?: AbortSignal | undefined;
}

/** Where a training keeps what is not of the model, below its folder. */
export const TRAINING_FOLDER = "training";

/** Name of the file of the state. */
const STATE = "state.safetensors";

/** Settings that may change where training goes on. */
const MAY_CHANGE: readonly string[] = ["steps", "learningRate", "warmUp"];

/** Seed of the samples: that they change shows what is learned. */
const SAMPLE_SEED = 1;

/** Most captions that samples are drawn of. */
const MOST_SAMPLES = 8;

/**
 * Fine-tunes a model on pictures, and saves it with the averages of its parameters in the layout of
 * diffusers. Below `training/` in its folder are the state, from which a training that was stopped goes on
 * with the same result; the loss of all steps, `loss.csv`; and samples.
 *
 * @param pictures A folder, see `readPictureFolder`; or pictures with captions.
 * @throws {RangeError} If pictures and captions do not fit, an option is out of range, the loss is not
 *   finite, or a state belongs to another training. What was saved last stays.
 * @throws {DOMException} If the signal is aborted.
 *
 * @example
 * ```ts
 * import { train } from "@vq-diffusion/vq-diffusion/training";
 *
 * await train("pictures", {
 *   out: "model",
 *   trainer: { steps: 500 },
 *   onEvent: (event) => event.type === "step" && console.log(event.step, event.loss),
 * });
 * ```
 */
export async function train(
  pictures: string | readonly TrainingPicture[],
  options: TrainOptions,
): Promise<void> {
  const run = runOf(options);
  await expectOurs(run);
  const list = typeof pictures === "string" ? await readPictureFolder(pictures) : pictures;
  const from = options.anew
    ? await beginAnew(list, options.anew, anewRun(run, options))
    : options.from;
  await using model = await TrainableModel.fromPretrained(from, {
    ...options.load,
    trainTextEncoder: options.trainTextEncoder ?? options.anew !== undefined,
    signal: options.signal,
  });
  const { onEvent, signal } = run;
  const examples = await encodePictures(model.components, list, {
    signal,
    onProgress: (done, total) => onEvent({ type: "encode", done, total }),
  });
  const captions = new Set(examples.map(({ caption }) => caption));
  const cut = promptNotes([...captions], { tokenizer: model.components.tokenizer });
  const more = cut.length > 1 ? `, and ${cut.length - 1} more like this` : "";
  if (cut[0]) onEvent({ type: "note", message: cut[0].message + more });
  using trainer = await Trainer.create(model, examples, options.trainer);
  const training = new Training(trainer, examples, run, await startOf(options, model.description));
  await training.resume();
  await training.run();
}

/**
 * Refuses a folder that holds the model of something else, which would be lost.
 *
 * @throws {RangeError} If it does.
 */
async function expectOurs({ out, folder }: Run): Promise<void> {
  if (await hasState(folder, STATE)) return;
  if (!await isThere(joinPath(out, "model_index.json"))) return;
  throw new RangeError(
    `Cannot train: out is ${describeValue(out)}, which holds a model and no state of a training, ` +
      `expected a new folder`,
  );
}

/** The options of a run with their defaults. */
interface Run {
  readonly out: string;
  readonly folder: string;
  readonly saveSeconds: number;
  readonly sampleEvery: number;
  readonly prompts: readonly string[] | undefined;
  readonly dtype: WeightDType | undefined;
  readonly onEvent: (event: TrainEvent) => void;
  readonly signal: AbortSignal | undefined;
}

const OPTIONS: Readonly<Record<keyof TrainOptions, true>> = {
  out: true,
  from: true,
  anew: true,
  trainTextEncoder: true,
  load: true,
  trainer: true,
  saveSeconds: true,
  sampleEvery: true,
  prompts: true,
  dtype: true,
  onEvent: true,
  signal: true,
};

function runOf(options: TrainOptions): Run {
  checkOptions("train", options, Object.keys(OPTIONS));
  if (typeof options.out !== "string" || options.out === "") {
    refuseType({ task: "train", name: "out" }, options.out, "the path of a folder");
  }
  checkChoice({ task: "train", name: "dtype" }, options.dtype, WEIGHT_DTYPES);
  const { steps } = trainerSettings(options.trainer ?? {});
  if (options.anew !== undefined) {
    if (options.from !== undefined) {
      refuseType(
        { task: "train", name: "from" },
        options.from,
        "nothing where training begins anew",
      );
    }
    checkAnew(options.anew);
  }
  const { out, prompts, dtype, signal, onEvent = () => {}, saveSeconds = 50 } = options;
  const { sampleEvery = Math.ceil(steps / 10) } = options;
  const subject = (name: string) => ({ task: "train", name });
  checkNumber(subject("saveSeconds"), saveSeconds, { min: 0 });
  checkInteger(subject("sampleEvery"), sampleEvery, { min: 1 });
  checkFunction(subject("onEvent"), onEvent);
  checkSignal(subject("signal"), signal);
  if (prompts !== undefined && !isTexts(prompts)) {
    refuseType(subject("prompts"), prompts, "an array of one string or more");
  }
  const folder = joinPath(out, TRAINING_FOLDER);
  return { out, folder, saveSeconds, sampleEvery, prompts, dtype, onEvent, signal };
}

function isTexts(value: unknown): boolean {
  return Array.isArray(value) && value.length > 0 && value.every((one) => typeof one === "string");
}

/** What a start from nothing takes of a run. */
function anewRun({ folder, saveSeconds, onEvent, signal }: Run, options: TrainOptions): AnewRun {
  return {
    folder,
    seed: options.trainer?.seed ?? 0,
    saveSeconds,
    device: options.load ?? {},
    signal,
    onPicture: (done, total) => onEvent({ type: "encode", done, total }),
    onStep: (step, steps) => onEvent({ type: "vqvae", ...step, steps }),
  };
}

/** A training with its files. */
class Training {
  readonly #trainer: Trainer;
  readonly #run: Run;
  readonly #settings: Readonly<Record<string, unknown>>;
  readonly #captions: readonly string[];
  readonly #prompts: readonly string[];
  #saved = performance.now();
  #savedStep = 0;

  constructor(trainer: Trainer, examples: readonly TrainingExample[], run: Run, from: string) {
    this.#trainer = trainer;
    this.#run = run;
    this.#settings = { ...settingsOf(trainer, examples), from };
    this.#captions = [...new Set(examples.map(({ caption }) => caption))];
    this.#prompts = run.prompts ?? someOf(this.#captions);
  }

  get #step(): number {
    return this.#trainer.history.length;
  }

  get #steps(): number {
    return this.#trainer.settings.steps;
  }

  /** Goes on from the state of a training before, if there is one. */
  async resume(): Promise<void> {
    const { folder, onEvent } = this.#run;
    if (!await hasState(folder, STATE)) return;
    const { settings, arrays } = await readState(folder, STATE);
    expectSettings(folder, settings, this.#settings, MAY_CHANGE);
    this.#trainer.restore(arrays);
    this.#savedStep = this.#step;
    onEvent({ type: "resume", step: this.#step, steps: this.#steps });
  }

  /** Does the steps that are left. */
  async run(): Promise<void> {
    const { onEvent, signal, saveSeconds, sampleEvery } = this.#run;
    while (this.#step < this.#steps) {
      if (signal?.aborted) {
        await this.#save();
        signal.throwIfAborted();
      }
      const step = await this.#trainer.step().catch((error: unknown) => this.#refuse(error));
      onEvent({ type: "step", ...step, steps: this.#steps });
      if (performance.now() - this.#saved >= 1000 * saveSeconds) await this.#save();
      if (this.#step % sampleEvery === 0 && this.#step < this.#steps) {
        await this.#save();
        await this.#writeModel();
      }
    }
    await this.#save();
    await this.#writeModel();
  }

  /** Tells whether the state that was saved is of use after an error. */
  #refuse(error: unknown): never {
    const { folder } = this.#run;
    if (!(error instanceof RangeError) || this.#step === 0 || this.#savedStep !== this.#step) {
      throw error;
    }
    throw new RangeError(
      `${error.message}; what step ${this.#step} made of the model was saved in ${folder}, so begin ` +
        `again in a new folder`,
      { cause: error },
    );
  }

  async #save(): Promise<void> {
    if (this.#savedStep === this.#step) return;
    const { folder, onEvent } = this.#run;
    await writeState(folder, STATE, {
      settings: this.#settings,
      arrays: await this.#trainer.state(),
    });
    await writeFile(folder, "loss.csv", new TextEncoder().encode(lossTable(this.#trainer.history)));
    this.#savedStep = this.#step;
    this.#saved = performance.now();
    onEvent({ type: "save", step: this.#step });
  }

  /** Saves the model with the averages, and draws with it as anyone would. */
  async #writeModel(): Promise<void> {
    const { out, folder, dtype, onEvent } = this.#run;
    const { model } = this.#trainer;
    await this.#trainer.exchangeAverages();
    try {
      await model.savePretrained(out, { dtype, learned: this.#captions });
    } finally {
      await this.#trainer.exchangeAverages();
    }
    const images = await this.#drawSamples().catch((error: Error) => {
      // Such as a lack of memory, which must not end the training.
      onEvent({ type: "note", message: `no samples are drawn: ${error.message}` });
      return undefined;
    });
    if (images === undefined) return;
    const name = `samples-${String(this.#step).padStart(6, "0")}.png`;
    await writeFile(folder, name, await contactSheet(images, { gap: 2 }).toPng());
    onEvent({ type: "samples", step: this.#step, path: joinPath(folder, name) });
  }

  async #drawSamples(): Promise<readonly RasterImage[]> {
    const { backend } = this.#trainer.model;
    const saved = await openDiskFolder(this.#run.out);
    await using pipe = await VQDiffusionPipeline.fromPretrained(saved, { backend });
    return (await pipe.generate([...this.#prompts], { seed: SAMPLE_SEED })).images;
  }
}

/** Captions, evenly spaced among all. */
function someOf(captions: readonly string[]): string[] {
  const count = Math.min(MOST_SAMPLES, captions.length);
  return Array.from(
    { length: count },
    (_, i) => captions[Math.floor(i * captions.length / count)]!,
  );
}

function lossTable(history: readonly TrainingStep[]): string {
  const rows = history.map(({ step, loss, gradNorm, learningRate }) =>
    `${step},${loss},${gradNorm},${learningRate}\n`
  );
  return `step,loss,grad_norm,learning_rate\n${rows.join("")}`;
}

async function writeFile(path: string, name: string, bytes: Uint8Array): Promise<void> {
  await using folder = await writeFolder(path);
  await folder.writeFile(name, async (sink) => await sink(bytes));
  await folder.commit();
}
