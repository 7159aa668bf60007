// Puts tables and the plot where they are shown.

import { GUIDANCES } from "./grid.ts";
import { plotOf } from "./plot.ts";
import { readScores, readTimes } from "./results.ts";
import { fullTable, picturesText, shortTable, timesText } from "./tables.ts";

const ROOT = new URL("../../", import.meta.url);

/** Columns of a line of prose, as deno.json has it. */
const LINE_WIDTH = 100;

/** Text of files by their paths in the repository. */
export type Files = ReadonlyMap<string, string>;

/** The files with what follows from the measurements put in. */
export async function makeReport(): Promise<Files> {
  const [scores, times] = [await readScores(), await readTimes()];
  const [page, readme] = [await read("docs/steps.md"), await read("README.md")];
  const short = shortTable(scores, times);
  const parts = new Map([
    ["short", short],
    ["pictures", wrap(picturesText(scores))],
    ["times", wrap(timesText(times))],
    ...GUIDANCES.map((guidance) => {
      return [`guidance ${guidance}`, fullTable(scores, times, guidance)] as const;
    }),
  ]);
  return new Map([
    ["docs/steps.md", fill(page, parts)],
    ["docs/steps.svg", plotOf(scores)],
    ["README.md", fill(readme, parts)],
  ]);
}

/** Writes them. */
export async function writeReport(): Promise<void> {
  for (const [path, text] of await makeReport()) {
    await Deno.writeTextFile(new URL(path, ROOT), text);
  }
}

/**
 * A document with what stands between `<!-- steps: name -->` and `<!-- steps: end -->` replaced.
 *
 * @throws {RangeError} If it has a name that there is no part of.
 */
export function fill(document: string, parts: ReadonlyMap<string, string>): string {
  const marked = /<!-- steps: ([\w ]+) -->\n[^]*?<!-- steps: end -->/g;
  return document.replace(marked, (_, name: string) => {
    const part = parts.get(name);
    if (part === undefined) {
      const known = [...parts.keys()].join(", ");
      throw new RangeError(`Cannot fill a document: its part is ${name}, expected one of ${known}`);
    }
    return `<!-- steps: ${name} -->\n\n${part}\n\n<!-- steps: end -->`;
  });
}

/** Breaks a paragraph into lines as `deno fmt` does. */
export function wrap(paragraph: string): string {
  const lines: string[] = [];
  for (const word of paragraph.split(" ")) {
    const last = lines.at(-1);
    if (last === undefined || last.length + 1 + word.length > LINE_WIDTH) lines.push(word);
    else lines[lines.length - 1] = `${last} ${word}`;
  }
  return lines.join("\n");
}

function read(path: string): Promise<string> {
  return Deno.readTextFile(new URL(path, ROOT));
}
