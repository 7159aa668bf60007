/**
 * Calling functions on another thread, so that the event loop stays free.
 *
 * @module
 */

import { startWebWorker } from "./web_worker.ts";

/** A module whose functions can be called on another thread. */
export interface ThreadModule {
  /** Where it is: its `import.meta.url`. */
  readonly moduleUrl: string;
}

type ArgumentsOf<F> = F extends (...args: infer A) => unknown ? A : never;

type ResultOf<F> = F extends (...args: never[]) => infer T ? Awaited<T> : never;

/** A call of a function that a module exports. */
interface Call {
  readonly url: string;
  readonly name: string;
  readonly args: readonly unknown[];
}

/** What a thread answers: what came of the call, or nothing if it could not be done there. */
interface Answer<T = unknown> {
  readonly value?: T;
  readonly error?: unknown;
}

/** Body of a worker; `answer` and `post` are what it does with a call. The pixels of images are not copied. */
const WORKER_BODY = `
const answer = async ({ url, name, args }) => {
  let call;
  try {
    call = (await import(url))[name];
  } catch {}
  if (typeof call !== "function") return {};
  try {
    return { value: await call(...args) };
  } catch (error) {
    return { error };
  }
};
const reply = async (call, port) => {
  const reply = await answer(call);
  const pixels = reply.value?.data?.buffer;
  try {
    port.postMessage(reply, pixels ? [pixels] : []);
  } catch {
    port.postMessage({});
  }
};
`;

const WEB_WORKER = `${WORKER_BODY}
self.onmessage = ({ data }) => reply(data, self);`;

const NODE_WORKER = `${WORKER_BODY}
const { parentPort, workerData } = process.getBuiltinModule("node:worker_threads");
reply(workerData, parentPort);`;

/** The part of `node:worker_threads` that is used here. */
interface NodeWorkerThreads {
  Worker: new (source: string, options: { eval: true; env: object; workerData: Call }) => {
    on(event: "message", listener: (answer: Answer) => void): void;
    on(event: "error" | "exit", listener: () => void): void;
    terminate(): Promise<number>;
  };
}

/** Calls wait for each other: what they take of memory together is not more than one takes. */
const lane: { last: Promise<unknown> } = { last: Promise.resolve() };

/**
 * Calls a function that a module exports on another thread; on this one where there are no others, or
 * where they cannot load the module.
 *
 * @param name Name of the function. Arguments and results are cloned.
 * @throws What the function throws.
 */
export async function callOnOtherThread<M extends ThreadModule, K extends keyof M & string>(
  module: M,
  name: K,
  ...args: ArgumentsOf<M[K]>
): Promise<ResultOf<M[K]>> {
  const asked = lane.last.then(() => ask({ url: module.moduleUrl, name, args }));
  lane.last = asked;
  const answer = await asked as Answer<ResultOf<M[K]>>;
  if ("error" in answer) throw answer.error;
  if ("value" in answer) return answer.value!;
  const call = module[name] as (...args: ArgumentsOf<M[K]>) => ResultOf<M[K]>;
  return await call(...args);
}

/** The answer of a worker of its own. */
async function ask(call: Call): Promise<Answer> {
  let end: (() => void) | undefined;
  try {
    return await new Promise<Answer>((resolve) => end = startWorker(call, resolve));
  } catch {
    return {};
  } finally {
    end?.();
  }
}

/** Starts a worker. Returns what ends it. */
function startWorker(call: Call, listener: (answer: Answer) => void): () => void {
  if (!("Worker" in globalThis)) {
    const { process } = globalThis as unknown as {
      process: { getBuiltinModule(name: string): NodeWorkerThreads };
    };
    const threads = process.getBuiltinModule("node:worker_threads");
    // By default a worker gets a copy of the environment, which needs a permission.
    const worker = new threads.Worker(NODE_WORKER, { eval: true, env: {}, workerData: call });
    worker.on("message", listener);
    for (const event of ["error", "exit"] as const) worker.on(event, () => listener({}));
    return () => void worker.terminate();
  }
  const worker = startWebWorker<Answer>(WEB_WORKER, {
    onMessage: listener,
    onFailure: () => listener({}),
  });
  worker.postMessage(call);
  return () => worker.terminate();
}
