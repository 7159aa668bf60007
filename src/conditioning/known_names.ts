/**
 * The names of the things that a model can draw: `names.json` in its folder.
 *
 * @module
 */

import { describeValue, nearestName } from "../base/check.ts";
import { type Config, parseConfig, stringListField } from "../checkpoints/config.ts";
import { readOptionalText } from "../files/optional_file.ts";
import { joinPath } from "../files/paths.ts";
import type { ModelFolder } from "../files/source.ts";

/** Name of the file in the folder of a pipeline. */
export const NAMES_FILE = "names.json";

/** The most names of a category that are read. */
const MOST_NAMES = 100_000;

/** The most words of a prompt that nearest names are looked for. */
const MOST_WORDS = 8;

/** Most words of a style or a ground with those around: "on a light blue background". */
const MOST_BESIDE = 6;

/** Words of prompts that name nothing. */
const SMALL_WORDS = new Set(
  (
    "a an and at background by colored coloured drawing emoji for from icon image in into its of on or " +
    "photo picture s style the to with one two three four five six seven eight nine ten"
  ).split(" "),
);

/** The names that a model knows, and words that may stand beside them in a prompt. */
export class KnownNames {
  /** Names by category. */
  readonly categories: Readonly<Record<string, readonly string[]>>;
  /** Styles: "a cat, flat style". */
  readonly styles: readonly string[];
  /** Colours of grounds: "a cat on a blue background". */
  readonly grounds: readonly string[];
  /** All fields of the file as they stand there, to be saved again. */
  readonly json: Readonly<Record<string, unknown>>;
  /** All names by the words in them, which stand in the singular. */
  readonly #namesOf = new Map<string, string[]>();
  /** Styles and grounds in a prompt. */
  readonly #besideNames: ReadonlySet<string>;

  /**
   * Checks the fields of the file: `names` (lists by category) and, if wanted, `styles` and `grounds`.
   *
   * @throws {TypeError} If one is of another type.
   */
  constructor(config: Config) {
    const lists = categoriesOf(config);
    this.json = config.values;
    this.categories = Object.fromEntries(
      Object.keys(lists.values).map((name) => [name, namesIn(lists, name)]),
    );
    this.styles = namesIn(config, "styles");
    this.grounds = namesIn(config, "grounds");
    this.#besideNames = new Set([
      ...this.styles.flatMap((one) => [`${one} style`, `in ${one} style`]),
      ...this.grounds.flatMap((one) => [`on a ${one} background`, `on an ${one} background`]),
    ].map((phrase) => wordsOf(phrase).join(" ")));
    for (const name of this.names) {
      for (const word of new Set(wordsOf(name).map(stemOf))) {
        const others = this.#namesOf.get(word);
        if (others) others.push(name);
        else this.#namesOf.set(word, [name]);
      }
    }
  }

  /** All names. */
  get names(): string[] {
    return Object.values(this.categories).flat();
  }

  /** Names by category, of those that have all words of a text in their name or their category. */
  matching(text: string): Readonly<Record<string, readonly string[]>> {
    const words = text.toLowerCase().split(/\s+/);
    const fits = (...texts: string[]) =>
      words.every((word) => texts.some((one) => one.toLowerCase().includes(word)));
    const found = Object.entries(this.categories)
      .map(([category, names]) => [category, names.filter((name) => fits(name, category))] as const)
      .filter(([, names]) => names.length > 0);
    return Object.fromEntries(found);
  }

  /**
   * Finds what is known of a prompt.
   *
   * @returns Names of which all words are in the prompt, those of most words first, without parts of others;
   *   and words that belong to no name, style or ground.
   */
  understand(
    prompt: string,
  ): { readonly names: readonly string[]; readonly others: readonly string[] } {
    const left = this.#wordsLeft(prompt);
    const stems = new Set(left.map(stemOf));
    const words = significant(left);
    const found = [...new Set(words.flatMap((word) => this.#namesWith(word)))]
      .map((name) => ({ name, own: significant(wordsOf(name)).map(stemOf) }))
      .filter(({ own }) => own.every((stem) => stems.has(stem)))
      .sort((a, b) => b.own.length - a.own.length);
    const named = new Set<string>();
    const names = found.filter(({ own }) => {
      const isPart = own.every((stem) => named.has(stem));
      own.forEach((stem) => named.add(stem));
      return !isPart;
    });
    return {
      names: names.map(({ name }) => name),
      others: [...new Set(words.filter((word) => !named.has(stemOf(word))))],
    };
  }

  /** The names that the words of a prompt are nearest to, at most so many. */
  nearest(prompt: string, most: number): string[] {
    const words = [...this.#namesOf.keys()].filter((word) => !SMALL_WORDS.has(word));
    const near = significant(this.#wordsLeft(prompt)).slice(0, MOST_WORDS)
      .flatMap((word) => nearestWord(stemOf(word), words) ?? [])
      .flatMap((word) => this.#namesWith(word).toSorted((a, b) => a.length - b.length));
    return [...new Set(near)].slice(0, most);
  }

  /** The words of a prompt that name no style and no ground. */
  #wordsLeft(prompt: string): readonly string[] {
    const words = wordsOf(prompt);
    const left: string[] = [];
    for (let i = 0; i < words.length;) {
      const count = this.#wordsBeside(words.slice(i, i + MOST_BESIDE));
      if (count === 0) left.push(words[i]!);
      i += Math.max(1, count);
    }
    return left;
  }

  /** How many words name a style or a ground, from the first on. */
  #wordsBeside(words: readonly string[]): number {
    let count = words.length;
    while (count > 0 && !this.#besideNames.has(words.slice(0, count).join(" "))) count--;
    return count;
  }

  #namesWith(word: string): readonly string[] {
    return this.#namesOf.get(stemOf(word)) ?? [];
  }
}

/**
 * Reads the names of a folder.
 *
 * @returns Undefined if it has no such file, or one of that name for something else.
 * @throws {SyntaxError} If it is not a JSON object.
 * @throws {TypeError} If a list in it is something else.
 */
export async function readKnownNames(folder: ModelFolder): Promise<KnownNames | undefined> {
  const text = await readOptionalText(folder, NAMES_FILE);
  if (text === undefined) return undefined;
  const config = await parseConfig(text, joinPath(folder.description, NAMES_FILE));
  return Object.hasOwn(config.values, "names") ? new KnownNames(config) : undefined;
}

/** The lists of names, as a config of their own. */
function categoriesOf({ description, values }: Config): Config {
  const lists = values["names"];
  if (typeof lists !== "object" || lists === null || Array.isArray(lists)) {
    throw new TypeError(
      `Cannot use ${description}: names is ${describeValue(lists)}, expected an object of lists`,
    );
  }
  return { description, values: { ...lists } };
}

function namesIn(config: Config, key: string): readonly string[] {
  return stringListField(config, key, { default: [], maxLength: MOST_NAMES });
}

/** Words without small ones, if there are others. */
function significant(words: readonly string[]): readonly string[] {
  const others = words.filter((word) => !SMALL_WORDS.has(word));
  return others.length > 0 ? others : words;
}

/** The words of a text in lower case, without marks. */
function wordsOf(text: string): string[] {
  return text.toLowerCase().match(/[\p{L}\p{M}\p{N}]+/gu) ?? [];
}

/** The nearest of some words; those that begin alike come first, as fewest people mistake that letter. */
function nearestWord(word: string, words: readonly string[]): string | undefined {
  return nearestName(word, words.filter((one) => one[0] === word[0])) ?? nearestName(word, words);
}

/** An English noun in the singular, or a word that its singular and its plural have in common. */
function stemOf(word: string): string {
  return word.replace(/ies$/, "y").replace(/(ss|x|ch|sh)es$/, "$1").replace(/([^s])s$/, "$1");
}
