/**
 * The threads of the CPU backend, for tests that end them.
 *
 * @module
 */

/** A thread. */
export interface Thread {
  terminate(): Promise<number>;
  on(event: "message", listener: (message: unknown) => void): void;
}

interface Threads {
  readonly Worker: new (...args: unknown[]) => Thread;
}

type Builtins = { getBuiltinModule(name: string): unknown };

interface StartOptions {
  readonly workerData: { readonly memory: WebAssembly.Memory };
}

/** What was started. */
export interface Watch extends Disposable {
  readonly started: Thread[];
  /** The memory of each thread. */
  readonly memories: WebAssembly.Memory[];
}

/** Lists the threads that are started until it is disposed of, and calls `onReady` when one is ready. */
export function watchThreads(onReady = (_thread: Thread, _count: number) => {}): Watch {
  const { process } = globalThis as unknown as { process: Builtins };
  const original = process.getBuiltinModule;
  const started: Thread[] = [];
  const memories: WebAssembly.Memory[] = [];
  const { Worker } = original.call(process, "node:worker_threads") as Threads;
  class Watched extends Worker {
    constructor(source: string, options: StartOptions) {
      super(source, options);
      const count = started.push(this);
      this.on("message", (message) => {
        // After the pool has been told.
        if (message === "ready") queueMicrotask(() => onReady(this, count));
      });
      memories.push(options.workerData.memory);
    }
  }
  process.getBuiltinModule = (name) =>
    name === "node:worker_threads" ? { Worker: Watched } : original.call(process, name);
  return { started, memories, [Symbol.dispose]: () => void (process.getBuiltinModule = original) };
}

/** Until it is disposed of there are no threads but Web Workers, as in browsers. */
export function withoutNodeThreads(): Disposable {
  const { process } = globalThis as unknown as { process: Builtins };
  const original = process.getBuiltinModule;
  process.getBuiltinModule = (name) =>
    name === "node:worker_threads" ? undefined : original.call(process, name);
  return { [Symbol.dispose]: () => void (process.getBuiltinModule = original) };
}
