// Choosing at random, but the same every time.

import type { TorchGenerator } from "../src/random/torch_generator.ts";

/**
 * Draws different elements, by a shuffle that stops early (Fisher and Yates).
 *
 * @throws {RangeError} If there are fewer.
 */
export function choose<T>(from: readonly T[], count: number, generator: TorchGenerator): T[] {
  if (count > from.length) {
    throw new RangeError(`Cannot choose ${count} elements: there are ${from.length}`);
  }
  const rest = from.slice();
  for (let i = 0; i < count; i++) {
    const j = i + Math.floor((generator.random32() / 2 ** 32) * (rest.length - i));
    [rest[i], rest[j]] = [rest[j]!, rest[i]!];
  }
  return rest.slice(0, count);
}
