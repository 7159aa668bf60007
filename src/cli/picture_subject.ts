/**
 * What pictures show, as a model is told it.
 *
 * @module
 */

import type { GenerateInput } from "../conditioning/condition.ts";
import type { Transformer2DConfig } from "../models/transformer_2d_config.ts";
import { UsageError, wrongValue } from "./arguments.ts";

/** A prompt or a class; neither for an unconditional model. */
export interface PictureSubject {
  /** What a model is told that draws from text. */
  readonly prompt?: string | undefined;
  /** What a model is told that draws from classes. */
  readonly classLabel?: number | undefined;
}

/** The most classes of one run. */
const MAX_CLASSES = 100;

/** What `--class` takes, for error messages. */
const CLASS_LISTS = "a whole number, a range such as 1-8, or a list such as 1,5,9";

/** The subject alone, of what has more to it. */
export function subjectOf({ prompt, classLabel }: PictureSubject): PictureSubject {
  if (prompt !== undefined) return { prompt };
  return classLabel === undefined ? {} : { classLabel };
}

/** Words for a subject, which name the file of its picture. */
export function titleOf({ prompt, classLabel }: PictureSubject): string {
  return prompt ?? (classLabel === undefined ? "unconditional" : `class ${classLabel}`);
}

/** All subjects of a run, which are of one kind, as a pipeline takes them. */
export function inputOf(subjects: readonly PictureSubject[]): GenerateInput {
  const labels = subjects.flatMap(({ classLabel }) => classLabel ?? []);
  if (labels.length > 0) return { classLabel: labels };
  const prompts = subjects.flatMap(({ prompt }) => prompt ?? []);
  return prompts.length > 0 ? prompts : undefined;
}

/**
 * Reads classes parted by commas, of which each may be a range.
 *
 * @throws {UsageError} If it is none.
 */
export function classesOption(text: string | undefined): number[] | undefined {
  return text?.split(",").flatMap((part) => {
    const [, first, last = first] = /^(\d{1,9})(?:-(\d{1,9}))?$/.exec(part.trim()) ?? [];
    const count = Number(last) - Number(first) + 1;
    if (!(count >= 1 && count <= MAX_CLASSES)) throw wrongValue("class", CLASS_LISTS, text);
    return Array.from({ length: count }, (_, i) => Number(first) + i);
  });
}

/**
 * Checks that a model takes what it is told.
 *
 * @throws {UsageError} If it draws from something else.
 */
export function checkSubjects(
  subjects: readonly PictureSubject[],
  { conditionType, numClassEmbeds }: Pick<Transformer2DConfig, "conditionType" | "numClassEmbeds">,
): void {
  const isPrompt = subjects.some(({ prompt }) => prompt !== undefined);
  const isClass = subjects.some(({ classLabel }) => classLabel !== undefined);
  const given = isPrompt ? "A prompt is given" : isClass ? "--class is given" : "Nothing is given";
  switch (conditionType) {
    case "text":
      if (isPrompt) return;
      throw new UsageError(`${given}, expected a prompt, as the model draws from text`);
    case "class": {
      const max = numClassEmbeds - 1;
      const wanted = `a whole number from 0 to ${max}`;
      if (!isClass) {
        throw new UsageError(
          `${given}, expected --class, ${wanted}, as the model draws from classes`,
        );
      }
      const wrong = subjects.find(({ classLabel = -1 }) => classLabel > max)?.classLabel;
      if (wrong !== undefined) throw wrongValue("class", wanted, String(wrong));
      return;
    }
    case "none":
      if (!isPrompt && !isClass) return;
      throw new UsageError(`${given}, expected none, as the model is unconditional`);
  }
}
