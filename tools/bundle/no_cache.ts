/**
 * What stands in for the choice of a cache where there is none.
 *
 * @module
 */

/** No cache, whatever is asked for. */
export function openCache(): Promise<undefined> {
  return Promise.resolve(undefined);
}
