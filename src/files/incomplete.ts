/**
 * The mark of a folder whose files are being replaced. Files can only be renamed one by one: whoever is
 * killed in between leaves some old and some new ones, which together would load as another model.
 *
 * @module
 */

import { joinPath } from "./paths.ts";

/** Name of the mark. */
export const INCOMPLETE_MARK = ".incomplete";

/** What the mark says to people. */
export const MARK_TEXT =
  "The files of this folder are being replaced. If no program does that any " +
  "more, one was stopped: save or convert the model again.\n";

/**
 * Refuses a folder on disk that bears the mark.
 *
 * @throws {SyntaxError} If it does.
 */
export async function expectComplete(folder: string): Promise<void> {
  try {
    await Deno.lstat(joinPath(folder, INCOMPLETE_MARK));
  } catch {
    return;
  }
  throw new SyntaxError(
    `Cannot open ${folder}: it is incomplete, as its files are being replaced or a program was ` +
      `stopped while it did that; save or convert the model again`,
  );
}
