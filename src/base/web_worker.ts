/**
 * Web Workers of inlined source, whose end is noticed whatever it comes from.
 *
 * A worker that the system ends tells nobody. But the locks that it held are released then: each holds one
 * of its own as long as it lives, and who started it asks for the same. Without locks, such as in sandboxed
 * frames, only failures are noticed of which the worker tells.
 *
 * @module
 */

/** First lines of each worker. Its first message names the lock that it holds; none is the empty name. */
const HOLD_LOCK = `
{
  const hold = async () => {
    const name = crypto.randomUUID();
    await navigator.locks.request(name, () => new Promise(() => self.postMessage(name)));
  };
  hold().catch(() => self.postMessage(""));
}
`;

/** Milliseconds in which a worker that has ended may still tell why. */
const GRACE = 20;

/** Who hears of a worker. */
export interface WorkerListeners<M> {
  /** Takes a message of it. */
  readonly onMessage: (message: M) => void;
  /** Called when it failed or ended by itself, with the reason. It may be called again. */
  readonly onFailure: (reason: string) => void;
}

/** A worker. */
export interface WebWorker {
  /** Sends a message, when the worker can hear it. One that cannot be cloned is a failure. */
  postMessage(message: unknown): void;
  /** Ends it; nobody hears of it any more. */
  terminate(): void;
}

/**
 * Starts a worker.
 *
 * @param source A module, which sets `self.onmessage` before it waits for anything.
 * @throws {Error} If there are no workers here.
 */
export function startWebWorker<M>(source: string, listeners: WorkerListeners<M>): WebWorker {
  const { onMessage, onFailure } = listeners;
  const url = URL.createObjectURL(new Blob([HOLD_LOCK, source], { type: "text/javascript" }));
  const ended = new AbortController();
  const { signal } = ended;
  // Browsers may fetch the source late.
  signal.addEventListener("abort", () => URL.revokeObjectURL(url));
  try {
    const worker = new Worker(url, { type: "module" });
    const fail = (reason: string) => void (signal.aborted || onFailure(reason));
    const isReady = new Promise<void>((resolve) => {
      worker.onmessage = ({ data: lock }: MessageEvent<string>) => {
        worker.onmessage = ({ data }: MessageEvent<M>) => signal.aborted || onMessage(data);
        if (lock === "") return resolve();
        // An error that ended it says more, and may be on its way.
        const end = () => {
          const timer = setTimeout(() => fail("it ended without a word"), GRACE);
          signal.addEventListener("abort", () => clearTimeout(timer));
        };
        whenReleased(lock, signal, end);
        resolve();
      };
    });
    worker.onerror = (event) => {
      event.preventDefault();
      fail(event.message || "it could not be loaded");
    };
    return {
      postMessage: (message) =>
        void isReady.then(() => worker.postMessage(message)).catch((error) => fail(`${error}`)),
      terminate() {
        worker.terminate();
        ended.abort();
      },
    };
  } catch (error) {
    ended.abort();
    throw error;
  }
}

/** What is used of the Web Locks API, which the types of a program that imports this need not have. */
interface Locking {
  readonly locks: {
    request(name: string, options: { signal: AbortSignal }, listener: () => void): Promise<unknown>;
  };
}

/** Calls `listener` when nobody holds a lock any more. */
function whenReleased(lock: string, signal: AbortSignal, listener: () => void): void {
  const { locks } = navigator as unknown as Locking;
  locks.request(lock, { signal }, listener).catch(() => {});
}
