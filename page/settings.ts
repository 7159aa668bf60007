// The settings that stand in PNG files, as the command line and the server write them, too.

import { readPngTexts } from "../src/images/png_text.ts";
import { readSettings, withSettings as write } from "../src/pipeline/picture_settings.ts";
import type { Info, Parameter, Settings } from "./api.ts";
import { chosenStyles, fieldValue, libraryValue } from "./values.ts";

/** Keyword of the text that has them. */
const KEYWORD = "vq-diffusion";

/** How the server calls the embedded model, which needs no name in files. */
const EMBEDDED_ID = "vq-diffusion";

/** Writes settings into a PNG file. */
export async function withSettings(
  file: Blob,
  settings: Settings,
  { model, width, height, parameters }: Info,
): Promise<Blob> {
  const { prompt, seed, values, picture } = settings;
  const long = parameters.filter(({ name }) => name !== "images" && values[name] !== undefined)
    .map(({ name, option }) => [option, libraryValue(option, values[name]!)]);
  const png = await write(new Uint8Array(await file.arrayBuffer()), {
    prompt: prompt || undefined,
    seed: BigInt(seed!),
    values: { ...Object.fromEntries(long), styles: chosenStyles(settings, parameters) },
    image: picture && "image.png",
    mask: picture?.mask && "mask.png",
    model: model === EMBEDDED_ID ? undefined : model,
    revision: undefined,
    dtype: undefined,
    scale: 1,
  }, { width, height });
  return new Blob([new Uint8Array(png)], { type: "image/png" });
}

/**
 * Reads the settings of a picture.
 *
 * @returns Undefined if it has none, as those of other programs.
 * @throws {Error} If they are damaged.
 */
export async function readPicture(
  file: File,
  parameters: readonly Parameter[],
): Promise<Settings | undefined> {
  const bytes = new Uint8Array(await file.arrayBuffer());
  const isPng = bytes[0] === 0x89 && bytes[1] === 0x50;
  if (!isPng || !(await readPngTexts(bytes, file.name)).has(KEYWORD)) return undefined;
  const { prompt = "", seed, values } = await readSettings(bytes, file.name);
  const given = values as Readonly<Record<string, unknown>>;
  const short = parameters.filter(({ option }) => given[option] !== undefined)
    .map(({ name, option }) => [name, fieldValue(option, given[option])]);
  return { prompt, seed: `${seed}`, values: Object.fromEntries(short) };
}
