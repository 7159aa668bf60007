/**
 * The files that a generation leaves: their names, and writing them.
 *
 * @module
 */

import { basename, dirname, join, resolve } from "node:path";
import type { RasterImage } from "../images/raster_image.ts";
import { UsageError } from "./arguments.ts";

/** Characters of a prompt that become part of a name. */
const NAME_LENGTH = 50;

/** Paths of the files of a generation. */
export interface OutputPaths {
  /** One for each image. */
  readonly images: readonly string[];
  /** Of all images side by side. */
  readonly sheet: string;
  /** Of the tokens. */
  readonly tokens: string;
}

/** What the names of the files depend on. */
export interface OutputNames {
  /** A file, a folder, or undefined for the current folder. */
  readonly out: string | undefined;
  /** The prompts; one alone gives the name. */
  readonly prompts: readonly string[];
  /** Seed, which is part of the names that are made up here. */
  readonly seed: bigint;
  /** Number of images. */
  readonly count: number;
}

/**
 * Names the files, which are numbered if there are several images.
 *
 * @throws {UsageError} If they cannot be written there, or are to have another format.
 */
export async function nameOutputs(names: OutputNames): Promise<OutputPaths> {
  const base = resolve(await basePath(names));
  await expectWritable(dirname(base));
  const { count } = names;
  const digits = String(count).length;
  const images = Array.from({ length: count }, (_, i) => {
    return `${base}${count > 1 ? `-${String(i + 1).padStart(digits, "0")}` : ""}.png`;
  });
  return { images, sheet: `${base}-sheet.png`, tokens: `${base}.tokens.json` };
}

/** Writes an image as a PNG file. */
export async function writeImage(path: string, image: RasterImage): Promise<void> {
  writeWhole(path, await image.toPng());
}

/**
 * Writes a file under another name and renames it when it is whole. Nothing can interrupt this process
 * in between.
 */
export function writeWhole(path: string, bytes: Uint8Array): void {
  const temporary = `${path}.${crypto.randomUUID().slice(0, 8)}.tmp`;
  Deno.mkdirSync(dirname(path), { recursive: true });
  try {
    Deno.writeFileSync(temporary, bytes, { createNew: true });
    Deno.renameSync(temporary, path);
  } catch (error) {
    removeIfThere(temporary);
    throw error;
  }
}

/** The path that all names begin with. */
async function basePath({ out, prompts, seed }: OutputNames): Promise<string> {
  const name = `${prompts.length === 1 ? nameOf(prompts[0]!) : "images"}-${seed}`;
  if (out === undefined) return name;
  if (out === "") throw new UsageError(`--out is empty, expected a file or a folder`);
  if (/[/\\]$/.test(out) || await isFolder(out)) return join(out, name);
  const extension = /.(\.[A-Za-z]\w{0,4})$/.exec(basename(out))?.[1];
  if (extension !== undefined && extension.toLowerCase() !== ".png") {
    throw new UsageError(`--out is "${out}", expected a name that ends in .png, or a folder`);
  }
  return out.slice(0, out.length - (extension?.length ?? 0));
}

/** Letters and digits of a prompt, joined by hyphens. */
function nameOf(prompt: string): string {
  const words = prompt.toLowerCase().match(/[\p{L}\p{M}\p{N}]+/gu) ?? [];
  const name = [...words.join("-")].slice(0, NAME_LENGTH).join("");
  return name.replace(/-$/, "") || "image";
}

async function expectWritable(folder: string): Promise<void> {
  let existing = folder;
  while (!await exists(existing)) existing = dirname(existing);
  if (!await isFolder(existing)) {
    throw new UsageError(`Cannot write to ${folder}: ${existing} is not a folder`);
  }
  try {
    Deno.removeSync(Deno.makeTempFileSync({ dir: existing, prefix: ".vq-diffusion-" }));
  } catch (error) {
    throw new UsageError(`Cannot write to ${existing}: ${(error as Error).message}`, {
      cause: error,
    });
  }
}

async function isFolder(path: string): Promise<boolean> {
  return await exists(path) && (await Deno.stat(path)).isDirectory;
}

async function exists(path: string): Promise<boolean> {
  try {
    await Deno.lstat(path);
    return true;
  } catch (error) {
    const { NotFound, NotADirectory } = Deno.errors;
    if (error instanceof NotFound || error instanceof NotADirectory) return false;
    throw error;
  }
}

function removeIfThere(path: string): void {
  try {
    Deno.removeSync(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}
