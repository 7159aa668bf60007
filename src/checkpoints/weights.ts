/**
 * Finding and opening the weights of a component in its folder.
 *
 * @module
 */

import { refuseRange } from "../base/check.ts";
import { checkContent, CONTENT_BYTES } from "../files/content.ts";
import { meansAbsence, MissingFileError } from "../files/paths.ts";
import type { OnProgress } from "../files/progress.ts";
import type { FileSource, ModelFolder } from "../files/source.ts";
import { isIndex, variantNames } from "../files/weight_names.ts";
import type { ArraySource } from "./arrays.ts";
import { isTorchFile } from "./torch/file_kind.ts";

/** Options of {@linkcode openWeights}. */
export interface OpenWeightsOptions {
  /** Which of several files to take, such as `"fp16"`. Default: the one without a variant. */
  readonly variant?: string | undefined;
  /** Receives a notice if there is no such variant, and the ordinary file is taken. */
  readonly onProgress?: OnProgress | undefined;
}

/**
 * Opens the weights of a component: the first of some files that is there. An index, whose name ends in
 * `.index.json` or `.index.fp16.json`, says in which file each array lies.
 *
 * @param names Names to look for, such as {@linkcode DIFFUSERS_WEIGHTS}, in order of preference.
 * @throws {MissingFileError} If none of them is there, or a file that the index names is not.
 * @throws {RangeError} If the variant is not one.
 * @throws {SyntaxError} If a file is damaged.
 */
export async function openWeights(
  folder: ModelFolder,
  names: readonly string[],
  { variant, onProgress }: OpenWeightsOptions = {},
): Promise<ArraySource> {
  const wanted = variant === undefined ? [] : variantNames(names, checkedVariant(variant));
  for (const name of [...wanted, ...names]) {
    if (!await isThere(folder, name)) continue;
    if (variant !== undefined && !wanted.includes(name)) {
      const message =
        `${folder.description} has no weights of the variant ${variant}: using ${name}`;
      onProgress?.({ type: "notice", message });
    }
    if (!isIndex(name)) return await openArrays(await folder.open(name));
    const { openSharded } = await import("./sharded_weights.ts");
    return await openSharded(folder, name, openArrays);
  }
  throw new MissingFileError(
    `Cannot find the weights in ${folder.description}: looked for ` +
      [...wanted, ...names].join(", "),
  );
}

async function isThere(folder: ModelFolder, name: string): Promise<boolean> {
  try {
    return await folder.has(name);
  } catch (error) {
    if (meansAbsence(error)) return false;
    throw error;
  }
}

function checkedVariant(variant: unknown): string {
  if (typeof variant === "string" && /^\w[\w-]{0,49}$/.test(variant)) return variant;
  const subject = { task: "open the weights", name: "variant" };
  refuseRange(subject, variant, "a part of a file's name, such as fp16");
}

/**
 * Opens a file of arrays, of safetensors or of `torch.save`: its first bytes say which. It is closed
 * with the source, and if it cannot be read.
 *
 * @throws {SyntaxError} If the file is damaged.
 * @throws {TypeError} If an element type is not supported, or a torch file uses a name that is not
 * allowed.
 */
export async function openArrays(file: FileSource): Promise<ArraySource> {
  let open: (file: FileSource) => Promise<ArraySource>;
  try {
    const prefix = await file.read(0, Math.min(CONTENT_BYTES, file.size));
    checkContent(prefix, file.description);
    open = isTorchFile(prefix)
      ? (await import("./torch/torch_file.ts")).openTorchFile
      : (await import("./safetensors.ts")).openSafetensors;
  } catch (error) {
    await file[Symbol.asyncDispose]();
    throw error;
  }
  return await open(file);
}
