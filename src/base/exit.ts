/**
 * The end of the process.
 *
 * @module
 */

/** What is used of the process of Node. */
interface NodeProcess {
  on?(event: "exit", listener: () => void): void;
  off?(event: "exit", listener: () => void): void;
}

/**
 * Has `listener` called when the process ends, which waits for nothing. Deno has the event of pages for
 * that, Node and Bun have one of the process; it may be called for both.
 *
 * @returns Takes that back.
 */
export function onExit(listener: () => void): () => void {
  const { process } = globalThis as { process?: NodeProcess };
  globalThis.addEventListener?.("unload", listener);
  process?.on?.("exit", listener);
  return () => {
    globalThis.removeEventListener?.("unload", listener);
    process?.off?.("exit", listener);
  };
}
