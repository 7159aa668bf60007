/**
 * `generate --list`: the names of what a model can draw.
 *
 * @module
 */

import { openFolder } from "../checkpoints/folders.ts";
import { readKnownNames } from "../conditioning/known_names.ts";
import { openEmbeddedModel } from "../pipeline/embedded_model.ts";
import { hubOptions } from "./environment.ts";
import type { GenerateArguments } from "./generate_arguments.ts";
import { print, printMessage } from "./terminal.ts";

/** Columns of the text. */
const WIDTH = 100;

/**
 * Prints the names that a model knows, all or those that fit the words given.
 *
 * @returns The exit code: 1 if there is none.
 */
export async function listNames(
  { model, revision, prompts, json }: GenerateArguments,
): Promise<number> {
  const options = { ...hubOptions(), revision };
  const folder = model === undefined
    ? await openEmbeddedModel(options)
    : await openFolder(model, options);
  const names = await readKnownNames(folder);
  if (names === undefined) {
    printMessage(`error: ${folder.description} has no list of names (names.json)`);
    return 1;
  }
  const words = prompts.join(" ");
  const found = words === "" ? names.categories : names.matching(words);
  if (json) print(JSON.stringify(found));
  const count = Object.values(found).flat().length;
  if (count === 0) {
    const near = names.nearest(words, 5);
    const advice = near.length > 0 ? `; the nearest: ${near.join(", ")}` : "";
    printMessage(`error: No name or category has ${JSON.stringify(words)} in it${advice}`);
    return 1;
  }
  if (!json) {
    for (const [category, list] of Object.entries(found)) {
      print(`${category} (${list.length})\n${wrapped(list.join(", "))}\n`);
    }
    if (words === "" && names.styles.length > 0) {
      print(`Styles ("a cat, flat style")\n${wrapped(names.styles.join(", "))}\n`);
    }
    if (words === "" && names.grounds.length > 0) {
      print(`Grounds ("a cat on a blue background")\n${wrapped(names.grounds.join(", "))}\n`);
    }
  }
  return 0;
}

/** Lines that begin with two spaces and end after a comma. */
function wrapped(text: string): string {
  const lines = [""];
  for (const word of text.split(/(?<=,) /)) {
    const line = lines.at(-1)!;
    if (line !== "" && line.length + word.length + 1 > WIDTH) lines.push(`  ${word}`);
    else lines[lines.length - 1] = line === "" ? `  ${word}` : `${line} ${word}`;
  }
  return lines.join("\n");
}
