/**
 * The names of the files that a generation leaves.
 *
 * @module
 */

import { basename, dirname, join, resolve } from "node:path";
import { type PictureSubject, titleOf } from "../pipeline/picture_subject.ts";
import { UsageError } from "./arguments.ts";
import { expectReplaceable, expectWritable, isFolder, isThere } from "./output_files.ts";

/** Characters of a prompt that become part of a name; with the rest it fits into 255 bytes. */
const NAME_LENGTH = 50;

/** What makes a picture, and names it. */
export interface PictureName extends PictureSubject {
  /** What it was drawn with. */
  readonly seed: bigint;
}

/** Paths of the files of a generation. */
export interface OutputPaths {
  /** One for each picture. */
  readonly images: readonly string[];
  /** Of all pictures side by side; undefined if there is only one. */
  readonly sheet: string | undefined;
  /** Of the tokens; undefined if they are not saved. */
  readonly tokens: string | undefined;
}

/** What the names of the files depend on. */
export interface OutputNames {
  /** A file, a folder, or undefined for the current folder. */
  readonly out: string | undefined;
  /** All pictures, those of a prompt one after the other. */
  readonly pictures: readonly PictureName[];
  /** What one is called that shows neither a prompt nor a class. Default: a variation. */
  readonly untitled?: string | undefined;
  /** Whether to save the tokens. */
  readonly saveTokens: boolean;
  /** Whether files that are there are replaced. Else the new ones get a number. */
  readonly overwrite: boolean;
}

/**
 * Names the files by prompt and seed, or by `out` if there is one picture only.
 *
 * @throws {UsageError} If they cannot be written there, or are to have another format.
 */
export async function nameOutputs(names: OutputNames): Promise<OutputPaths> {
  try {
    return await freePaths(names);
  } catch (error) {
    if (error instanceof UsageError || !(error instanceof Error)) throw error;
    // Such as a name that is too long for the file system.
    throw new UsageError(`Cannot write to ${names.out ?? "."}: ${error.message}`, { cause: error });
  }
}

async function freePaths(names: OutputNames): Promise<OutputPaths> {
  const { folder, stem } = await placeOf(names.out);
  expectWritable(folder);
  for (let number = 1;; number++) {
    const paths = pathsOf(names, stem, (name) => join(folder, numbered(name, number)));
    const all = [...paths.images, paths.sheet, paths.tokens].filter((path) => path !== undefined);
    if (names.overwrite) all.forEach(expectReplaceable);
    else if (all.some(isThere)) continue;
    return paths;
  }
}

/** @param stem What all names begin with, if the caller says so. */
function pathsOf(
  { pictures, untitled = "variation", saveTokens }: OutputNames,
  stem: string | undefined,
  place: (name: string) => string,
): OutputPaths {
  const several = pictures.length > 1;
  const severalPrompts = new Set(pictures.map(titleOf)).size > 1;
  const [first] = pictures;
  const taken = new Map<string, number>();
  const images = pictures.map((picture) => {
    const { seed } = picture;
    const own = stem === undefined || severalPrompts ? [nameOf(picture, untitled), seed] : [seed];
    const words = stem === undefined ? own : several ? [stem, ...own] : [stem];
    const name = words.join("-");
    const number = (taken.get(name) ?? 0) + 1;
    taken.set(name, number);
    return `${place(numbered(name, number))}.png`;
  });
  const all = stem ?? `${severalPrompts ? "images" : nameOf(first!, untitled)}-${first!.seed}`;
  return {
    images,
    sheet: several ? `${place(all)}-sheet.png` : undefined,
    tokens: saveTokens ? `${place(all)}.tokens.json` : undefined,
  };
}

/** The same name for another file: the first has no number. */
export function numbered(name: string, number: number): string {
  return number === 1 ? name : `${name}-${number}`;
}

/** The folder of the files, and the name that they are given, if any. */
async function placeOf(
  out: string | undefined,
): Promise<{ folder: string; stem: string | undefined }> {
  if (out === undefined) return { folder: resolve("."), stem: undefined };
  if (out === "") throw new UsageError(`--out is empty, expected a file or a folder`);
  if (/[/\\]$/.test(out) || await isFolder(out)) return { folder: resolve(out), stem: undefined };
  const extension = /.(\.[A-Za-z]\w{0,4})$/.exec(basename(out))?.[1];
  if (extension !== undefined && extension.toLowerCase() !== ".png") {
    throw new UsageError(`--out is "${out}", expected a name that ends in .png, or a folder`);
  }
  const path = resolve(out.slice(0, out.length - (extension?.length ?? 0)));
  return { folder: dirname(path), stem: basename(path) };
}

/** Letters and digits of a prompt, joined by hyphens: a name on every system. */
function nameOf(picture: PictureSubject, untitled: string): string {
  const title = titleOf(picture) ?? untitled;
  const words = title.normalize("NFC").toLowerCase().match(/[\p{L}\p{M}\p{N}]+/gu) ?? [];
  const name = [...words.join("-")].slice(0, NAME_LENGTH).join("");
  return name.replace(/-$/, "") || "image";
}
