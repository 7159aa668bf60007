/**
 * What pictures show, as a model is told it.
 *
 * @module
 */

import type { GenerateInput } from "../conditioning/condition.ts";
import { styledPrompt } from "../conditioning/styles.ts";
import type { Seed } from "../random/seed.ts";
import type { GenerationParameters } from "./generation_parameters.ts";

/** A prompt or a class; neither for an unconditional model, or where a picture is varied. */
export interface PictureSubject {
  /** What a model is told that draws from text. */
  readonly prompt?: string | undefined;
  /** What a model is told that draws from classes. */
  readonly classLabel?: number | undefined;
}

/** The subject alone, of what has more to it. */
export function subjectOf({ prompt, classLabel }: PictureSubject): PictureSubject {
  if (prompt !== undefined) return { prompt };
  return classLabel === undefined ? {} : { classLabel };
}

/** The subject as a picture of it was drawn: a seed chooses a style where the prompt names none. */
export function drawnSubject(
  { prompt, classLabel, seed }: PictureSubject & { readonly seed: Seed },
  { styles }: Pick<GenerationParameters, "styles">,
): PictureSubject {
  return { prompt: prompt && styledPrompt(prompt, seed, styles), classLabel };
}

/** Words for a subject; none if there is neither a prompt nor a class. */
export function titleOf({ prompt, classLabel }: PictureSubject): string | undefined {
  return prompt ?? (classLabel === undefined ? undefined : `class ${classLabel}`);
}

/** All subjects of a run, which are of one kind, as a pipeline takes them. */
export function inputOf(subjects: readonly PictureSubject[]): GenerateInput {
  const labels = subjects.flatMap(({ classLabel }) => classLabel ?? []);
  if (labels.length > 0) return { classLabel: labels };
  const prompts = subjects.flatMap(({ prompt }) => prompt ?? []);
  return prompts.length > 0 ? prompts : undefined;
}
