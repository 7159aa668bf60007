/**
 * Runs programs on a pool of workers that share one Wasm memory. The calling thread stays free.
 *
 * Workers come from inlined source: a worker's URL must be of the page's own origin, and a module
 * imported from elsewhere has none. Between jobs they sleep in `Atomics.wait`.
 *
 * @module
 */

import { startWebWorker } from "../../base/web_worker.ts";
import { disposedError, WorkerFailedError } from "../errors.ts";
import { CONTROL_BYTES, ControlWord, type Execution, type Job, type Runner } from "./runner.ts";

/** What a worker needs to begin. */
interface WorkerStart {
  readonly modules: PoolModules;
  readonly memory: WebAssembly.Memory;
  readonly control: number;
  readonly index: number;
  readonly threads: number;
}

/** What programs are run by, and those without fused multiply-add. */
type PoolModules = readonly [module: WebAssembly.Module, portable: WebAssembly.Module];

/** A message of a worker: ready, the end of a job, or the text of a failure. */
type WorkerMessage = "ready" | boolean | string;

/**
 * Body of a worker; `start` and `post` are defined before it. The last one tells of the end of a job: before
 * that, others may still read what belongs to it.
 */
const WORKER_BODY = `
const W = ${JSON.stringify(ControlWord)};
const serve = async ({ modules, memory, control, index, threads }) => {
  const instances = [];
  for (const module of modules) {
    instances.push((await WebAssembly.instantiate(module, { env: { memory } })).exports);
  }
  const words = new Int32Array(memory.buffer, control, ${CONTROL_BYTES / 4});
  post("ready");
  for (let job = 0;; job++) {
    Atomics.wait(words, W.job, job);
    if (Atomics.load(words, W.quit)) return;
    const scratch = (words[W.scratch] >>> 0) + index * words[W.scratchBytes];
    const { run } = instances[words[W.portable]];
    const ended = run(words[W.program], words[W.count], control, threads, scratch);
    if (Atomics.add(words, W.done, 1) === threads - 1) {
      Atomics.store(words, W.done, 0);
      post(Boolean(ended));
    }
  }
};
start.then(serve).catch((error) => post(String(error)));
`;

/**
 * For Deno, Node and Bun, whose own workers let the process end while they sleep. Whether such a source is a
 * script, with `require`, or a module depends on the runtime and its version.
 */
const NODE_WORKER = `
const { parentPort, workerData } = process.getBuiltinModule("node:worker_threads");
const post = (message) => parentPort.postMessage(message);
const start = Promise.resolve(workerData);
${WORKER_BODY}`;

const WEB_WORKER = `
const post = (message) => self.postMessage(message);
const start = new Promise((resolve) => self.onmessage = (event) => resolve(event.data));
${WORKER_BODY}`;

/** What the two kinds of workers have in common. */
interface PoolWorker {
  terminate(): void;
}

type Listener = (message: WorkerMessage) => void;

/** The part of `node:worker_threads` that is used here. */
interface NodeWorkerThreads {
  Worker: new (source: string, options: { eval: true; env: object; workerData: WorkerStart }) => {
    on(event: "message", listener: Listener): void;
    on(event: "error", listener: (error: Error) => void): void;
    on(event: "exit", listener: (code: number) => void): void;
    unref(): void;
    terminate(): Promise<number>;
  };
}

/** The oldest V8 whose workers can be relied upon: those of Node 20 hang when memory grows while they sleep. */
const OLDEST_V8 = 12;

/** @throws {Error} If workers hang here. */
function nodeWorkerThreads(): NodeWorkerThreads | undefined {
  const { process } = globalThis as {
    process?: {
      readonly versions?: { readonly v8?: string };
      getBuiltinModule?(name: string): NodeWorkerThreads | undefined;
    };
  };
  const { v8 } = process?.versions ?? {};
  if (v8 !== undefined && Number.parseInt(v8) < OLDEST_V8) {
    throw new Error(`workers of V8 ${v8.split("-")[0]} hang when memory grows`);
  }
  return process?.getBuiltinModule?.("node:worker_threads");
}

function startWorker(start: WorkerStart, listener: Listener): PoolWorker {
  const node = nodeWorkerThreads();
  if (node) {
    // By default a worker gets a copy of the environment, which needs a permission.
    const options = { eval: true, env: {}, workerData: start } as const;
    const worker = new node.Worker(NODE_WORKER, options);
    worker.on("message", listener);
    worker.on("error", (error) => listener(String(error)));
    worker.on("exit", (code) => listener(`it ended with code ${code}`));
    worker.unref();
    return { terminate: () => void worker.terminate() };
  }
  const worker = startWebWorker(WEB_WORKER, { onMessage: listener, onFailure: listener });
  worker.postMessage(start);
  return worker;
}

/** What workers compute with. */
export interface WorkerOrigin {
  /** The kernels, compiled, and those without fused multiply-add. */
  readonly modules: PoolModules;
  /** Address of the control block, all zeros. */
  readonly control: number;
  /** Number of workers. */
  readonly threads: number;
  /** The memory of the first workers. */
  readonly memory: WebAssembly.Memory;
  /** Moves all that the memory holds to a new one, which those that follow get. */
  readonly renew: () => Promise<WebAssembly.Memory>;
}

/** A pool of workers. If one ends by itself, the run it took part in fails, and the next has new ones. */
export class WorkerPool implements Runner {
  readonly threads: number;
  readonly #origin: WorkerOrigin;
  #memory: WebAssembly.Memory;
  #words: Int32Array;
  #workers: PoolWorker[] = [];
  #settle: ((message: WorkerMessage) => void) | undefined;
  /** Why there are no workers that can be used: the others wait for a failed one. */
  #failure: WorkerFailedError | undefined;
  /** Whether there is no memory for new ones. */
  #isStranded = false;
  #disposed = false;

  private constructor(origin: WorkerOrigin) {
    this.threads = origin.threads;
    this.#origin = origin;
    this.#memory = origin.memory;
    this.#words = this.#controlWords();
  }

  /**
   * Starts the workers.
   *
   * @throws {Error} If workers cannot be had here.
   */
  static async start(origin: WorkerOrigin): Promise<WorkerPool> {
    const pool = new WorkerPool(origin);
    try {
      await pool.#startAll();
    } catch (error) {
      pool.dispose();
      throw error;
    }
    return pool;
  }

  #controlWords(): Int32Array {
    return new Int32Array(this.#memory.buffer, this.#origin.control, CONTROL_BYTES / 4);
  }

  async #startAll(): Promise<void> {
    const workers: PoolWorker[] = this.#workers = [];
    const { modules, control, threads } = this.#origin;
    const start = { modules, memory: this.#memory, control, threads };
    const keepAlive = setInterval(() => {}, 1000);
    try {
      await Promise.all(Array.from({ length: threads }, (_, index) => {
        return new Promise<void>((resolve, reject) => {
          const worker = startWorker({ ...start, index }, (message) => {
            // Those that were replaced have nothing to say any more.
            if (workers !== this.#workers) return;
            if (message === "ready") return resolve();
            if (typeof message === "string") {
              reject(new Error(`Cannot start a worker: ${message}`));
              this.#failure ??= new WorkerFailedError(`A worker failed: ${message}`);
            }
            this.#settle?.(message);
          });
          workers.push(worker);
        });
      }));
      // One that was ready may have ended while others started.
      if (this.#failure) throw this.#failure;
    } finally {
      clearInterval(keepAlive);
    }
  }

  /** Ends the workers. To terminate them does not wake all that sleep, so that they are also told to leave. */
  #endAll(): void {
    const words = this.#words;
    Atomics.store(words, ControlWord.quit, 1);
    Atomics.store(words, ControlWord.stopped, 1);
    for (const word of [ControlWord.generation, ControlWord.job]) {
      Atomics.add(words, word, 1);
      Atomics.notify(words, word);
    }
    const workers = this.#workers;
    this.#workers = [];
    for (const worker of workers) worker.terminate();
  }

  /**
   * Ends workers of which one has failed. The others may go on computing for any time: that they end takes
   * effect when the system gives them a turn, and nothing tells that it has. So they keep the memory to
   * themselves, and whatever comes next has another.
   */
  async #retireAll(): Promise<void> {
    this.#endAll();
    try {
      this.#memory = await this.#origin.renew();
      this.#words = this.#controlWords();
      this.#words.fill(0);
    } catch (error) {
      this.#isStranded = true;
      const { message } = this.#failure!;
      this.#failure = new WorkerFailedError(`${message}; no memory for new workers: ${error}`);
    }
  }

  /** Puts new workers in the place of those that have failed. */
  async #replaceAll(): Promise<void> {
    if (this.#workers.length > 0) await this.#retireAll();
    if (this.#isStranded) throw this.#failure;
    this.#failure = undefined;
    try {
      await this.#startAll();
    } catch (error) {
      throw this.#failure ??= new WorkerFailedError(`A worker failed: ${error}`);
    }
  }

  start(job: Job, signal?: AbortSignal): Execution {
    let ended: boolean | undefined;
    let failure: { readonly error: unknown } | undefined;
    const running = this.#run(job, signal).then(
      (value) => void (ended = value),
      (error) => void (failure = { error }),
    );
    return {
      get ended() {
        return ended;
      },
      advance() {
        if (failure) throw failure.error;
        return ended === undefined ? running : undefined;
      },
    };
  }

  async #run(job: Job, signal?: AbortSignal): Promise<boolean> {
    if (this.#disposed) throw disposedError("the backend");
    if (this.#failure) await this.#replaceAll();
    if (signal?.aborted) return false;
    const words = this.#words;
    words[ControlWord.abort] = 0;
    words[ControlWord.stopped] = 0;
    words[ControlWord.program] = job.program;
    words[ControlWord.count] = job.count;
    words[ControlWord.scratch] = job.scratch;
    words[ControlWord.scratchBytes] = job.scratchBytes;
    words[ControlWord.portable] = Number(job.portable);
    const abort = () => Atomics.store(words, ControlWord.abort, 1);
    signal?.addEventListener("abort", abort);
    // Sleeping workers do not keep the process alive.
    const keepAlive = setInterval(() => {}, 60_000);
    try {
      const message = await new Promise<WorkerMessage>((resolve) => {
        this.#settle = resolve;
        Atomics.add(words, ControlWord.job, 1);
        Atomics.notify(words, ControlWord.job);
      });
      if (typeof message !== "string") return message;
      await this.#retireAll();
      throw this.#failure;
    } finally {
      this.#settle = undefined;
      signal?.removeEventListener("abort", abort);
      clearInterval(keepAlive);
    }
  }

  dispose(): void {
    this.#disposed = true;
    this.#endAll();
  }
}
