/**
 * Streams that nobody reads to their end.
 *
 * @module
 */

/** Ends generators whose readers are gone. Its time is the garbage collector's choice. */
const dropped = typeof FinalizationRegistry === "undefined"
  ? undefined
  : new FinalizationRegistry<AsyncGenerator<unknown, void, void>>((generator) => {
    generator.return().catch(() => {});
  });

/**
 * A generator that gives back what it holds also when it is neither read to its end nor returned from, as
 * a last resort: whoever stops early should call `return`, as `for await` does.
 */
export function endedWhenDropped<T>(
  generator: AsyncGenerator<T, void, void>,
): AsyncGenerator<T, void, void> {
  // Nothing may lead from the generator to this object, which is what readers hold.
  const reader: AsyncGenerator<T, void, void> = {
    next: () => generator.next(),
    return: () => generator.return(),
    throw: (error) => generator.throw(error),
    [Symbol.asyncIterator]: () => reader,
    [Symbol.asyncDispose]: async () => {
      await generator.return();
    },
  };
  dropped?.register(reader, generator);
  return reader;
}
