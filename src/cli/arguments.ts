/**
 * Arguments of the commands: reading them, and refusing wrong ones.
 *
 * @module
 */

import { parseArgs, type ParseArgsConfig } from "node:util";
import { formatRange, listOf, nearestOption, type Range } from "../base/check.ts";

/** The options that a command knows. */
export type CommandOptions = NonNullable<ParseArgsConfig["options"]>;

/** The arguments of a command, split by `node:util`. */
export type ParsedArguments<O extends CommandOptions> = ReturnType<
  typeof parseArgs<{ options: O; allowPositionals: true; strict: true }>
>;

/** A wrong argument of a command: nothing was done, and the exit code is 2. */
export class UsageError extends Error {
  /** Name of the class. */
  override readonly name = "UsageError";
}

/**
 * Splits arguments into options and the rest.
 *
 * @param aliases Names of options by those that they have elsewhere, for advice.
 * @throws {UsageError} If an option is unknown, has no value or has one that it does not take.
 */
export function parseArguments<O extends CommandOptions>(
  args: readonly string[],
  options: O,
  aliases: Readonly<Record<string, string>> = {},
): ParsedArguments<O> {
  try {
    const joined = joinNegativeNumbers(args);
    return parseArgs({ args: joined, options, allowPositionals: true, strict: true });
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    const message = firstSentence(error.message);
    const unknown = /^Unknown option '(--?(.+))'$/.exec(message)?.[2];
    const near = unknown && nearestOption(unknown, Object.keys(options), aliases);
    throw new UsageError(near ? `${message}, did you mean --${near}?` : message, { cause: error });
  }
}

/**
 * A whole number that an option was given.
 *
 * @param range The numbers that fit. Default: from 1 on.
 * @throws {UsageError} If it is none, or out of range.
 */
export function integerOption(
  name: string,
  text: string | undefined,
  range: Range = {},
): number | undefined {
  if (text === undefined) return undefined;
  const { min = 1, max = Number.MAX_SAFE_INTEGER } = range;
  const value = Number(text);
  if (/^[+-]?\d+$/.test(text) && value >= min && value <= max) return value;
  throw wrongValue(name, `a whole number${formatRange({ ...range, min })}`, text);
}

/**
 * A number that an option was given.
 *
 * @throws {UsageError} If it is none, or out of range.
 */
export function numberOption(
  name: string,
  text: string | undefined,
  range: Range = {},
): number | undefined {
  if (text === undefined) return undefined;
  const { min = -Infinity, max = Infinity } = range;
  const value = Number(text);
  if (text.trim() !== "" && Number.isFinite(value) && value >= min && value <= max) return value;
  throw wrongValue(name, `a number${formatRange(range)}`, text);
}

/**
 * One of several words that an option was given.
 *
 * @throws {UsageError} If it is none of them.
 */
export function choiceOption<C extends string>(
  name: string,
  text: string | undefined,
  choices: readonly C[],
): C | undefined {
  const choice = choices.find((choice) => choice === text);
  if (text === undefined || choice !== undefined) return choice;
  throw wrongValue(name, listOf(choices, "or"), text);
}

/** An option with a value that it cannot have. */
export function wrongValue(name: string, expected: string, text: string): UsageError {
  return new UsageError(`--${name} is ${JSON.stringify(text)}, expected ${expected}`);
}

/** Makes `--name -1` one argument: `node:util` would take the number for an option. */
function joinNegativeNumbers(args: readonly string[]): string[] {
  const joined: string[] = [];
  for (const arg of args) {
    const previous = joined.at(-1);
    if (/^-\.?\d/.test(arg) && previous !== undefined && /^--[^=]+$/.test(previous)) {
      joined[joined.length - 1] = `${previous}=${arg}`;
    } else joined.push(arg);
  }
  return joined;
}

/** The first sentence of a message of `node:util`; its advice follows. */
function firstSentence(message: string): string {
  return message.replace(/(\.\s|\n)[^]*$/, "").replace(/\.$/, "");
}
