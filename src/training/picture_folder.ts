/**
 * Folders of pictures with captions.
 *
 * @module
 */

import { describeJson, describeValue, escapeControls } from "../base/check.ts";
import { type FileSystem, isSystemError } from "../files/file_system.ts";
import { fileSystem } from "../files/find_file_system.ts";
import { joinPath } from "../files/paths.ts";
import { RasterImage } from "../images/raster_image.ts";
import type { TrainingPicture } from "./training_examples.ts";

/** Captions of all pictures, as Hugging Face's `imagefolder` has them. */
const METADATA = "metadata.jsonl";

/** Files that are read. */
const PICTURE = /\.(png|jpe?g)$/i;

/** Files with the caption of the picture beside them. */
const TEXT = /\.txt$/i;

/** Samples of a training in the folder, which are nothing to learn from. */
const SAMPLE = /(^|\/)training\/samples-\d+\.png$/;

/** Captions that are written in other ways, and that are not read. */
const OTHER_CAPTIONS = /(^|\/)metadata\.(jsonl|csv|parquet)$/i;

/** Files that people take for pictures, and that are not read. */
const OTHER_PICTURE = /\.(webp|gif|bmp|tiff?|avif|heic|svg)$/i;

/** The largest files that are read, in bytes. */
const MOST_PICTURE_BYTES = 2 ** 28;
const MOST_TEXT_BYTES = 2 ** 26;

/** Most names in an error. */
const MOST_NAMED = 5;

/**
 * Lists the PNG and JPEG files in a folder and the folders in it, in the order of their paths. Captions are
 * those of its `metadata.jsonl` (`{"file_name": "a.png", "text": "an apple"}` on each line), if there is
 * one; else those of text files beside the pictures (`a.txt`), if there are any; else names of files are
 * captions: `red-apple_2.png` is "red apple". Samples that a training wrote there
 * (`training/samples-….png`) are left out.
 *
 * @throws {TypeError} If the folder cannot be read.
 * @throws {RangeError} If there is no picture, or captions and pictures do not match; it names them.
 * @throws {SyntaxError} If a line of the metadata is damaged.
 */
export async function readPictureFolder(path: string): Promise<TrainingPicture[]> {
  const disk = await fileSystem(`read ${path}`);
  const folder = new PictureFolder(path, disk);
  const files = await folder.list();
  const pictures = files.filter((file) => PICTURE.test(file) && !SAMPLE.test(file));
  const others = files.filter((file) => OTHER_PICTURE.test(file));
  if (others.length > 0) {
    folder.refuse(`${named(others)} cannot be read, expected PNG and JPEG files`);
  }
  if (pictures.length === 0) folder.refuse("there are no pictures, expected PNG or JPEG files");
  const unread = files.filter((file) => file !== METADATA && OTHER_CAPTIONS.test(file));
  if (unread.length > 0) {
    folder.refuse(
      `${
        named(unread)
      } is not read, expected captions in a ${METADATA} of the folder itself, if any`,
    );
  }
  const captionOf = await captions(folder, files, pictures);
  return pictures.map((name) => ({
    name: joinPath(path, name),
    caption: captionOf(name),
    read: async () => await RasterImage.decode(await folder.read(name, MOST_PICTURE_BYTES)),
  }));
}

/** Gives the caption of each picture. */
type CaptionOf = (picture: string) => string;

async function captions(
  folder: PictureFolder,
  files: readonly string[],
  pictures: readonly string[],
): Promise<CaptionOf> {
  const found = files.includes(METADATA)
    ? await metadataCaptions(folder, pictures)
    : await captionsBeside(folder, files, pictures);
  const lookUp: CaptionOf = found ? (name) => found.get(name) ?? "" : captionOfName;
  const empty = pictures.filter((name) => lookUp(name).trim() === "");
  if (empty.length > 0) {
    folder.refuse(`${named(empty)} has no caption, expected one for each picture`);
  }
  return (name) => lookUp(name).trim();
}

/** Captions of text files beside the pictures; undefined if there is none. */
async function captionsBeside(
  folder: PictureFolder,
  files: readonly string[],
  pictures: readonly string[],
): Promise<ReadonlyMap<string, string> | undefined> {
  const stem = (file: string) => file.replace(/\.[^.]*$/, "");
  const texts = new Map(
    files.filter((file) => TEXT.test(file)).map((file) => [stem(file), file] as const),
  );
  const bare = pictures.filter((picture) => !texts.has(stem(picture)));
  if (bare.length === pictures.length) return undefined;
  if (bare.length > 0) {
    folder.refuse(
      `${named(bare)} has no .txt beside it, expected one for each picture or for none`,
    );
  }
  const found = new Map<string, string>();
  for (const picture of pictures) {
    const text = await folder.readText(texts.get(stem(picture))!);
    found.set(picture, text.replaceAll(/\s+/g, " "));
  }
  return found;
}

/** Captions of `metadata.jsonl`. */
async function metadataCaptions(
  folder: PictureFolder,
  pictures: readonly string[],
): Promise<ReadonlyMap<string, string>> {
  const found = new Map<string, string>();
  const lines = (await folder.readText(METADATA)).split(/\r\n|\r|\n/);
  for (const [i, line] of lines.entries()) {
    if (line.trim() === "") continue;
    const { file, text } = metadataLine(line, `${folder.path}/${METADATA}, line ${i + 1}`);
    found.set(file, text);
  }
  const strange = [...found.keys()].filter((name) => !pictures.includes(name));
  if (strange.length > 0) folder.refuse(`${METADATA} names ${named(strange)}, which is not there`);
  const bare = pictures.filter((name) => !found.has(name));
  if (bare.length > 0) folder.refuse(`${named(bare)} is not in ${METADATA}, expected all pictures`);
  return found;
}

function metadataLine(line: string, where: string): { file: string; text: string } {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch (cause) {
    throw new SyntaxError(`Cannot read ${where}: it is no JSON, expected an object`, { cause });
  }
  const { file_name: file, text } = Object(value) as { file_name?: unknown; text?: unknown };
  if (typeof file !== "string" || typeof text !== "string") {
    throw new SyntaxError(
      `Cannot read ${where}: it is ${
        describeJson(value)
      }, expected an object with file_name and text`,
    );
  }
  return { file: file.replaceAll("\\", "/").replace(/^\.\//, ""), text };
}

/** The caption in the name of a picture: words without the number that tells it from others. */
function captionOfName(name: string): string {
  const stem = name.replace(/^.*\//, "").replace(PICTURE, "");
  const words = stem.replaceAll(/[-_\s]+/g, " ").trim();
  return words.replace(/\s*\(?\d+\)?$/, "") || words;
}

/** Files of a folder, by their paths below it. */
class PictureFolder {
  readonly path: string;
  readonly #disk: FileSystem;

  constructor(path: string, disk: FileSystem) {
    this.path = path;
    this.#disk = disk;
  }

  /** Paths of all files, sorted; hidden ones are left out. */
  async list(below = ""): Promise<string[]> {
    const files: string[] = [];
    for await (const entry of this.#entries(below)) {
      const { name, isFile, isDirectory, isSymlink } = entry;
      if (name.startsWith(".")) continue;
      const path = joinPath(below, name);
      if (isDirectory) files.push(...await this.list(path));
      else if (isFile || isSymlink && await this.#isFile(path)) files.push(path);
    }
    return files.sort();
  }

  async *#entries(below: string) {
    try {
      yield* this.#disk.readDir(joinPath(this.path, below));
    } catch (error) {
      throw this.#readingError(below, error);
    }
  }

  async #isFile(path: string): Promise<boolean> {
    try {
      return (await this.#disk.stat(joinPath(this.path, path))).isFile;
    } catch {
      return false;
    }
  }

  /** All bytes of a file. */
  async read(path: string, most: number): Promise<Uint8Array<ArrayBuffer>> {
    try {
      using file = await this.#disk.open(joinPath(this.path, path));
      const { size } = await file.stat();
      if (size > most) {
        this.refuse(`${describeValue(path)} has ${size} bytes, expected at most ${most}`);
      }
      const bytes = new Uint8Array(size);
      for (let done = 0; done < size;) {
        const read = await file.read(bytes.subarray(done));
        if (read === null) return bytes.slice(0, done);
        done += read;
      }
      return bytes;
    } catch (error) {
      throw this.#readingError(path, error);
    }
  }

  /** The text of a file. */
  async readText(path: string): Promise<string> {
    const bytes = await this.read(path, MOST_TEXT_BYTES);
    try {
      return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
    } catch (cause) {
      const where = escapeControls(joinPath(this.path, path));
      throw new SyntaxError(`Cannot read ${where}: it is not UTF-8, expected text`, { cause });
    }
  }

  /** @throws {RangeError} Always. */
  refuse(problem: string): never {
    throw new RangeError(`Cannot train with ${escapeControls(this.path)}: ${problem}`);
  }

  #readingError(path: string, error: unknown): unknown {
    if (!isSystemError(error)) return error;
    const where = escapeControls(joinPath(this.path, path));
    return new TypeError(`Cannot read ${where}: ${error.message}`, { cause: error });
  }
}

/** Names in an error, some of many. */
function named(names: readonly string[]): string {
  const more = names.length - MOST_NAMED;
  const some = names.slice(0, MOST_NAMED).map(describeValue).join(", ");
  return more > 0 ? `${some} and ${more} more` : some;
}
