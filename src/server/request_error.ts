/**
 * What is wrong with a request.
 *
 * @module
 */

/** A request that is refused, with the HTTP status that says so. */
export class RequestError extends Error {
  /** Name of the class. */
  override readonly name = "RequestError";

  /** Makes the error for a status of the 400s or 500s. */
  constructor(
    /** HTTP status. */
    readonly status: number,
    message: string,
    /** Headers of the answer beside the content type. */
    readonly headers: Readonly<Record<string, string>> = {},
    /** The parameter that is wrong, if it is one. */
    readonly param?: string | undefined,
  ) {
    super(message);
  }
}

/**
 * Calls a function of the library with what a client gave.
 *
 * @throws {RequestError} If the function refuses it.
 */
export function asRequestError<T>(call: () => T): T {
  try {
    return call();
  } catch (error) {
    const isRefusal = error instanceof RangeError || error instanceof TypeError;
    if (!isRefusal || !error.message.startsWith("Cannot")) throw error;
    const message = error.message.replace(/^Cannot generate: /, "").replace("maskImage", "mask");
    const [, name] = /^(\w+) (?:is|has) /.exec(message) ?? [];
    throw new RequestError(400, message, {}, name);
  }
}
