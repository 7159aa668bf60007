/**
 * The samplers by the names that clients of the web UI choose from.
 *
 * @module
 */

/** A sampler. */
export interface SamplerEntry {
  /** Its name in lists. */
  readonly name: string;
  /** Other names of it. */
  readonly aliases: readonly string[];
}

/** All samplers; the first is the model's own. */
export const SAMPLERS: readonly SamplerEntry[] = [
  { name: "VQ-Diffusion", aliases: [] },
];

/** The sampler of a name; the model's own for that of another program, or none. */
export function samplerOf(name: string | undefined): SamplerEntry {
  const wanted = name?.toLowerCase();
  return SAMPLERS.find((sampler) => sampler.name.toLowerCase() === wanted) ?? SAMPLERS[0]!;
}
