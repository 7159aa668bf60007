/**
 * What `generate` draws, once files and the standard input are read.
 *
 * @module
 */

import { basename } from "node:path";
import type { WeightDType } from "../base/dtypes.ts";
import type { GenerationParameters } from "../pipeline/generation_parameters.ts";
import type { PictureOptions } from "../pipeline/picture_options.ts";
import {
  type PictureSettings,
  readSettings,
  type SettingsValues,
  type StartNames,
} from "../pipeline/picture_settings.ts";
import { type PictureSubject, subjectOf } from "../pipeline/picture_subject.ts";
import { followingSeeds, randomSeed } from "../random/seed.ts";
import { stepsOfSampler } from "../schedulers/samplers.ts";
import { UsageError } from "./arguments.ts";
import {
  checkCount,
  type GenerateArguments,
  readParameters,
  STANDARD_OUTPUT,
} from "./generate_arguments.ts";
import type { PictureName } from "./output_names.ts";
import { readPictures } from "./picture_files.ts";
import { readPrompts } from "./prompt_sources.ts";
import { cannotRead } from "./read_error.ts";

/** What to draw, with which model. */
export interface GenerateRequest {
  /** The prompts or classes; one that is neither for an unconditional model, or variations of a picture. */
  readonly subjects: readonly PictureSubject[];
  /** The picture to start from, and which part of it to repaint. */
  readonly start: PictureOptions;
  /** Names of their files. */
  readonly startNames: StartNames;
  /** Seeds of the pictures of each of them. */
  readonly seeds: readonly bigint[];
  /** All pictures, those of a subject one after the other. */
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
  const subjects = subjectsOf(args, await readPrompts(args), picture);
  checkCount(subjects.length * args.numImagesPerPrompt);
  const seeds = seedsOf(args, picture);
  const pictures = subjects.flatMap((subject) => seeds.map((seed) => ({ ...subject, seed })));
  checkStart(args, picture);
  const { strength = args.image === undefined ? undefined : picture?.values.strength } =
    readParameters(args.parameters, {});
  const start = await readPictures(args, strength);
  if (args.out === STANDARD_OUTPUT && pictures.length > 1) {
    throw new UsageError(`--out - takes one picture, got ${pictures.length}`);
  }
  // The revision and the type of the weights belong to the model.
  const { model, revision, dtype } = args.model === undefined && picture ? picture : args;
  return {
    subjects,
    start,
    startNames: {
      image: args.image && basename(args.image),
      mask: args.mask && basename(args.mask),
    },
    seeds,
    pictures,
    inherited: inheritedOf(args, picture),
    model,
    revision: args.revision ?? revision,
    dtype: args.dtype ?? dtype,
    scale: args.scale ?? picture?.scale ?? 1,
  };
}

/**
 * The parameters of a picture that is drawn again, and what is given beside it, which comes first. A sampler
 * that is given without steps takes none of the picture where they follow from either sampler.
 */
export function inheritParameters(
  given: GenerationParameters,
  { numInferenceSteps, ...others }: SettingsValues,
  numTrainTimesteps: number,
): GenerationParameters {
  const fixes = (sampler = "") => stepsOfSampler(sampler, numTrainTimesteps) !== undefined;
  const isOpen = given.sampler !== undefined && (fixes(given.sampler) || fixes(others.sampler));
  const own = Object.entries(given).filter(([, value]) => value !== undefined);
  const inherited = isOpen ? others : { numInferenceSteps, ...others };
  return { ...inherited, ...Object.fromEntries(own) };
}

/** Settings of a picture; see {@linkcode PictureSettings}. */
export function settingsOf(
  picture: PictureName,
  { model, revision, dtype, scale, startNames }: GenerateRequest,
  values: SettingsValues,
): PictureSettings {
  const { seed } = picture;
  return { ...subjectOf(picture), seed, values, ...startNames, model, revision, dtype, scale };
}

/** Styles are those of its model, for prompts; a picture to start from shows its own. */
function inheritedOf(
  { image, model }: GenerateArguments,
  picture: PictureSettings | undefined,
): SettingsValues {
  if (picture === undefined) return {};
  const { styles, ...others } = picture.values;
  const isOtherModel = model !== undefined && model !== picture.model;
  const isOther = isOtherModel || image !== undefined && picture.image === undefined;
  return isOther ? others : { styles, ...others };
}

/** What is given comes first, then what a picture shows that is drawn again. */
function subjectsOf(
  { classes = [] }: GenerateArguments,
  prompts: readonly string[],
  picture: PictureSettings | undefined,
): readonly PictureSubject[] {
  const given = [
    ...prompts.map((prompt) => ({ prompt })),
    ...classes.map((classLabel) => ({ classLabel })),
  ];
  return given.length > 0 ? given : [picture === undefined ? {} : subjectOf(picture)];
}

/** A picture that was drawn from others is drawn again from these. */
function checkStart(args: GenerateArguments, picture: PictureSettings | undefined): void {
  for (const name of ["image", "mask"] as const) {
    if (picture?.[name] === undefined || args[name] !== undefined) continue;
    throw new UsageError(
      `${args.from} was drawn with --${name} ${picture[name]}, expected that picture as --${name}`,
    );
  }
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
    throw cannotRead(path, error);
  }
}
