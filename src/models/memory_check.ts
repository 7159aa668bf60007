/**
 * Whether models fit in the memory of a device.
 *
 * @module
 */

import type { WeightDType } from "../base/dtypes.ts";
import type { Backend } from "../backends/backend.ts";
import type { MemoryTrial } from "./memory_trial.ts";

/**
 * The most bytes that a parameter takes. A convolution's in float32 takes 4, and 9 of them take the 36
 * products of Winograd's method beside them, which makes 20; while it is loaded, it lies there twice more.
 */
const PARAMETER_BYTES = 28;

/** What small weights take more, as blocks are rounded up. */
const ROUNDING_BYTES = 2 ** 25;

/** Bytes that weights take at most, whatever they are held as. */
export function mostWeightBytes(models: readonly { readonly parameters: number }[]): number {
  const parameters = models.reduce((sum, model) => sum + model.parameters, 0);
  return parameters * PARAMETER_BYTES + ROUNDING_BYTES;
}

/**
 * Checks that what is to be done fits in what is left of a device's memory, as far as it reports it.
 *
 * @param model The model, for the error message: a path or URL.
 * @param dtype How the weights of linear layers are to be held. Not given: as stored.
 * @throws {RangeError} If it does not fit; it says what would.
 */
export async function checkMemory(
  model: string,
  backend: Backend,
  dtype: WeightDType | undefined,
  trial: MemoryTrial,
): Promise<void> {
  if (backend.memoryLimit === undefined) return;
  const left = backend.memoryLimit - backend.memoryUse().bytes;
  if (trial.mostBytes <= left) return;
  const { tryMemory } = await import("./memory_trial.ts");
  await tryMemory({ model, backend, left, dtype, trial });
}
