/**
 * Checks of what callers give. All throw errors of one form: `Cannot <task>: <name> is <what was
 * given>, expected <what would fit>`. Options that are not given (undefined) pass.
 *
 * @module
 */

/** Longest text of a caller's that an error quotes. */
const MOST_QUOTED = 100;

/**
 * Characters that steer a terminal or turn the direction of what follows: control characters of both
 * sets, separators of lines, and the marks of bidirectional text. Line feeds and tabs are not among them.
 */
// deno-lint-ignore no-control-regex -- that is what is looked for
const CONTROLS = /[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g;

/** Foreign text with its control characters written as in JSON, such as `\u001b`. */
export function escapeControls(text: string): string {
  return text.replace(
    CONTROLS,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

/** A text in quotation marks, without control characters, and cut if it is long. */
function quote(text: string): string {
  if (text.length <= MOST_QUOTED) return escapeControls(JSON.stringify(text));
  return `${quote(text.slice(0, MOST_QUOTED))}… (${text.length} characters)`;
}

/** A name from a file: as it stands if it is like those of programs, else as {@linkcode describeValue} does. */
export function describeName(name: unknown): string {
  return typeof name === "string" && /^[\w.]{1,100}$/.test(name) ? name : describeValue(name);
}

/** A value as error messages show it: texts quoted and cut, objects by their kind. */
export function describeValue(value: unknown): string {
  switch (typeof value) {
    case "string":
      return quote(value);
    case "bigint":
      return `${value}n`;
    case "function":
      return "a function";
    case "object":
      if (value === null) return "null";
      if (Array.isArray(value)) return value.length === 0 ? "an empty array" : "an array";
      return describeObject(value);
    default:
      return String(value);
  }
}

/** A value of a JSON file as error messages show it: its own text, without what is nested, and cut. */
export function describeJson(value: unknown): string {
  if (typeof value !== "object" || value === null) return describeValue(value);
  const isNested = (inner: unknown) => typeof inner === "object" && inner !== null;
  const shallow = Object.entries(value).slice(0, MOST_QUOTED)
    .map(([key, inner]) => [key, isNested(inner) ? "…" : inner] as const);
  const text = JSON.stringify(
    Array.isArray(value) ? shallow.map(([, inner]) => inner) : Object.fromEntries(shallow),
  );
  return escapeControls(text.length <= MOST_QUOTED ? text : `${text.slice(0, MOST_QUOTED)}…`);
}

function describeObject(value: object): string {
  // Not the object's own property of that name, which a file may have given it.
  const name: unknown = Object.getPrototypeOf(value)?.constructor?.name;
  if (typeof name !== "string" || name === "Object" || !/^[\w$]+$/.test(name)) return "an object";
  return `${/^[AEIOU]/.test(name) ? "an" : "a"} ${name.slice(0, MOST_QUOTED)}`;
}

/** What a check is about. */
export interface Subject {
  /** What cannot be done if it fails, such as `generate`. */
  readonly task: string;
  /** What is checked, such as `numInferenceSteps`. */
  readonly name: string;
}

/**
 * Refuses a value of the wrong type.
 *
 * @param expected What would fit, such as `a string`.
 * @throws {TypeError} Always.
 */
export function refuseType({ task, name }: Subject, value: unknown, expected: string): never {
  throw new TypeError(`Cannot ${task}: ${name} is ${describeValue(value)}, expected ${expected}`);
}

/**
 * Refuses a value that is out of range.
 *
 * @param given The value, or what is wrong about it: `"an empty array"`.
 * @throws {RangeError} Always.
 */
export function refuseRange({ task, name }: Subject, given: unknown, expected: string): never {
  throw new RangeError(`Cannot ${task}: ${name} is ${describeValue(given)}, expected ${expected}`);
}

/** Bounds of a number, both inside. */
export interface Range {
  /** The smallest that fits. Default: any. */
  readonly min?: number | undefined;
  /** The greatest that fits. Default: any. */
  readonly max?: number | undefined;
  /** Why there is such a maximum, for people: `the timesteps of the training`. */
  readonly why?: string | undefined;
}

/** A range for people: `from 1 to 100`, `of at least 1`, or nothing. */
export function formatRange({ min = -Infinity, max = Infinity, why }: Range): string {
  const reason = why === undefined ? "" : `, ${why}`;
  if (min === max) return `, only ${min}${reason}`;
  if (max === Infinity) return min === -Infinity ? "" : ` of at least ${min}`;
  return min === -Infinity ? ` of at most ${max}${reason}` : ` from ${min} to ${max}${reason}`;
}

/**
 * Checks a whole number.
 *
 * @throws {TypeError} If it is not a number.
 * @throws {RangeError} If it is not whole, or out of range.
 */
export function checkInteger(subject: Subject, value: unknown, range: Range = {}): void {
  if (value === undefined) return;
  const expected = `a whole number${formatRange(range)}`;
  if (typeof value !== "number") refuseType(subject, value, expected);
  if (!Number.isSafeInteger(value) || !isInside(value, range)) {
    refuseRange(subject, value, expected);
  }
}

/**
 * Checks a finite number.
 *
 * @throws {TypeError} If it is not a number.
 * @throws {RangeError} If it is not finite, or out of range.
 */
export function checkNumber(subject: Subject, value: unknown, range: Range = {}): void {
  if (value === undefined) return;
  const expected = `a finite number${formatRange(range)}`;
  if (typeof value !== "number") refuseType(subject, value, expected);
  if (!Number.isFinite(value) || !isInside(value, range)) refuseRange(subject, value, expected);
}

function isInside(value: number, { min = -Infinity, max = Infinity }: Range): boolean {
  return value >= min && value <= max;
}

/**
 * Checks one of several words.
 *
 * @throws {RangeError} If it is none of them.
 */
export function checkChoice(subject: Subject, value: unknown, choices: readonly string[]): void {
  if (value === undefined || choices.some((choice) => choice === value)) return;
  refuseRange(subject, value, listOf(choices.map((choice) => JSON.stringify(choice)), "or"));
}

/** @throws {TypeError} If it is not a boolean. */
export function checkBoolean(subject: Subject, value: unknown): void {
  if (value !== undefined && typeof value !== "boolean") refuseType(subject, value, "a boolean");
}

/** @throws {TypeError} If it is not a function. */
export function checkFunction(subject: Subject, value: unknown): void {
  if (value !== undefined && typeof value !== "function") refuseType(subject, value, "a function");
}

/** @throws {TypeError} If it is not an `AbortSignal`. */
export function checkSignal(subject: Subject, value: unknown): void {
  if (value === undefined || value instanceof AbortSignal) return;
  refuseType(subject, value, "an AbortSignal");
}

/**
 * Checks the names of options, so that a misspelt one is not silently ignored.
 *
 * @param known Names of the options that there are.
 * @param aliases Names of options by those that they have elsewhere; these lead to the right ones.
 * @throws {TypeError} If `options` is not an object, or has another one; it names the nearest known one.
 */
export function checkOptions(
  task: string,
  options: unknown,
  known: readonly string[],
  aliases: Readonly<Record<string, string>> = {},
): void {
  if (typeof options !== "object" || options === null || Array.isArray(options)) {
    refuseType({ task, name: "options" }, options, "an object");
  }
  const unknown = Object.keys(options).find((name) => !known.includes(name));
  if (unknown === undefined) return;
  const near = nearestOption(unknown, known, aliases);
  const advice = near === undefined ? `expected ${listOf(known, "or")}` : `did you mean ${near}?`;
  throw new TypeError(`Cannot ${task}: unknown option ${describeValue(unknown)}, ${advice}`);
}

/**
 * The option that an unknown name most likely stands for.
 *
 * @param known Names of the options that there are.
 * @param aliases Names of options by those that they have elsewhere.
 */
export function nearestOption(
  unknown: string,
  known: readonly string[],
  aliases: Readonly<Record<string, string>> = {},
): string | undefined {
  const near = nearestName(unknown, [...known, ...Object.keys(aliases)]);
  return near === undefined || known.includes(near) ? near : aliases[near];
}

/**
 * The known name that a misspelt one most likely stands for: one that contains all of it as a word, or
 * else the one of the fewest edits, if they are few for its length.
 */
export function nearestName(name: string, known: readonly string[]): string | undefined {
  const wordsOf = (text: string) => text.replace(/[A-Z]/g, " $&").toLowerCase().split(/[^a-z0-9]+/);
  const words = wordsOf(name.slice(0, MOST_QUOTED)).filter((word) => word !== "");
  const containing = known.filter((one) => words.every((word) => wordsOf(one).includes(word)));
  if (words.length > 0 && containing.length > 0) {
    return containing.reduce((best, one) => one.length < best.length ? one : best);
  }
  const ranked = known
    .map((one) => ({ one, edits: editDistance(name.toLowerCase(), one.toLowerCase()) }))
    .sort((a, b) => a.edits - b.edits);
  const best = ranked[0];
  return best && best.edits <= Math.max(1, best.one.length / 3) ? best.one : undefined;
}

/** Fewest insertions, deletions, replacements and swaps of neighbours that turn one text into another. */
function editDistance(from: string, to: string): number {
  const a = from.slice(0, MOST_QUOTED);
  let above: number[] = [];
  let row = Array.from({ length: to.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= to.length; j++) {
      const replaced = row[j - 1]! + Number(a[i - 1] !== to[j - 1]);
      const isSwap = j > 1 && a[i - 1] === to[j - 2] && a[i - 2] === to[j - 1];
      const swapped = isSwap ? above[j - 2]! + 1 : Infinity;
      next.push(Math.min(replaced, swapped, row[j]! + 1, next[j - 1]! + 1));
    }
    [above, row] = [row, next];
  }
  return row[to.length]!;
}

/** Items as a list in a sentence: `a, b or c`. */
export function listOf(items: readonly string[], word: "and" | "or"): string {
  if (items.length < 2) return items.join("");
  return `${items.slice(0, -1).join(", ")} ${word} ${items.at(-1)}`;
}
