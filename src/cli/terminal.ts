/**
 * The one place that writes texts for people and programs. What models and servers say is among them, so
 * that no character may steer the terminal.
 *
 * @module
 */

import { escapeControls } from "../base/check.ts";

/** Longest error or note: it may quote what is foreign. */
const LONGEST_MESSAGE = 2000;

/** Writes a text to the standard output, with a line feed behind it. */
export function print(text: string): void {
  console.log(escapeControls(text));
}

/**
 * Writes an error or a note to the standard error output, in one line, which may begin with a line feed
 * to leave another one, and cut if it is long.
 */
export function printMessage(text: string): void {
  const line = escapeControls(text.replaceAll(/(?<=\S)\s*\n\s*/g, " "));
  const more = line.length - LONGEST_MESSAGE;
  console.error(more > 0 ? `${line.slice(0, LONGEST_MESSAGE)}… (${more} more characters)` : line);
}

/** Writes a record of a log to the standard error output: a line of JSON, with the time. */
export function printRecord(record: Readonly<Record<string, unknown>>): void {
  console.error(escapeControls(JSON.stringify({ time: new Date().toISOString(), ...record })));
}
