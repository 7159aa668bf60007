/**
 * The denoising loop with a second device to fall back to.
 *
 * @module
 */

import { DeviceLostError } from "../backends/errors.ts";
import { denoise, type DenoisingComponents, type DenoisingRequest } from "./generation.ts";
import type { NoisePosition } from "./noise_source.ts";

/** The state after a denoising step. */
export interface TokensStep {
  /** Number of the step, from 0. */
  readonly step: number;
  /** Timestep that the step went from. */
  readonly timestep: number;
  /** Tokens (images · pixels), if they were asked for. */
  readonly tokens: Int32Array | undefined;
}

/** Components, and others on another device for when theirs is lost. */
export interface Fallback<C> {
  /** The components to use now. */
  current(): C;
  /** Replaces components whose device was lost. */
  recover(lost: C, error: DeviceLostError): Promise<void>;
}

/** Calls `use` with the current components, and again with others if their device is lost. */
export async function withFallback<C, T>(
  fallback: Fallback<C>,
  use: (components: C) => Promise<T>,
): Promise<T> {
  const components = fallback.current();
  try {
    return await use(components);
  } catch (error) {
    if (!(error instanceof DeviceLostError)) throw error;
    await fallback.recover(components, error);
    return await use(fallback.current());
  }
}

/**
 * Denoises like {@linkcode denoise}. If the device is lost, goes on with other components from the
 * last tokens that were read, with the same noise: the result is the same.
 *
 * @param wantsTokens Whether to read the tokens after a step. The last step's are always read.
 */
export async function* denoiseResumably(
  fallback: Fallback<DenoisingComponents>,
  request: DenoisingRequest,
  wantsTokens: (step: number) => boolean,
): AsyncGenerator<TokensStep, void, void> {
  const { timesteps, noise } = request;
  const last = timesteps.length - 1;
  let known: { done: number; tokens: Int32Array; position: NoisePosition } = {
    done: 0,
    tokens: request.latents,
    position: noise.position(timesteps[0]!),
  };
  let told = -1;
  while (known.done <= last) {
    const components = fallback.current();
    try {
      let step = known.done;
      const rest = { ...request, latents: known.tokens, timesteps: timesteps.subarray(step) };
      for await (const { timestep, readTokens } of denoise(components, rest)) {
        let tokens: Int32Array | undefined;
        // A generator that cannot be set back leaves no way to repeat steps.
        if (step === last || wantsTokens(step) || !noise.canRewind) {
          tokens = await readTokens();
          const position = step < last ? noise.position(timesteps[step + 1]!) : undefined;
          known = { done: step + 1, tokens, position };
        }
        if (step > told) yield { step, timestep, tokens };
        told = Math.max(told, step);
        step++;
      }
    } catch (error) {
      if (!(error instanceof DeviceLostError)) throw error;
      await fallback.recover(components, error);
      noise.rewind(known.position);
    }
  }
}
