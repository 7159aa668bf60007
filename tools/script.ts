// What the programs beside the command line share: arguments, help and exit codes.

import {
  type CommandOptions,
  parseArguments,
  type ParsedArguments,
  UsageError,
  wrongValue,
} from "../src/cli/arguments.ts";

/** A program that is run by its path. */
export interface Script<O extends CommandOptions> {
  /** What `--help` prints. */
  readonly usage: string;
  /** Options beside `--help`. */
  readonly options: O;
  /** Whether it takes arguments that are not options. */
  readonly positionals?: boolean;
  /**
   * Does the work.
   *
   * @throws {UsageError} If an argument is wrong.
   */
  run(args: ParsedArguments<O>): Promise<void>;
}

/** Runs a script with the arguments of this process. The exit code is 2 if they are wrong. */
export async function runScript<const O extends CommandOptions>(script: Script<O>): Promise<void> {
  if (Deno.args.some((arg) => arg === "--help" || arg === "-h")) {
    console.log(script.usage);
    return;
  }
  try {
    const parsed = parseArguments(Deno.args, script.options);
    const [first] = parsed.positionals;
    if (!script.positionals && first !== undefined) {
      throw new UsageError(`Unexpected argument ${JSON.stringify(first)}, expected options`);
    }
    await script.run(parsed);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    console.error(`${error.message}\n\n${script.usage}`);
    Deno.exit(2);
  }
}

/**
 * Some of several words that an option was given, separated by commas; in the order of `choices`.
 *
 * @throws {UsageError} If a word is none of them.
 */
export function choicesOption<C extends string>(
  name: string,
  text: string | undefined,
  choices: readonly C[],
): readonly C[] | undefined {
  if (text === undefined) return undefined;
  const words = text.split(",");
  if (words.every((word) => choices.some((choice) => choice === word))) {
    return choices.filter((choice) => words.includes(choice));
  }
  throw wrongValue(name, `some of ${choices.join(", ")}`, text);
}
