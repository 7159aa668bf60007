/**
 * What CLIP does to a text before its words are encoded.
 *
 * @module
 */

/**
 * CLIP's own marks, English contractions, runs of letters, single digits, runs of other characters.
 * `\s` would not do for white space: in JavaScript it has the byte order mark and lacks U+0085.
 */
const WORD =
  /<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|\p{L}+|\p{N}|[^\p{White_Space}\p{L}\p{N}]+/gu;

/** Marks that are no special tokens of the vocabulary in use fall apart after all. */
const MARK_PARTS = /^(<\|)(startoftext|endoftext)(\|>)$/;

const WHITE_SPACE = /\p{White_Space}+/gu;

/**
 * Composes accents (NFC), makes single spaces of all white space, and lowers the case of each
 * character by itself: a sigma at the end of a word is one like others.
 */
export function normalizeText(text: string): string {
  return text.normalize("NFC").replace(WHITE_SPACE, " ").replaceAll("Σ", "σ").toLowerCase();
}

/** The words of a normalized text, without the spaces between them. */
export function splitWords(text: string): string[] {
  const words = text.match(WORD) ?? [];
  return words.flatMap((word) => MARK_PARTS.exec(word)?.slice(1) ?? word);
}

/** The text without the white space at its beginning. */
export function trimStart(text: string): string {
  return text.replace(/^\p{White_Space}+/u, "");
}

/** The text without the white space at its end. */
export function trimEnd(text: string): string {
  // No regular expression: one that must end where the text does takes n² steps for n spaces.
  let end = text.length;
  while (end > 0 && /\p{White_Space}/u.test(text[end - 1]!)) end--;
  return text.slice(0, end);
}
