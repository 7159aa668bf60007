/**
 * Styles of prompts that name none: another seed, another picture.
 *
 * @module
 */

import type { Seed } from "../random/seed.ts";

/**
 * A prompt as a picture of it is drawn: with the style that its seed chooses, in turn from one seed to the
 * next. A prompt that names one of the styles, or that is empty, stays as it is.
 *
 * A model that has learned one drawing of a thing in each of its styles draws the same with every seed. To
 * draw the style, then the picture in it, is to draw from the mixture of all of them, without the pictures
 * half in one style and half in another that few steps make of it.
 *
 * @param seed A whole number, of which the low 32 bits count, as everywhere.
 * @param styles What is put behind a prompt, such as `"flat style"`; none for prompts as they stand.
 *
 * @example
 * ```ts
 * import { styledPrompt } from "@vq-diffusion/vq-diffusion";
 *
 * const styles = ["noto style", "flat style"];
 * styledPrompt("a cat", 3, styles); // "a cat, flat style"
 * styledPrompt("a cat, Noto style", 3, styles); // as it stands
 * ```
 */
export function styledPrompt(prompt: string, seed: Seed, styles: readonly string[] = []): string {
  const thing = prompt.replace(/[\s,.;]+$/, "");
  if (styles.length === 0 || thing === "" || styles.some((style) => isNamed(style, prompt))) {
    return prompt;
  }
  const index = BigInt.asUintN(32, BigInt(seed)) % BigInt(styles.length);
  return `${thing}, ${styles[Number(index)]}`;
}

/** A prompt with the longest of the styles that seeds may choose. */
export function longestStyled(prompt: string, styles: readonly string[]): string {
  const styled = styles.map((_, seed) => styledPrompt(prompt, seed, styles));
  return styled.reduce((a, b) => b.length > a.length ? b : a, prompt);
}

/**
 * The prompt of each image of a batch.
 *
 * @param copies Images of each prompt.
 * @param seedOf The seed of an image, by its number in the batch.
 * @returns Undefined if no image gets a style.
 */
export function styledPrompts(
  prompts: readonly string[],
  { copies, styles, seedOf }: {
    readonly copies: number;
    readonly styles: readonly string[];
    readonly seedOf: (image: number) => Seed;
  },
): readonly string[] | undefined {
  if (styles.length === 0) return undefined;
  const plain = prompts.flatMap((prompt) => new Array<string>(copies).fill(prompt));
  const styled = plain.map((prompt, image) => styledPrompt(prompt, seedOf(image), styles));
  return styled.some((prompt, image) => prompt !== plain[image]) ? styled : undefined;
}

/** Most UTF-16 code units of a style. */
const MOST_LENGTH = 200;

/** What {@linkcode isStyle} takes, for error messages. */
export const A_STYLE = `a string of at most ${MOST_LENGTH} characters that has words and no comma`;

/** How styles are written in one text, for error messages. */
export const STYLE_TEXTS = 'styles such as "flat style, in pencil", or "none"';

/** Whether something is a style. */
export function isStyle(value: unknown): value is string {
  return typeof value === "string" && value.length <= MOST_LENGTH && !/[,\p{Cc}]/u.test(value) &&
    wordsOf(value) !== "";
}

/** Reads styles of one text, parted by commas; undefined if it is not {@linkcode STYLE_TEXTS}. */
export function parseStyles(text: string): readonly string[] | undefined {
  if (/^\s*(none\s*)?$/i.test(text)) return [];
  const styles = text.split(",").map((style) => style.trim());
  return styles.every(isStyle) ? styles : undefined;
}

/** The text that {@linkcode parseStyles} reads. */
export function formatStyles(styles: readonly string[]): string {
  return styles.length > 0 ? styles.join(", ") : "none";
}

/** Whether a prompt has the words of a style, in capitals or not. */
function isNamed(style: string, prompt: string): boolean {
  return ` ${wordsOf(prompt)} `.includes(` ${wordsOf(style)} `);
}

function wordsOf(text: string): string {
  return (text.toLowerCase().match(/[\p{L}\p{M}\p{N}]+/gu) ?? []).join(" ");
}
