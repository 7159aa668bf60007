/**
 * Ctrl-C.
 *
 * @module
 */

/** Exit codes by signal: 128 and the number of the signal, as shells have it. */
const EXIT_CODES = { SIGINT: 130, SIGTERM: 143 } as const;

/**
 * Ends the process when it is interrupted (Ctrl-C, or `kill`), after a last act that must not wait for
 * anything. Disposing of the result ends the watch.
 */
export function exitOnInterrupt(lastAct: () => void): Disposable {
  const watches = Object.entries(EXIT_CODES)
    .filter(([signal]) => signal === "SIGINT" || Deno.build.os !== "windows")
    .map(([signal, code]) => watch(signal as keyof typeof EXIT_CODES, code, lastAct));
  return { [Symbol.dispose]: () => watches.forEach((stop) => stop()) };
}

function watch(signal: keyof typeof EXIT_CODES, code: number, lastAct: () => void): () => void {
  const listener = () => {
    try {
      lastAct();
    } finally {
      Deno.exit(code);
    }
  };
  Deno.addSignalListener(signal, listener);
  return () => Deno.removeSignalListener(signal, listener);
}
