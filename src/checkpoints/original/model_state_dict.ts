/**
 * The arrays of a whole model in a checkpoint of Microsoft's.
 *
 * @module
 */

import type { ArraySource } from "../arrays.ts";
import { StateDict } from "./state_dict.ts";

/** Where the modules lie in Microsoft's model. */
export const TRANSFORMER = "transformer.transformer.";
/** The text encoder of a model that draws from text. */
export const TEXT_ENCODER = "transformer.condition_emb.";

/** An array that every transformer has. */
const SIGN = `${TRANSFORMER}content_emb.emb.weight`;

/** Whether a checkpoint is that of a whole model, with a transformer. */
export function holdsModel(source: ArraySource): boolean {
  return namesOf(source, true).has(SIGN);
}

/**
 * The arrays of the whole model. A training checkpoint has them under `model`, and averages of those of
 * its `transformer` under `ema`.
 *
 * @param ema Whether to take the averages where there are such.
 * @throws {TypeError} If there is no transformer among them.
 */
export function modelStateDict(source: ArraySource, ema = true): StateDict {
  const found = namesOf(source, ema);
  if (!found.has(SIGN)) {
    throw new TypeError(
      `Cannot convert ${source.description}: it holds no transformer of VQ-Diffusion, under the ` +
        `names of Microsoft's code`,
    );
  }
  return new StateDict(source, found);
}

/** Names in the checkpoint by those in the model. */
function namesOf(source: ArraySource, ema: boolean): Map<string, string> {
  const names = source.names();
  const nested = names.some((name) => name.startsWith("model."));
  const prefix = nested ? "model." : "";
  const found = new Map(
    names.filter((name) => name.startsWith(prefix))
      .map((name) => [name.slice(prefix.length), name]),
  );
  if (nested && ema) {
    for (const name of names) {
      if (name.startsWith("ema.")) found.set(`transformer.${name.slice("ema.".length)}`, name);
    }
  }
  return found;
}
