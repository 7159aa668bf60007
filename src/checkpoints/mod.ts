/**
 * Where models lie and how they are stored: folders on disk, behind URLs, in memory and on the hub;
 * safetensors, torch files and Microsoft's original checkpoints. Nothing that a file holds is executed.
 *
 * @example The arrays of a checkpoint
 * ```ts
 * import { openArrays, openFile } from "@vq-diffusion/vq-diffusion/checkpoints";
 *
 * await using arrays = await openArrays(await openFile("model.safetensors"));
 * for (const name of arrays.names()) console.log(name, arrays.dtype(name), arrays.shape(name));
 * ```
 *
 * @module
 */

export { openFile, openFolder, type OpenFolderOptions, type OriginalOptions } from "./folders.ts";
export type { FileSource, ModelFolder } from "../files/source.ts";
export { memoryFolder } from "../files/memory_folder.ts";
export {
  type ByteSink,
  type FolderTransaction,
  type FolderWriter,
  writeFolder,
} from "../files/folder_writer.ts";
export type { HttpOptions } from "../files/http.ts";
export { MissingFileError } from "../files/paths.ts";
export type { LoadEvent, OnProgress } from "../files/progress.ts";
export type { HubOptions } from "../hub/hub.ts";
export {
  type CachedFile,
  DamagedFileError,
  type Download,
  type HubCache,
  TakenOverError,
  type VerifyFiles,
} from "../hub/cache.ts";

export { type Config, readConfig } from "./config.ts";
export type { StoredDType } from "../base/dtypes.ts";
export type { ArraySource, StoredArray } from "./arrays.ts";
export { openArrays, openWeights, type OpenWeightsOptions } from "./weights.ts";
export { DIFFUSERS_WEIGHTS, TRANSFORMERS_WEIGHTS } from "../files/weight_names.ts";
export { parseSafetensors } from "./safetensors.ts";
export { encodeSafetensors } from "./safetensors_writer.ts";
