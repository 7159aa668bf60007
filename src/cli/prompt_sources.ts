/**
 * Prompts from files and from the standard input.
 *
 * @module
 */

import { UsageError } from "./arguments.ts";
import { cannotRead } from "./read_error.ts";

/** The argument that stands for the standard input. */
export const STANDARD_INPUT = "-";

/** The most bytes of prompts that are read. */
const MAX_BYTES = 2 ** 20;

/** Where prompts come from. */
export interface PromptSources {
  /** Prompts, and `-` where those of the standard input belong. */
  readonly prompts: readonly string[];
  /** A file of prompts, which come after the others. */
  readonly promptsFile: string | undefined;
}

/**
 * All prompts. A file and the standard input have one on each line; blank lines and those that begin
 * with `#` are left out.
 *
 * @throws {UsageError} If one of them cannot be read or has no prompt.
 */
export async function readPrompts({ prompts, promptsFile }: PromptSources): Promise<string[]> {
  if (prompts.filter((prompt) => prompt === STANDARD_INPUT).length > 1) {
    throw new UsageError("- is given twice, expected one standard input");
  }
  const all: string[] = [];
  for (const prompt of prompts) {
    if (prompt !== STANDARD_INPUT) all.push(prompt);
    else all.push(...linesOf(await readAll(Deno.stdin.readable, "-"), "The standard input"));
  }
  if (promptsFile !== undefined) {
    all.push(...linesOf(await readFile(promptsFile), promptsFile));
  }
  return all;
}

async function readFile(path: string): Promise<Uint8Array> {
  try {
    const file = await Deno.open(path);
    return await readAll(file.readable, path);
  } catch (error) {
    if (error instanceof UsageError) throw error;
    throw cannotRead(path, error);
  }
}

async function readAll(stream: ReadableStream<Uint8Array>, name: string): Promise<Uint8Array> {
  const parts: BlobPart[] = [];
  let length = 0;
  for await (const part of stream) {
    length += part.length;
    if (length > MAX_BYTES) {
      throw new UsageError(`${name} has more than ${MAX_BYTES} bytes, expected prompts`);
    }
    parts.push(part.slice());
  }
  return new Uint8Array(await new Blob(parts).arrayBuffer());
}

function linesOf(bytes: Uint8Array, name: string): string[] {
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new UsageError(`${name} is not UTF-8, expected prompts`, { cause });
  }
  const lines = text.split(/\r\n|\r|\n/).map((line) => line.trim());
  const prompts = lines.filter((line) => line !== "" && !line.startsWith("#"));
  if (prompts.length === 0) {
    throw new UsageError(`${name} has no prompt, expected one on each line`);
  }
  return prompts;
}
