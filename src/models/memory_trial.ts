/**
 * Trying on paper whether models fit in the memory of a device.
 *
 * @module
 */

import type { Backend } from "../backends/backend.ts";
import { createDryBackend } from "../backends/select.ts";
import { WEIGHT_DTYPES, type WeightDType } from "../base/dtypes.ts";

/** What is to be done in the memory of a device. */
export interface MemoryTrial {
  /** What it is, for error messages: `"its weights"`. */
  readonly what: string;
  /** Bytes that it takes at most, by a generous estimate. */
  readonly mostBytes: number;
  /**
   * Does it on a backend that only counts memory.
   *
   * @param dtype How the weights of linear layers are to be held. Not given: as stored.
   * @throws {RangeError} If the memory of the backend does not suffice.
   */
  run(backend: Backend, dtype: WeightDType | undefined): Promise<void>;
}

/** What is tried, and where. */
export interface MemoryTrialOptions {
  /** The model, for the error message. */
  readonly model: string;
  /** Where it is to be loaded. */
  readonly backend: Backend;
  /** Bytes of memory that are left there. */
  readonly left: number;
  /** How the weights of linear layers are to be held. Not given: as stored. */
  readonly dtype: WeightDType | undefined;
  /** What is to be done. */
  readonly trial: MemoryTrial;
}

/** @throws {RangeError} If it does not fit; it says what would. */
export async function tryMemory(options: MemoryTrialOptions): Promise<void> {
  const { model, backend, left, dtype, trial } = options;
  const asked = await outcome(options, dtype);
  if (asked.fits) return;
  const others = await Promise.all(
    WEIGHT_DTYPES.map(async (type) => ({ type, ...await outcome(options, type) })),
  );
  const fitting = others.filter(({ fits }) => fits)
    .map(({ type, bytes }) => `${amount(bytes)} with dtype "${type}"`);
  const advice = fitting.length > 0
    ? `they take ${fitting.join(", ")}`
    : `even with dtype "q8" they take ${amount(others.at(-1)!.bytes)}`;
  throw new RangeError(
    `Cannot load ${model}: ${trial.what} take ${amount(asked.bytes)} ` +
      `${dtype === undefined ? "as they are stored" : `with dtype "${dtype}"`}, ` +
      `and of the memory of ${backend.device.name} ${amount(left)} are left; ${advice}`,
  );
}

/** How a trial ends: whether it fits, and the bytes that it takes. */
interface Outcome {
  readonly fits: boolean;
  readonly bytes: number;
}

async function outcome(
  { backend, left, trial }: MemoryTrialOptions,
  dtype: WeightDType | undefined,
): Promise<Outcome> {
  const bytesWithin = async (memoryLimit: number) => {
    const { type: device, threads } = backend.device;
    await using dry = await createDryBackend({ device, threads, memoryLimit, like: backend });
    await trial.run(dry, dtype);
    return dry.memoryHeld().peakBytes;
  };
  try {
    // What can be done without, such as Winograd's panels, is left out where memory is short.
    return { fits: true, bytes: await bytesWithin(left) };
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    return { fits: false, bytes: await bytesWithin(Infinity) };
  }
}

function amount(bytes: number): string {
  const mebibytes = bytes / 2 ** 20;
  return mebibytes < 1024 ? `${mebibytes.toFixed(1)} MiB` : `${(mebibytes / 1024).toFixed(2)} GiB`;
}
