/**
 * The command `generate`: pictures of prompts, as PNG files.
 *
 * @module
 */

import type { DeviceInfo } from "../backends/backend.ts";
import { describeValue } from "../base/check.ts";
import { Pauses } from "../base/pauses.ts";
import type { PromptNote } from "../conditioning/prompt_notes.ts";
import { contactSheet } from "../images/contact_sheet.ts";
import { enlarge, MOST_ENLARGED_PIXELS } from "../images/enlarge.ts";
import type { RasterImage } from "../images/raster_image.ts";
import {
  checkParameters,
  type GenerationValues,
  limitsOf,
  stylesOf,
  unpromptedLimits,
} from "../pipeline/generation_parameters.ts";
import { sideOf } from "../pipeline/components.ts";
import { VQDiffusionPipeline } from "../pipeline/vq_diffusion_pipeline.ts";
import { withSettings } from "../pipeline/picture_settings.ts";
import {
  drawnSubject,
  inputOf,
  type PictureSubject,
  titleOf,
} from "../pipeline/picture_subject.ts";
import { UsageError } from "./arguments.ts";
import { checkSubjects } from "./class_option.ts";
import { hubOptions, quietDisplayServer } from "./environment.ts";
import {
  type GenerateArguments,
  readGenerateArguments,
  readParameters,
  STANDARD_OUTPUT,
} from "./generate_arguments.ts";
import { GENERATE_HELP } from "./generate_help.ts";
import { type FinishedRun, jsonReport, tokensFile } from "./generate_report.ts";
import {
  type GenerateRequest,
  inheritParameters,
  readRequest,
  settingsOf,
} from "./generate_request.ts";
import { exitOnInterrupt } from "./interrupt.ts";
import { listNames } from "./list_names.ts";
import { LoadDisplay } from "./load_display.ts";
import { explained } from "./model_source.ts";
import { writeToStandardOutput, writeWhole } from "./output_files.ts";
import { nameOutputs, type OutputPaths, type PictureName } from "./output_names.ts";
import { print, printMessage } from "./terminal.ts";

/** Images, and the tokens (images · pixels) that they were decoded from, if they are to be saved. */
interface Drawing {
  readonly images: RasterImage[];
  /** Steps that were taken. */
  readonly steps: number;
  readonly tokens: Int32Array | undefined;
}

/** The parameters that all pictures of a run have in common. */
type Values = Omit<GenerationValues, "seed" | "numImagesPerPrompt">;

/** Says something to the person who runs the command. */
type Say = (text: string) => void;

/**
 * Runs the command.
 *
 * @returns The exit code.
 * @throws {UsageError} If an argument is wrong.
 */
export async function generate(args: string[]): Promise<number> {
  const given = readGenerateArguments(args);
  if (!given) {
    print(GENERATE_HELP);
    return 0;
  }
  if (given.list) return await explained(given.model, listNames(given));
  const request = await readRequest(given);
  const paths = await outputs(given, request);
  const toProgram = given.json || paths === undefined;
  const say: Say = given.quiet || toProgram ? () => {} : print;
  const note: Say = given.quiet ? () => {} : (text) => printMessage(`note: ${text}`);
  using _ = exitOnInterrupt(() => given.quiet || printMessage("\nStopped"));

  const clock = stopwatch();
  quietDisplayServer();
  if (given.model === undefined && request.model !== undefined) {
    note(`the model is ${request.model}, as the picture says`);
  }
  await using pipe = await load(given, request);
  const values = valuesOf(pipe, given, request);
  const isVariation = request.start.image !== undefined;
  const { config } = pipe.components.transformer;
  const negative = values.negativePrompt;
  checkSubjects({ subjects: request.subjects, isVariation, negative }, config);
  checkScale(pipe, request);
  const { device } = pipe;
  say(describeDevice(device));
  noteWhatHasNoEffect(values, note);
  noteOtherStyles(pipe, values, note);
  const notes = await notesOn(pipe, request.subjects, note);
  const loaded = clock();

  const { images, tokens, steps } = await draw(pipe, given, request, values);
  if (pipe.device !== device) say(describeDevice(pipe.device));
  const drawn = clock();

  const run: FinishedRun = { request, values, tokens, device: pipe.device, notes };
  const written = await write(images, given, run, paths, say);
  const seconds = { load: loaded, draw: drawn, write: clock() };
  if (given.json) print(jsonReport(run, written, seconds));
  say(`${seedText(request.seeds)}, ${steps} steps, ${drawn.toFixed(1)} s`);
  return 0;
}

/** Where the files go; undefined for the standard output. */
async function outputs(
  { out, saveTokens, overwrite }: GenerateArguments,
  { pictures, start }: GenerateRequest,
): Promise<OutputPaths | undefined> {
  const untitled = start.image === undefined ? "unconditional" : "variation";
  if (out !== STANDARD_OUTPUT) {
    return await nameOutputs({ out, pictures, untitled, saveTokens, overwrite });
  }
  if (!Deno.stdout.isTerminal()) return undefined;
  throw new UsageError("--out - writes a PNG file, expected no terminal as the standard output");
}

/** Loads the model and shows what comes over the network. */
async function load(
  { device, threads, quiet }: GenerateArguments,
  { model, revision, dtype }: GenerateRequest,
): Promise<VQDiffusionPipeline> {
  using display = new LoadDisplay();
  const loading = VQDiffusionPipeline.fromPretrained(model, {
    ...(model !== undefined && hubOptions()),
    device,
    revision,
    dtype,
    threads,
    onProgress: quiet ? undefined : display.onProgress,
  });
  return await explained(model, loading);
}

/** Parameters that are given come first, then those of a picture, the model's and diffusers'. */
function valuesOf(
  pipe: VQDiffusionPipeline,
  { parameters }: GenerateArguments,
  { subjects, start, inherited }: GenerateRequest,
): Values {
  const isUntold = inputOf(subjects) === undefined;
  const limits = isUntold ? unpromptedLimits(limitsOf(pipe)) : limitsOf(pipe);
  const { numTrainTimesteps } = pipe.components.scheduler.config;
  const { seed: _, numImagesPerPrompt: __, ...values } = checkParameters(
    inheritParameters(readParameters(parameters, limits), inherited, numTrainTimesteps),
    limits,
  );
  // They stand in the picture, which is drawn again whatever the model's are by then.
  const styles = stylesOf(values.styles, start.image !== undefined, limits);
  return { ...values, styles };
}

/**
 * Checks that the pictures do not become too big.
 *
 * @throws {UsageError} If they do.
 */
function checkScale(
  { components }: VQDiffusionPipeline,
  { scale, pictures: { length: count } }: GenerateRequest,
): void {
  const side = sideOf(components);
  const most = Math.floor(Math.sqrt(MOST_ENLARGED_PIXELS / count) / side);
  if (scale <= Math.max(1, most)) return;
  throw new UsageError(
    `--scale is ${scale}, expected ${
      Math.max(1, most)
    } at most for ${count} of ${side} × ${side} pixels`,
  );
}

function noteWhatHasNoEffect(
  { guidanceScale, guidanceInterval, negativePrompt }: Values,
  note: Say,
): void {
  if (guidanceScale !== 1 || (guidanceInterval ?? negativePrompt) === undefined) return;
  const option = negativePrompt === undefined ? "--guidance-interval" : "--negative";
  note(`${option} has no effect, as there is no guidance; --guidance 2 or more gives some`);
}

function noteOtherStyles(
  { generationConfig }: VQDiffusionPipeline,
  { styles = [] }: Values,
  note: Say,
): void {
  const known = new Set(generationConfig.styles);
  const other = styles.find((style) => !known.has(style));
  if (known.size === 0 || other === undefined) return;
  note(`${describeValue(other)} is no style of the model's, which are ${[...known].join(", ")}`);
}

async function notesOn(
  pipe: VQDiffusionPipeline,
  subjects: readonly PictureSubject[],
  note: Say,
): Promise<PromptNote[]> {
  const notes = await pipe.promptNotes(subjects.flatMap(({ prompt }) => prompt ?? []));
  for (const { kind, message, nearest } of notes) {
    const help = kind === "unknown" && nearest.length === 0 ? "; --list shows all names" : "";
    note(message + help);
  }
  return notes;
}

function describeDevice({ name, reason }: DeviceInfo): string {
  return `Device: ${name} (${reason})`;
}

async function draw(
  pipe: VQDiffusionPipeline,
  { quiet, saveTokens }: GenerateArguments,
  { subjects, start, pictures, seeds }: GenerateRequest,
  values: Values,
): Promise<Drawing> {
  const input = inputOf(subjects);
  const options = {
    ...values,
    ...start,
    seed: pictures.map(({ seed }) => seed),
    numImagesPerPrompt: seeds.length,
  };
  let tokens: Int32Array | undefined;
  let steps = 0;
  const { images } = await pipe.generate(input, {
    ...options,
    progressBar: !quiet,
    onProgress: ({ step }) => void (steps = step),
    ...(saveTokens && { callback: (_step, _timestep, latents) => void (tokens = latents) }),
  });
  if (!saveTokens || tokens !== undefined) return { images, tokens, steps };
  // At strength 0 there are no steps to report them.
  const { images: encoded } = await pipe.generate(input, { ...options, outputType: "tokens" });
  return { images, tokens: Int32Array.from(encoded.flatMap((one) => [...one])), steps };
}

/**
 * Writes all files, and says where they are.
 *
 * @returns The paths that they have.
 */
async function write(
  images: readonly RasterImage[],
  { overwrite }: GenerateArguments,
  run: FinishedRun,
  paths: OutputPaths | undefined,
  say: Say,
): Promise<OutputPaths> {
  const { pictures, subjects, seeds, scale } = run.request;
  const shown = images.map((image) => enlarge(image, scale));
  const put = (path: string, bytes: Uint8Array, of?: string) => {
    const final = writeWhole(path, bytes, overwrite);
    say(`Wrote ${final}${of === undefined ? "" : `: ${of}`}`);
    return final;
  };
  const written: string[] = [];
  const pauses = new Pauses();
  for (const [i, picture] of pictures.entries()) {
    // So that Ctrl-C stops also here.
    await pauses.takeIfDue();
    const settings = settingsOf(picture, run.request, run.values);
    const png = await withSettings(await shown[i]!.toPng(), settings, images[i]!);
    if (paths === undefined) await writeToStandardOutput(png);
    else written.push(put(paths.images[i]!, png, titleToTell(picture, run)));
  }
  // A row for each subject that has several pictures; else about as wide as it is high.
  const columns = subjects.length > 1 && seeds.length > 1 ? seeds.length : undefined;
  const sheet = paths?.sheet &&
    put(paths.sheet, await contactSheet(shown, { columns }).toPng());
  const tokens = paths?.tokens && run.tokens && put(paths.tokens, tokensFile(run, run.tokens));
  return { images: written, sheet, tokens };
}

/** What a picture shows, if the command line alone does not tell it. */
function titleToTell(picture: PictureName, { request, values }: FinishedRun): string | undefined {
  const title = titleOf(drawnSubject(picture, values));
  return request.subjects.length > 1 || title !== titleOf(picture) ? title : undefined;
}

/** `Seed 5`, `Seeds 1 to 8` or `Seeds 1, 5, 9`. */
function seedText(seeds: readonly bigint[]): string {
  const [first, last] = [seeds[0]!, seeds.at(-1)!];
  if (seeds.length === 1) return `Seed ${first}`;
  const isRange = last - first === BigInt(seeds.length - 1);
  return `Seeds ${isRange ? `${first} to ${last}` : seeds.join(", ")}`;
}

/** Gives the seconds since it was made or called last. */
function stopwatch(): () => number {
  let last = performance.now();
  return () => {
    const now = performance.now();
    const seconds = Math.round(now - last) / 1000;
    last = now;
    return seconds;
  };
}
