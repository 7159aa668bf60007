/**
 * The mark of a folder whose files are being replaced. Files can only be renamed one by one: whoever is
 * killed in between leaves some old and some new ones, which together would load as another model.
 *
 * @module
 */

/** Name of the mark. */
export const INCOMPLETE_MARK = ".incomplete";

/** What the mark says to people. */
export const MARK_TEXT =
  "The files of this folder are being replaced. If no program does that any " +
  "more, one was stopped: save or convert the model again.\n";
