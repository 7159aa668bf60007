/**
 * Options of a command as a table, of which its arguments are read and its help is made.
 *
 * @module
 */

import { type CommandOptions, integerOption, parseArguments, UsageError } from "./arguments.ts";

/** What there is to know about an option. */
export interface Option {
  /** What its value is called in the help; options without one are switches. */
  readonly value?: string;
  /** One letter that stands for it. */
  readonly short?: string;
  /** A line for people. */
  readonly help: string;
  /** The default of a whole number. */
  readonly default?: number;
  /** The smallest whole number. Default: 1. */
  readonly min?: number;
  /** The greatest whole number. */
  readonly max?: number;
  /** Heading of the options that begin here. */
  readonly heading?: string;
}

/** Options of those who draw. */
export const DEVICE_OPTIONS = {
  device: { value: "device", help: "auto, wasm (CPU) or webgpu (GPU) (default: auto)" },
  threads: { value: "n", help: "Threads on the CPU (default: one for each processor)", max: 256 },
} as const satisfies Readonly<Record<string, Option>>;

/** Options about a queue on a NATS server. */
export const QUEUE_OPTIONS = {
  "queue-credentials": { value: "file", help: "Credentials for it, if they are not in its URL" },
  "queue-ca": { value: "file", help: "Certificates that sign its own (default: well-known ones)" },
  "queue-keep": {
    value: "n",
    help: "Seconds for which it keeps pictures, if it has none yet",
    default: 3600,
    min: 60,
  },
} as const satisfies Readonly<Record<string, Option>>;

/**
 * Reads the arguments of a command that takes nothing but the options of a table.
 *
 * @returns Texts and switches by name.
 * @throws {UsageError} If one is unknown, or there is something else.
 */
export function readOptions(
  args: readonly string[],
  entries: readonly (readonly [string, Option])[],
): Readonly<Record<string, unknown>> {
  const options: CommandOptions = Object.fromEntries(
    entries.map(([name, { value, short }]) => {
      return [name, { type: value ? "string" : "boolean", ...(short && { short }) }];
    }),
  );
  const { values, positionals } = parseArguments(args, options);
  if (positionals.length > 0 && values["help"] !== true) {
    throw new UsageError(`Expected options only, got ${JSON.stringify(positionals[0])}`);
  }
  return values;
}

/**
 * The whole number of an option that has a default.
 *
 * @throws {UsageError} If it is none, or out of range.
 */
export function tableInteger(
  name: string,
  { default: value, min = 1, max }: Option & { readonly default: number },
  text: string | undefined,
): number {
  return integerOption(name, text, { min, max }) ?? value;
}

/** The lines of options in a help. */
export function optionHelp(entries: readonly (readonly [string, Option])[]): string {
  return entries.map(helpLines).join("\n");
}

function helpLines(
  [name, { heading, value, help, default: number }]: readonly [string, Option],
): string {
  const option = `--${name}${value === undefined ? "" : ` <${value}>`}`;
  const line = `  ${option.padEnd(27)} ${help}${
    number === undefined ? "" : ` (default: ${number})`
  }`;
  return heading === undefined ? line : `\n${heading}:\n${line}`;
}
