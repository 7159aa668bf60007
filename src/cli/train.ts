/**
 * The command `train`: a model that is trained on pictures with captions.
 *
 * @module
 */

import { ProgressBar } from "../base/progress_bar.ts";
import { train as trainModel, type TrainEvent } from "../training/train.ts";
import { hubOptions, quietDisplayServer } from "./environment.ts";
import { abortOnInterrupt } from "./interrupt.ts";
import { LoadDisplay } from "./load_display.ts";
import { print, printMessage } from "./terminal.ts";
import { readTrainArguments, TRAIN_HELP } from "./train_arguments.ts";

/** Weight of the newest loss in the one that is shown. */
const NEWEST = 0.1;

/**
 * Runs the command.
 *
 * @returns The exit code.
 * @throws {UsageError} If an argument is wrong.
 */
export async function train(args: string[]): Promise<number> {
  const request = readTrainArguments(args);
  if (!request) {
    print(TRAIN_HELP);
    return 0;
  }
  const { pictures, out, dtype, sampleEvery, prompts, saveSeconds, trainer, quiet } = request;
  const { from, revision, trainTextEncoder, anew, device, threads } = request;
  using interrupt = abortOnInterrupt();
  using loading = new LoadDisplay();
  using display = new TrainDisplay();
  const onProgress = quiet ? undefined : loading.onProgress;
  quietDisplayServer();
  try {
    await trainModel(pictures, {
      out,
      from,
      anew,
      trainTextEncoder,
      dtype,
      sampleEvery,
      prompts,
      saveSeconds,
      trainer,
      load: { ...(from !== undefined && hubOptions()), revision, device, threads, onProgress },
      onEvent: quiet ? undefined : display.onEvent,
      signal: interrupt.signal,
    });
  } catch (error) {
    if (interrupt.exitCode === undefined || !interrupt.signal.aborted) throw error;
    if (error !== interrupt.signal.reason) throw error;
    if (!quiet) printMessage("Stopped; the same command goes on");
    return interrupt.exitCode;
  }
  if (!quiet) print(`Wrote ${out}`);
  return 0;
}

/** Shows how far the training is. */
class TrainDisplay implements Disposable {
  #reading: ProgressBar | undefined;
  #autoencoder: ProgressBar | undefined;
  #training: ProgressBar | undefined;
  #error = "";
  #loss: number | undefined;

  /** Takes the events of a training. */
  readonly onEvent = (event: TrainEvent): void => {
    switch (event.type) {
      case "encode":
        this.#clear();
        this.#reading ??= new ProgressBar("Reading pictures");
        this.#reading.update(event.done, event.total);
        break;
      case "vqvae":
        this.#showAutoencoder(event);
        break;
      case "note":
        this.#say(`note: ${event.message}`);
        break;
      case "resume":
        this.#say(`Going on after step ${event.step} of ${event.steps}`);
        break;
      case "step":
        this.#showStep(event);
        break;
      case "samples":
        this.#say(`Samples of step ${event.step}: ${event.path}`);
        break;
      case "save":
        break;
    }
  };

  /** Clears the bar. */
  [Symbol.dispose](): void {
    this.#clear();
  }

  #clear(): void {
    for (const bar of [this.#reading, this.#autoencoder, this.#training]) bar?.end();
  }

  #showAutoencoder({ step, steps, reconstruction, codes }: TrainEvent & { type: "vqvae" }): void {
    this.#reading?.end();
    this.#error = `error ${reconstruction.toFixed(3)}, ${codes} codes`;
    const format = (done: number, total: number) => `${done}/${total}, ${this.#error}`;
    this.#autoencoder ??= new ProgressBar("Autoencoder", { done: step, format });
    this.#autoencoder.update(step, steps);
  }

  #showStep({ step, steps, loss }: TrainEvent & { type: "step" }): void {
    this.#reading?.end();
    this.#autoencoder?.end();
    this.#loss = this.#loss === undefined ? loss : this.#loss + NEWEST * (loss - this.#loss);
    const format = (done: number, total: number) =>
      `${done}/${total}, loss ${this.#loss?.toFixed(3)}`;
    // The time of the steps that follow tells how much is left.
    this.#training ??= new ProgressBar("Training", { done: step, format });
    this.#training.update(step, steps);
  }

  #say(text: string): void {
    this.#clear();
    printMessage(text);
  }
}
