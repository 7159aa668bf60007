// Drawing in the browser, by a Web Worker, so that the page never blocks.

import { signal } from "npm:@preact/signals@2.11.4";
import { startWebWorker, type WebWorker } from "../src/base/web_worker.ts";
import {
  AnswerError,
  type Device,
  type DrawEvent,
  type DrawOptions,
  type Info,
  type Settings,
} from "./api.ts";
import type { DrawerMessage, DrawerRequest, DrawingMessage } from "./drawer.ts";

/** What draws in the browser; undefined until the model is loaded. */
export const browserDevice = signal<Device | undefined>(undefined);

/** How much of the model is loaded, for people; empty if nothing is being loaded. */
export const loading = signal("");

/** Drawings that are not over, by their ids: each takes what the worker tells of it, or why it has failed. */
const listeners = new Map<number, (message: DrawingMessage | Error) => void>();

let worker: WebWorker | undefined;
let nextId = 1;

function startWorker(): WebWorker {
  return startWebWorker<DrawerMessage>(`import "${new URL("/drawer.js", location.href)}";`, {
    onMessage(message) {
      if (message.type === "loading") {
        // It goes on when the drawing is stopped that it was begun for.
        if (listeners.size === 0) return;
        const [loaded, total] = [message.loaded, message.total].map((n) => Math.round(n / 1e6));
        loading.value = `Loading the model, ${loaded} of ${total} MB`;
      } else if (message.type === "device") {
        loading.value = "";
        browserDevice.value = message.device;
      } else listeners.get(message.id)?.(message);
    },
    onFailure(reason) {
      endWorker();
      const error = new Error(`This browser cannot draw: ${reason}`);
      for (const listen of listeners.values()) listen(error);
    },
  });
}

/** Ends the worker; the next drawing has another, which loads the model again. */
function endWorker(): void {
  worker?.terminate();
  worker = undefined;
  browserDevice.value = undefined;
}

/** Messages about one drawing, in their order, until it ends. */
function messagesOf(id: number) {
  const messages: (DrawingMessage | Error)[] = [];
  let wake = () => {};
  listeners.set(id, (message) => {
    messages.push(message);
    wake();
  });
  return {
    /** @throws {Error} If the worker has failed. */
    async next(): Promise<DrawingMessage> {
      while (messages.length === 0) await new Promise<void>((resolve) => wake = resolve);
      const message = messages.shift()!;
      if (message instanceof Error) throw message;
      return message;
    },
    close: () => void listeners.delete(id),
  };
}

/** Draws in this browser, and tells how far it is. */
export async function* drawInBrowser(
  settings: Settings,
  { token, previews, signal }: DrawOptions,
  { browser, parameters }: Info,
): AsyncGenerator<DrawEvent, void, void> {
  worker ??= startWorker();
  const id = nextId++;
  const messages = messagesOf(id);
  const ask = (request: DrawerRequest) => worker?.postMessage(request);
  const stop = () => ask({ type: "stop", id });
  signal.addEventListener("abort", stop);
  try {
    const options = Object.fromEntries(parameters.map(({ name, option }) => [name, option]));
    ask({ type: "draw", id, settings, previews, options, token, dtype: browser?.dtype });
    for (;;) {
      const message = await messages.next();
      if (message.type === "event") yield message.event;
      if (message.type !== "end") continue;
      signal.throwIfAborted();
      const { error, isRefusal } = message;
      if (error === undefined) return;
      throw isRefusal ? new AnswerError(error, 400, undefined) : new Error(error);
    }
  } catch (error) {
    if (!signal.aborted && browserDevice.value === undefined) endWorker();
    throw error;
  } finally {
    loading.value = "";
    signal.removeEventListener("abort", stop);
    messages.close();
  }
}
