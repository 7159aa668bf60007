/**
 * What `generate` draws, once files and the standard input are read.
 *
 * @module
 */

import type { WeightDType } from "../base/dtypes.ts";
import { followingSeeds, randomSeed } from "../random/seed.ts";
import { UsageError } from "./arguments.ts";
import { checkCount, type GenerateArguments, STANDARD_OUTPUT } from "./generate_arguments.ts";
import type { PictureName } from "./output_names.ts";
import { type PictureSettings, readSettings, type SettingsValues } from "./picture_settings.ts";
import { readPrompts } from "./prompt_sources.ts";

/** What to draw, with which model. */
export interface GenerateRequest {
  /** The prompts. */
  readonly prompts: readonly string[];
  /** Seeds of the pictures of each prompt. */
  readonly seeds: readonly bigint[];
  /** All pictures, those of a prompt one after the other. */
  readonly pictures: readonly PictureName[];
  /** Parameters of a picture that is drawn again: what is given beside it comes first. */
  readonly inherited: SettingsValues;
  /** The model as it is asked for; undefined for the embedded one. */
  readonly model: string | undefined;
  readonly revision: string | undefined;
  readonly dtype: WeightDType | undefined;
  /** Side of the squares that pixels are enlarged to. */
  readonly scale: number;
}

/**
 * Reads what the arguments name.
 *
 * @throws {UsageError} If a file or the standard input cannot be read, or there is too much to draw.
 */
export async function readRequest(args: GenerateArguments): Promise<GenerateRequest> {
  const picture = args.from === undefined ? undefined : await readPicture(args.from);
  const given = await readPrompts(args);
  const prompts = given.length > 0 || picture === undefined ? given : [picture.prompt];
  checkCount(prompts.length * args.numImagesPerPrompt);
  const seeds = seedsOf(args, picture);
  const pictures = prompts.flatMap((prompt) => seeds.map((seed) => ({ prompt, seed })));
  if (args.out === STANDARD_OUTPUT && pictures.length > 1) {
    throw new UsageError(`--out - takes one picture, got ${pictures.length}`);
  }
  // The revision and the type of the weights belong to the model.
  const { model, revision, dtype } = args.model === undefined && picture ? picture : args;
  return {
    prompts,
    seeds,
    pictures,
    inherited: picture?.values ?? {},
    model,
    revision: args.revision ?? revision,
    dtype: args.dtype ?? dtype,
    scale: args.scale ?? picture?.scale ?? 1,
  };
}

/** Settings of a picture; see {@linkcode PictureSettings}. */
export function settingsOf(
  { prompt, seed }: PictureName,
  { model, revision, dtype, scale }: GenerateRequest,
  values: SettingsValues,
): PictureSettings {
  return { prompt, seed, values, model, revision, dtype, scale };
}

/** One seed is followed by as many as there are pictures. */
function seedsOf(
  { seeds, numImagesPerPrompt }: GenerateArguments,
  picture: PictureSettings | undefined,
): readonly bigint[] {
  if (seeds !== undefined && seeds.length > 1) return seeds;
  return followingSeeds(seeds?.[0] ?? picture?.seed ?? randomSeed(), numImagesPerPrompt);
}

async function readPicture(path: string): Promise<PictureSettings> {
  try {
    return await readSettings(await Deno.readFile(path), path);
  } catch (error) {
    const { message } = error as Error;
    const reason = message.startsWith("Cannot") ? message : `Cannot read ${path}: ${message}`;
    throw new UsageError(reason, { cause: error });
  }
}
