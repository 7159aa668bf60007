/**
 * What an error about a damaged file has to be like.
 *
 * @module
 */

import { assert } from "@std/assert";
import { MissingFileError } from "../../src/files/paths.ts";

/** Name that every error about a damaged file has to mention. */
export const NAME = "hostile";

/** Texts of errors that no check has given, but the engine. */
const OF_ENGINE =
  /call stack|circular|primitive value|URI malformed|Invalid array length|undefined|is not a function|not iterable|os error/i;

/**
 * Runs a reader on damaged input: it may succeed, or throw an error that helps.
 *
 * @param longest Greatest length of its message.
 * @param name What it has to mention.
 */
export async function checkClean(
  seed: number,
  read: () => unknown,
  longest = 1000,
  name = NAME,
): Promise<boolean> {
  try {
    await read();
    return true;
  } catch (error) {
    const kinds = [SyntaxError, TypeError, RangeError, MissingFileError];
    const clean = error instanceof Error && kinds.some((kind) => error instanceof kind) &&
      error.message.startsWith("Cannot ") && error.message.length < longest &&
      !OF_ENGINE.test(error.message) &&
      // Components that do not fit each other are named themselves.
      (error.message.includes(name) || error.message.startsWith("Cannot make a pipeline: ")) &&
      // deno-lint-ignore no-control-regex -- they could command the terminal
      !/[\x00-\x1f\x7f-\x9f\u202a-\u202e]/.test(error.message);
    assert(clean, `Case ${seed} gives an unclean error: ${Deno.inspect(error).slice(0, 2000)}`);
    return false;
  }
}
