/**
 * Whether weights fit in the memory of a device.
 *
 * @module
 */

import { WEIGHT_DTYPES, type WeightDType } from "../base/dtypes.ts";
import type { Backend } from "../backends/backend.ts";

/**
 * Checks that weights fit in what is left of a device's memory, as far as it reports it.
 *
 * @param what The weights, for the error message: a path or URL.
 * @param dtype How the weights of linear layers are to be held. Not given: as stored.
 * @param bytesOf Bytes that the weights take.
 * @throws {RangeError} If they do not fit; it says what would.
 */
export function checkMemory(
  what: string,
  backend: Backend,
  dtype: WeightDType | undefined,
  bytesOf: (dtype: WeightDType | undefined) => number,
): void {
  const left = (backend.memoryLimit ?? Infinity) - backend.memoryUse().bytes;
  const needed = bytesOf(dtype);
  if (needed <= left) return;
  const fitting = WEIGHT_DTYPES.filter((type) => bytesOf(type) <= left)
    .map((type) => `${amount(bytesOf(type))} with dtype "${type}"`);
  const advice = fitting.length > 0
    ? `they take ${fitting.join(", ")}`
    : `even with dtype "q8" they take ${amount(bytesOf("q8"))}`;
  throw new RangeError(
    `Cannot load ${what}: its weights take ${amount(needed)} ` +
      `${
        dtype === undefined ? "as they are stored" : `with dtype "${dtype}"`
      }, and of the memory of ` +
      `${backend.device.name} ${amount(left)} are left; ${advice}`,
  );
}

function amount(bytes: number): string {
  const mebibytes = bytes / 2 ** 20;
  return mebibytes < 1024 ? `${mebibytes.toFixed(1)} MiB` : `${(mebibytes / 1024).toFixed(2)} GiB`;
}
