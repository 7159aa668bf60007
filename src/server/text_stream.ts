/**
 * Bodies that come bit by bit, no faster than they are read.
 *
 * @module
 */

/** Options of {@linkcode textStream}. */
export interface TextStreamOptions {
  /** Seconds that the reader may leave a part unread. */
  readonly maxIdleSeconds: number;
  /** Seconds of silence after which a comment shows that the connection is alive. */
  readonly keepAliveSeconds: number;
  /** Called when the reader goes away or stops reading. */
  readonly onGone: () => void;
}

/** A line that readers of server-sent events leave out. */
const COMMENT = ":\n\n";

/** An event of a `text/event-stream`. */
export function eventText(name: string, data: unknown): string {
  return `event: ${name}\ndata: ${JSON.stringify(data)}\n\n`;
}

/**
 * Makes a body of the texts of server-sent events. The next text is asked for when the one before was
 * read: of a stream that nobody reads, one part is held.
 */
export function textStream(
  texts: AsyncGenerator<string, void, void>,
  { maxIdleSeconds, keepAliveSeconds, onGone }: TextStreamOptions,
): ReadableStream<Uint8Array<ArrayBuffer>> {
  const encoder = new TextEncoder();
  let next: Promise<IteratorResult<string, void>> | undefined;
  let idle: ReturnType<typeof setTimeout> | undefined;
  return new ReadableStream({
    async pull(controller) {
      clearTimeout(idle);
      next ??= texts.next();
      const result = await orAfter(keepAliveSeconds, next);
      if (result !== undefined) next = undefined;
      if (result?.done) return controller.close();
      controller.enqueue(encoder.encode(result === undefined ? COMMENT : result.value!));
      idle = setTimeout(() => {
        onGone();
        controller.error(new DOMException("The stream was not read", "TimeoutError"));
      }, maxIdleSeconds * 1000);
    },
    cancel() {
      clearTimeout(idle);
      onGone();
    },
  }, { highWaterMark: 0 });
}

/** What a promise gives, or undefined if that takes longer. */
async function orAfter<T>(seconds: number, promise: Promise<T>): Promise<T | undefined> {
  const late = Promise.withResolvers<undefined>();
  const timer = setTimeout(() => late.resolve(undefined), seconds * 1000);
  try {
    return await Promise.race([promise, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}
