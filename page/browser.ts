// Drawing in the browser, by a Web Worker, so that the page never blocks.

import { signal } from "npm:@preact/signals@2.11.4";
import {
  AnswerError,
  type Device,
  type DrawEvent,
  type DrawOptions,
  type Info,
  type Settings,
} from "./api.ts";
import type { DrawerMessage, DrawerRequest } from "./drawer.ts";

/** What draws in the browser; undefined until the model is loaded. */
export const browserDevice = signal<Device | undefined>(undefined);

/** How much of the model is loaded, for people; empty if nothing is being loaded. */
export const loading = signal("");

let worker: Worker | undefined;
let nextId = 1;

function startWorker(): Worker {
  const started = new Worker("/drawer.js", { type: "module" });
  started.addEventListener("message", ({ data }: MessageEvent<DrawerMessage>) => {
    if (data.type === "loading") {
      const [loaded, total] = [data.loaded, data.total].map((bytes) => Math.round(bytes / 1e6));
      loading.value = `Loading the model, ${loaded} of ${total} MB`;
    } else if (data.type === "device") {
      loading.value = "";
      browserDevice.value = data.device;
    }
  });
  return started;
}

/** Messages about one drawing, in their order, until it ends. */
function messagesOf(worker: Worker, id: number) {
  const messages: DrawerMessage[] = [];
  let wake = () => {};
  let failure: Error | undefined;
  const take = ({ data }: MessageEvent<DrawerMessage>) => {
    if (!("id" in data) || data.id !== id) return;
    messages.push(data);
    wake();
  };
  const fail = (event: ErrorEvent) => {
    failure = new Error(`This browser cannot draw: ${event.message || "the worker is missing"}`);
    wake();
  };
  worker.addEventListener("message", take);
  worker.addEventListener("error", fail);
  return {
    async next(): Promise<DrawerMessage> {
      for (;;) {
        const message = messages.shift();
        if (message) return message;
        if (failure) throw failure;
        await new Promise<void>((resolve) => wake = resolve);
      }
    },
    close(): void {
      worker.removeEventListener("message", take);
      worker.removeEventListener("error", fail);
    },
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
  const messages = messagesOf(worker, id);
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
    if (!signal.aborted && browserDevice.value === undefined) {
      worker?.terminate();
      worker = undefined;
    }
    throw error;
  } finally {
    loading.value = "";
    signal.removeEventListener("abort", stop);
    messages.close();
  }
}
