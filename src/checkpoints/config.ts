/**
 * Reading configs, which are files that nobody has checked.
 *
 * @module
 */

import { describeValue, formatRange, listOf } from "../base/check.ts";
import { type JsonTable, parseJson } from "../base/json.ts";
import { inTurns, type Steps } from "../base/pauses.ts";
import { joinPath } from "../files/paths.ts";
import type { ModelFolder } from "../files/source.ts";

/** Most codes of a codebook whose tokens are numbered anew: a hundred times as many as any has. */
export const MOST_CODES = 2 ** 20;

/** A config, and where it comes from. */
export interface Config {
  /** What it is, for error messages: a path or URL. */
  readonly description: string;
  /** The fields, not yet checked. */
  readonly values: Readonly<Record<string, unknown>>;
}

/** What every field may say about itself. */
export interface FieldOptions<T> {
  /** Value if the field is missing or null. Without it, the field has to be there. */
  readonly default?: T | undefined;
}

/** What a number has to be. */
export interface NumberFieldOptions extends FieldOptions<number> {
  /** Least value that is allowed. */
  readonly min?: number | undefined;
  /** Greatest value that is allowed. */
  readonly max?: number | undefined;
}

/** What a string has to be. */
export interface StringFieldOptions<S extends string> extends FieldOptions<S> {
  /** The values that are allowed. Default: all. */
  readonly oneOf?: readonly S[] | undefined;
}

/**
 * Parses the text of a JSON file.
 *
 * @param description What it is, for error messages: a path or URL.
 * @param tables The objects in it that are given as a `Map`.
 * @throws {SyntaxError} If it is not valid JSON.
 */
export function* parseJsonFile(
  text: string,
  description: string,
  tables?: readonly JsonTable[],
): Steps<unknown> {
  try {
    return yield* parseJson(text, tables);
  } catch (cause) {
    throw new SyntaxError(`Cannot read ${description}: it is not valid JSON`, { cause });
  }
}

/**
 * Reads a config file: a JSON object.
 *
 * @throws {MissingFileError} If it is not there.
 * @throws {SyntaxError} If it is not a JSON object.
 */
export async function readConfig(folder: ModelFolder, path: string): Promise<Config> {
  return await parseConfig(await folder.readText(path), joinPath(folder.description, path));
}

/**
 * Parses the text of a config file: a JSON object.
 *
 * @param description What it is, for error messages: a path or URL.
 * @throws {SyntaxError} If it is not a JSON object.
 */
export async function parseConfig(text: string, description: string): Promise<Config> {
  const values = await inTurns(parseJsonFile(text, description));
  if (typeof values !== "object" || values === null || Array.isArray(values)) {
    throw new SyntaxError(`Cannot read ${description}: expected a JSON object`);
  }
  return { description, values: values as Config["values"] };
}

/**
 * A field that holds an integer.
 *
 * @throws {TypeError} If it is missing or not an integer.
 * @throws {RangeError} If it is out of range.
 */
export function integerField(
  config: Config,
  key: string,
  options: NumberFieldOptions = {},
): number {
  return numeric(config, key, options, "an integer", Number.isSafeInteger);
}

/**
 * A field that holds a finite number.
 *
 * @throws {TypeError} If it is missing or not a number.
 * @throws {RangeError} If it is out of range.
 */
export function numberField(config: Config, key: string, options: NumberFieldOptions = {}): number {
  return numeric(config, key, options, "a number", Number.isFinite);
}

/**
 * A field that is true or false.
 *
 * @throws {TypeError} If it is missing or something else.
 */
export function booleanField(
  config: Config,
  key: string,
  options: FieldOptions<boolean> = {},
): boolean {
  const value = valueOf(config, key) ?? options.default;
  if (typeof value !== "boolean") throw wrongField(config, key, "true or false");
  return value;
}

/**
 * A field that holds a string.
 *
 * @throws {TypeError} If it is missing or not a string.
 * @throws {RangeError} If it is none of the allowed ones.
 */
export function stringField<S extends string = string>(
  config: Config,
  key: string,
  options: StringFieldOptions<S> = {},
): S {
  const value = valueOf(config, key) ?? options.default;
  if (typeof value !== "string") throw wrongField(config, key, "a string");
  if (!isOneOf(value, options.oneOf)) {
    throw wrongField(
      config,
      key,
      listOf(options.oneOf?.map(describeValue) ?? [], "or"),
      RangeError,
    );
  }
  return value;
}

/**
 * A field that holds a list of integers.
 *
 * @param options Range of each of them, and how many there may be (`maxLength`, default 64).
 * @throws {TypeError} If it is missing or something else.
 * @throws {RangeError} If one of them is out of range.
 */
export function integerListField(
  config: Config,
  key: string,
  options: Omit<NumberFieldOptions, "default"> & FieldOptions<readonly number[]> & {
    readonly maxLength?: number;
  } = {},
): readonly number[] {
  const { min, max, maxLength = 64 } = options;
  return listField(config, key, maxLength, options.default).map((value, index) =>
    integerField(
      { description: config.description, values: { [`${key}[${index}]`]: value } },
      `${key}[${index}]`,
      { min, max },
    )
  );
}

/**
 * A field that holds a list of strings.
 *
 * @param options What each of them has to be, and how many there may be (`maxLength`, default 64).
 * @throws {TypeError} If it is missing or something else.
 * @throws {RangeError} If one of them is not allowed.
 */
export function stringListField<S extends string = string>(
  config: Config,
  key: string,
  options: Omit<StringFieldOptions<S>, "default"> & FieldOptions<readonly S[]> & {
    readonly maxLength?: number;
  } = {},
): readonly S[] {
  const { oneOf, maxLength = 64 } = options;
  return listField(config, key, maxLength, options.default).map((value, index) =>
    stringField<S>(
      { description: config.description, values: { [`${key}[${index}]`]: value } },
      `${key}[${index}]`,
      { oneOf },
    )
  );
}

function numeric(
  config: Config,
  key: string,
  options: NumberFieldOptions,
  kind: string,
  isKind: (value: unknown) => boolean,
): number {
  const { min = -Infinity, max = Infinity } = options;
  const value = valueOf(config, key) ?? options.default;
  const range = kind + formatRange(options);
  if (typeof value !== "number" || !isKind(value)) throw wrongField(config, key, range);
  if (value < min || value > max) throw wrongField(config, key, range, RangeError);
  return value;
}

function listField(
  config: Config,
  key: string,
  maxLength: number,
  fallback: readonly unknown[] | undefined,
): readonly unknown[] {
  const value = valueOf(config, key) ?? fallback;
  if (!Array.isArray(value)) throw wrongField(config, key, "a list");
  if (value.length > maxLength) {
    throw wrongField(config, key, `a list of at most ${maxLength} elements`, RangeError);
  }
  return value;
}

/** Own property only: `constructor` is no field of any config. */
function valueOf({ values }: Config, key: string): unknown {
  return Object.hasOwn(values, key) ? values[key] : undefined;
}

function isOneOf<S extends string>(value: string, allowed: readonly S[] | undefined): value is S {
  return allowed === undefined || allowed.some((name) => name === value);
}

function wrongField(
  config: Config,
  key: string,
  expected: string,
  ErrorType: new (message: string) => Error = TypeError,
): Error {
  const value = valueOf(config, key);
  const found = value === undefined ? "missing" : describeValue(value);
  return new ErrorType(
    `Cannot use ${config.description}: ${key} is ${found}, expected ${expected}`,
  );
}
