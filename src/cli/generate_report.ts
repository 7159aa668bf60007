/**
 * What `generate` tells programs: the line of `--json`, and the file of tokens.
 *
 * @module
 */

import type { DeviceInfo } from "../backends/backend.ts";
import { VERSION } from "../base/version.ts";
import type { PromptNote } from "../conditioning/prompt_notes.ts";
import type { GenerateRequest } from "./generate_request.ts";
import type { OutputPaths, PictureName } from "./output_names.ts";
import type { SettingsValues } from "../pipeline/picture_settings.ts";
import { drawnSubject, subjectOf } from "../pipeline/picture_subject.ts";

/** Seconds that the parts of a run took. */
export interface RunTimes {
  /** Loading the model. */
  readonly load: number;
  /** Drawing. */
  readonly draw: number;
  /** Writing the files. */
  readonly write: number;
}

/** A run that is over. */
export interface FinishedRun {
  readonly request: GenerateRequest;
  /** Parameters that all pictures have in common. */
  readonly values: SettingsValues;
  /** Tokens (pictures · pixels), if they are to be saved. */
  readonly tokens: Int32Array | undefined;
  readonly device: DeviceInfo;
  readonly notes: readonly PromptNote[];
}

/** The line of `--json`. Seeds are texts: they can be too big for numbers of JSON. */
export function jsonReport(
  { request, values, device, notes }: FinishedRun,
  paths: OutputPaths,
  seconds: RunTimes,
): string {
  const { pictures, seeds, startNames, model, revision, dtype, scale } = request;
  return JSON.stringify({
    version: VERSION,
    files: pictures.map((picture, i) => ({
      path: paths.images[i],
      ...subjectOf(picture),
      ...drawnOf(picture, values),
      seed: `${picture.seed}`,
    })),
    sheet: paths.sheet,
    tokens: paths.tokens,
    seeds: seeds.map(String),
    settings: { ...values, ...startNames, model, revision, dtype, scale },
    device,
    notes: notes.map(({ message }) => message),
    seconds,
  });
}

/** The prompt as it was drawn, if a style was added. */
function drawnOf(picture: PictureName, values: SettingsValues): { drawnPrompt?: string } {
  const { prompt } = drawnSubject(picture, values);
  return prompt === picture.prompt ? {} : { drawnPrompt: prompt! };
}

/** What the images were made of, and how, as a file of JSON. */
export function tokensFile({ request, values }: FinishedRun, tokens: Int32Array): Uint8Array {
  const { pictures } = request;
  const pixels = tokens.length / pictures.length;
  const images = pictures.map((picture, i) => ({
    ...subjectOf(picture),
    ...drawnOf(picture, values),
    seed: `${picture.seed}`,
    tokens: [...tokens.subarray(i * pixels, (i + 1) * pixels)],
  }));
  return new TextEncoder().encode(`${JSON.stringify({ ...values, images })}\n`);
}
