// Prompts in the words that the embedded model was trained with.

/** Colours of the grounds, as red, green and blue. */
export const GROUND_COLORS: Readonly<Record<string, readonly [number, number, number]>> = {
  white: [255, 255, 255],
  black: [25, 25, 28],
  gray: [150, 152, 158],
  red: [226, 60, 60],
  orange: [250, 150, 50],
  yellow: [252, 222, 80],
  green: [70, 175, 90],
  blue: [60, 120, 225],
  "light blue": [165, 215, 250],
  purple: [140, 90, 205],
  pink: [250, 170, 200],
  brown: [130, 90, 60],
};

/** Names of the grounds. */
export const GROUNDS: readonly string[] = Object.keys(GROUND_COLORS);

/** Styles that all names were drawn in. */
export const COMMON_STYLES: readonly string[] = ["noto", "fluent", "flat"];

/** Styles that the emoji were drawn in. */
export const STYLES: readonly string[] = [...COMMON_STYLES, "twemoji", "blob", "mirrored noto"];

/** What `evaluation/contact_sheet.ts` draws. */
export const SHEET_PROMPTS: readonly string[] = [
  "red apple",
  "cat",
  "grinning face",
  "pizza on a blue background",
  "rocket",
  "a green apple on a red background",
  "dog face, noto style",
  "tractor on a yellow background",
  "octopus on a light blue background",
  "crown",
  "a mushroom on an orange background",
  "soccer ball on a green background",
  "a tulip on a purple background",
  "a strawberry, flat style on a white background",
  "hamburger on a black background",
  "an owl, fluent style",
];

/** Names for {@linkcode variedPrompts}: 40, all of them in the training data. */
const NAMES: readonly string[] = [
  "red apple",
  "green apple",
  "cat",
  "dog face",
  "grinning face",
  "pizza",
  "rocket",
  "tractor",
  "octopus",
  "crown",
  "soccer ball",
  "tulip",
  "strawberry",
  "hamburger",
  "sun",
  "crab",
  "blue book",
  "banana",
  "bicycle",
  "umbrella",
  "balloon",
  "bell",
  "butterfly",
  "camera",
  "candle",
  "carrot",
  "fire",
  "fox",
  "frog",
  "guitar",
  "key",
  "locomotive",
  "mushroom",
  "owl",
  "penguin",
  "red heart",
  "sailboat",
  "snowman",
  "teapot",
  "watermelon",
];

/** Number of prompts that {@linkcode variedPrompts} can make. */
export const MOST_PROMPTS: number = NAMES.length * GROUNDS.length;

/** A thing to draw, on a ground or in a style if those are given. */
export interface PromptParts {
  readonly name: string;
  readonly ground?: string | undefined;
  readonly style?: string | undefined;
}

/** "a cat, flat style on an orange background". */
export function promptOf({ name, ground, style }: PromptParts): string {
  return withArticle(name) + (style === undefined ? "" : `, ${style} style`) +
    (ground === undefined ? "" : ` on ${withArticle(ground)} background`);
}

/**
 * Different prompts of names × grounds × styles, always the same ones: the first 40 have different
 * names, and grounds and styles change from each to the next; one in four names no style.
 *
 * @throws {RangeError} If more are asked for than there are.
 */
export function variedPrompts(count: number): string[] {
  if (count > MOST_PROMPTS) {
    throw new RangeError(
      `Cannot make ${count} different prompts: expected at most ${MOST_PROMPTS}`,
    );
  }
  const styles = [...STYLES, undefined];
  return Array.from({ length: count }, (_, i) => {
    const round = Math.floor(i / NAMES.length);
    return promptOf({
      name: NAMES[i % NAMES.length]!,
      ground: GROUNDS[(i + round * 7) % GROUNDS.length]!,
      style: styles[(i + round) % styles.length],
    });
  });
}

function withArticle(noun: string): string {
  return `${/^[aeiou]/.test(noun) ? "an" : "a"} ${noun}`;
}
