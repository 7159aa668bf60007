/**
 * How a model that is asked for was understood, for those who meant something else.
 *
 * @module
 */

import { isHubId } from "../hub/hub_id.ts";
import { isThere } from "./output_files.ts";

/**
 * Waits for what is loaded of a model. If it cannot be found, the error says what it was taken for.
 *
 * @param model As it was asked for; undefined for the embedded one.
 */
export async function explained<T>(model: string | undefined, loading: Promise<T>): Promise<T> {
  try {
    return await loading;
  } catch (error) {
    const hint = model !== undefined && error instanceof Error && hintOn(model, error.message);
    if (!hint) throw error;
    throw new Error(`${error.message}; ${hint}`, { cause: error });
  }
}

function hintOn(model: string, message: string): string | undefined {
  if (message === `Cannot find the folder ${model}`) {
    // A path, and no name that somebody knows from elsewhere.
    if (/[/\\]/.test(model)) return undefined;
    return 'a model on the hub would have an id "owner/name"';
  }
  const config = `${model.replace(/[/\\]+$/, "")}/config.json`;
  if (/^Cannot find .*model_index\.json$/.test(message) || message === `Cannot find ${config}`) {
    return "a model is a folder with that file, or an original checkpoint: its file, such as a.pth";
  }
  if (!isHubId(model) || isThere(model) || !/^Cannot (reach|open|find) /.test(message)) {
    return undefined;
  }
  return `there is no folder ${model}, so it was taken for a model on the hub`;
}
