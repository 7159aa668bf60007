/**
 * What to tell people about their prompts: words that the model does not know, and words that it does
 * not get to see.
 *
 * @module
 */

import { describeValue } from "../base/check.ts";
import type { CLIPTokenizer } from "../tokenizers/clip_tokenizer.ts";
import type { KnownNames } from "./known_names.ts";
import { longestStyled } from "./styles.ts";

/** Something to know about a prompt. */
export interface PromptNote {
  /** The prompt. */
  readonly prompt: string;
  /** Whether no name in it is known, words beside names are not, or it is longer than what the model reads. */
  readonly kind: "unknown" | "words" | "cut";
  /** One line for people. */
  readonly message: string;
  /** Of an unknown one, names that the model knows and that are near to it. */
  readonly nearest: readonly string[];
}

/** The most names that a note proposes. */
const MOST_NAMES = 4;

/**
 * Notes on prompts, each once.
 *
 * @param model What reads the prompts, the names that it knows, and styles that are put behind prompts, as
 *   far as there are such.
 */
export function promptNotes(
  prompts: readonly string[],
  { tokenizer, names, styles = [] }: {
    readonly tokenizer?: CLIPTokenizer | undefined;
    readonly names?: KnownNames | undefined;
    readonly styles?: readonly string[] | undefined;
  },
): PromptNote[] {
  return [...new Set(prompts)].flatMap((prompt) => [
    ...(names === undefined ? [] : unknownNote(prompt, names)),
    ...(tokenizer === undefined ? [] : cutNote(prompt, longestStyled(prompt, styles), tokenizer)),
  ]);
}

function unknownNote(prompt: string, names: KnownNames): PromptNote[] {
  if (prompt.trim() === "") return [];
  const { names: known, others } = names.understand(prompt);
  if (known.length > 0) {
    if (others.length === 0) return [];
    const list = (texts: readonly string[]) =>
      texts.slice(0, MOST_NAMES).map(describeValue).join(", ");
    const message = `the model knows ${list(known)}, but not ${list(others)}, which may spoil it`;
    return [{ prompt, kind: "words", message, nearest: [] }];
  }
  const nearest = names.nearest(prompt, MOST_NAMES);
  const advice = nearest.length > 0 ? `; the nearest names: ${nearest.join(", ")}` : "";
  const message = `the model knows no name in ${describeValue(prompt)}${advice}`;
  return [{ prompt, kind: "unknown", message, nearest }];
}

/** Prompts are cut as in diffusers, without the token that ends them. */
function cutNote(prompt: string, drawn: string, tokenizer: CLIPTokenizer): PromptNote[] {
  const ids = tokenizer.encode(drawn);
  const { modelMaxLength } = tokenizer;
  const beyond = ids.slice(modelMaxLength, -1);
  if (beyond.length === 0) return [];
  const lost = describeValue(tokenizer.decode(beyond).trim());
  const message = `the prompt ${describeValue(drawn)} is too long: the model reads ` +
    `${modelMaxLength} tokens of it, without ${lost}`;
  return [{ prompt, kind: "cut", message, nearest: [] }];
}
