/**
 * Files that cannot be read.
 *
 * @module
 */

import { UsageError } from "./arguments.ts";

/** The error of a file that cannot be read, or is not what it should be. */
export function cannotRead(path: string, error: unknown): UsageError {
  const { message } = error as Error;
  // What Deno was asked to do, and the path again, stand at the end of its messages.
  const reason = message.replace(/: \w+ '.*'$/s, "");
  const text = message.startsWith("Cannot") ? message : `Cannot read ${path}: ${reason}`;
  return new UsageError(text, { cause: error });
}
