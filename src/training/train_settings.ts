/**
 * What has to be the same for a training to go on with the same result.
 *
 * @module
 */

import type { ModelFolder } from "../files/source.ts";
import { createSha256 } from "../hub/hashes.ts";
import type { Trainer } from "./trainer.ts";
import type { TrainingExample } from "./training_examples.ts";

/** Settings of a trainer, and a digest of what it learns. */
export function settingsOf(
  { model, settings }: Trainer,
  examples: readonly TrainingExample[],
): Record<string, unknown> {
  const hash = createSha256();
  const text = new TextEncoder();
  for (const { caption, tokens } of examples) {
    hash.update(text.encode(`${JSON.stringify(caption)}\n`));
    hash.update(new Uint8Array(tokens.buffer, tokens.byteOffset, tokens.byteLength));
  }
  const { recompute: _, ...others } = settings;
  return {
    ...others,
    seed: String(settings.seed),
    trainTextEncoder: model.parameters.textEncoder !== undefined,
    examples: hash.digest(),
  };
}

/**
 * What a training began with. That of a model of the caller's is its path, since the files may be large; what
 * lies below the folder of the training, or beside this code, may be moved.
 *
 * @param description Where the model lies.
 */
export async function startOf(
  { anew, from }: {
    readonly anew?: unknown;
    readonly from?: string | URL | ModelFolder | undefined;
  },
  description: string,
): Promise<string> {
  if (anew !== undefined) return "nothing";
  if (from !== undefined) return description;
  // Another version of this code may have another model.
  const { EMBEDDED_FILES } = await import("../pipeline/embedded_files.ts");
  const hash = createSha256();
  hash.update(new TextEncoder().encode(JSON.stringify(EMBEDDED_FILES)));
  return `the embedded model ${hash.digest()}`;
}
