/**
 * Classes in place of prompts at the command line.
 *
 * @module
 */

import type { Transformer2DConfig } from "../models/transformer_2d_config.ts";
import type { PictureSubject } from "../pipeline/picture_subject.ts";
import { UsageError, wrongValue } from "./arguments.ts";

/** The most classes of one run. */
const MAX_CLASSES = 100;

/** What `--class` takes, for error messages. */
const CLASS_LISTS = "a whole number, a range such as 1-8, or a list such as 1,5,9";

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
  { subjects, isVariation, negative }: {
    readonly subjects: readonly PictureSubject[];
    /** What not to draw, which only text can say. */
    readonly negative: unknown;
    /** Whether a picture is varied, for which text is not needed. */
    readonly isVariation: boolean;
  },
  { conditionType, numClassEmbeds }: Pick<Transformer2DConfig, "conditionType" | "numClassEmbeds">,
): void {
  const isPrompt = subjects.some(({ prompt }) => prompt !== undefined);
  const isClass = subjects.some(({ classLabel }) => classLabel !== undefined);
  const given = isPrompt ? "A prompt is given" : isClass ? "--class is given" : "Nothing is given";
  const source = { text: "draws from text", class: "draws from classes", none: "is unconditional" };
  const why = `as the model ${source[conditionType]}`;
  if (negative !== undefined && conditionType !== "text") {
    throw new UsageError(`--negative is given, expected none, ${why}`);
  }
  switch (conditionType) {
    case "text":
      if (isPrompt || isVariation && !isClass) return;
      throw new UsageError(`${given}, expected a prompt, ${why}`);
    case "class": {
      const max = numClassEmbeds - 1;
      const wanted = `a whole number from 0 to ${max}`;
      if (!isClass) {
        throw new UsageError(`${given}, expected --class, ${wanted}, ${why}`);
      }
      const wrong = subjects.find(({ classLabel = -1 }) => classLabel > max)?.classLabel;
      if (wrong !== undefined) throw wrongValue("class", wanted, String(wrong));
      return;
    }
    case "none":
      if (!isPrompt && !isClass) return;
      throw new UsageError(`${given}, expected none, ${why}`);
  }
}
