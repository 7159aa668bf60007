/**
 * Ctrl-C, and other ways to end a process in good order.
 *
 * @module
 */

/** Exit codes by signal: 128 and the number of the signal, as shells have it. */
const EXIT_CODES = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 } as const;

/** A watch for interrupts. Disposing of it ends it. */
export interface AbortOnInterrupt extends Disposable {
  /** Aborted at the first interrupt. */
  readonly signal: AbortSignal;
  /** Exit code of the process if it was interrupted. */
  readonly exitCode: number | undefined;
}

/**
 * Ends the process when it is interrupted (Ctrl-C, `kill`, or its terminal is closed), after a last act that must not wait for
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

/** Milliseconds within which interrupts are one: `deno task` passes on what the terminal sent to all. */
const ONE_INTERRUPT = 1000;

/**
 * Aborts work that has to clean up after itself. An interrupt that comes more than a second after the
 * first ends the process at once.
 *
 * @param atSecond What to do before that; a third interrupt does not wait for it.
 */
export function abortOnInterrupt(atSecond?: () => Promise<void>): AbortOnInterrupt {
  const controller = new AbortController();
  let code: number | undefined;
  let first = 0;
  let isEnding = false;
  const watch = onInterrupt((exitCode) => {
    if (code !== undefined) {
      if (performance.now() - first < ONE_INTERRUPT) return;
      if (atSecond === undefined || isEnding) Deno.exit(exitCode);
      isEnding = true;
      first = performance.now();
      atSecond().finally(() => Deno.exit(exitCode));
      return;
    }
    first = performance.now();
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
