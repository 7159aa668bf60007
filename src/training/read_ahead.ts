/**
 * Reading what belongs to parameters to the host.
 *
 * @module
 */

import { elementCount } from "../base/shapes.ts";
import type { TrainableTensor } from "./trainable_parameters.ts";

/** Elements that are read at a time, if there are not more of one parameter. */
const PORTION = 2 ** 22;

/**
 * Reads values for parameters, several at a time: a GPU answers late, however little it is asked for.
 *
 * @param read Reads as many elements as the parameter of an item has.
 * @returns Items and what was read for them, in order.
 */
export async function* readAhead<T extends { readonly parameter: TrainableTensor }>(
  items: readonly T[],
  read: (item: T) => Promise<Float32Array>,
): AsyncGenerator<readonly [item: T, values: Float32Array]> {
  let first = 0;
  while (first < items.length) {
    let last = first;
    let elements = 0;
    do elements += sizeOf(items[last++]!); while (
      last < items.length && elements + sizeOf(items[last]!) <= PORTION
    );
    const portion = items.slice(first, last);
    yield* await Promise.all(portion.map(async (item) => [item, await read(item)] as const));
    first = last;
  }
}

/** {@linkcode readAhead} of the values of the parameters themselves. */
export function readParameters<T extends { readonly parameter: TrainableTensor }>(
  items: readonly T[],
): AsyncGenerator<readonly [item: T, values: Float32Array]> {
  return readAhead(items, ({ parameter: { tensor } }) => tensor.data());
}

function sizeOf({ parameter: { tensor } }: { readonly parameter: TrainableTensor }): number {
  return elementCount(tensor.shape);
}
