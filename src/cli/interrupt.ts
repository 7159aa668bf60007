/**
 * Ctrl-C.
 *
 * @module
 */

/** Exit codes by signal: 128 and the number of the signal, as shells have it. */
const EXIT_CODES = { SIGINT: 130, SIGTERM: 143 } as const;

/** A watch for interrupts. Disposing of it ends it. */
export interface AbortOnInterrupt extends Disposable {
  /** Aborted at the first interrupt. */
  readonly signal: AbortSignal;
  /** Exit code of the process if it was interrupted. */
  readonly exitCode: number | undefined;
}

/**
 * Ends the process when it is interrupted (Ctrl-C, or `kill`), after a last act that must not wait for
 * anything. Disposing of the result ends the watch.
 */
export function exitOnInterrupt(lastAct: () => void): Disposable {
  return onInterrupt((exitCode) => {
    try {
      lastAct();
    } finally {
      Deno.exit(exitCode);
    }
  });
}

/** Aborts work that has to clean up after itself. A second interrupt ends the process at once. */
export function abortOnInterrupt(): AbortOnInterrupt {
  const controller = new AbortController();
  let code: number | undefined;
  const watch = onInterrupt((exitCode) => {
    if (code !== undefined) Deno.exit(exitCode);
    code = exitCode;
    controller.abort(new Error("Stopped"));
  });
  return {
    signal: controller.signal,
    get exitCode() {
      return code;
    },
    [Symbol.dispose]: () => watch[Symbol.dispose](),
  };
}

function onInterrupt(act: (exitCode: number) => void): Disposable {
  const watches = Object.entries(EXIT_CODES)
    .filter(([signal]) => signal === "SIGINT" || Deno.build.os !== "windows")
    .map(([signal, code]) => watch(signal as keyof typeof EXIT_CODES, () => act(code)));
  return { [Symbol.dispose]: () => watches.forEach((stop) => stop()) };
}

function watch(signal: keyof typeof EXIT_CODES, listener: () => void): () => void {
  Deno.addSignalListener(signal, listener);
  return () => Deno.removeSignalListener(signal, listener);
}
