// Workers, and how their end is noticed.

import { assertEquals, assertMatch, assertThrows } from "@std/assert";
import { startWebWorker, type WebWorker } from "../../src/base/web_worker.ts";

/** Answers what it is sent; on "close" it ends without telling anyone, on "throw" it fails. */
const ECHO = `self.onmessage = ({ data }) => {
  if (data === "close") return self.close();
  if (data === "throw") throw new Error("it is broken");
  self.postMessage(data);
};`;

/** As `navigator.locks` is in workers that may have none. */
const LOCKS = {
  "are missing": "undefined",
  "are refused": `{ request: () => Promise.reject(new DOMException("no", "SecurityError")) }`,
};

/** A worker, and what is heard of it. */
function listen(source: string): WebWorker & Disposable & { heard(): Promise<string> } {
  const heard: string[] = [];
  let wake = () => {};
  const hear = (text: string) => {
    heard.push(text);
    wake();
  };
  const worker = startWebWorker<string>(source, {
    onMessage: (message) => hear(`message ${message}`),
    onFailure: (reason) => hear(`failure ${reason}`),
  });
  return {
    ...worker,
    async heard() {
      while (heard.length === 0) await new Promise<void>((resolve) => wake = resolve);
      return heard.shift()!;
    },
    [Symbol.dispose]: () => worker.terminate(),
  };
}

/** Locks that are held or asked for. */
async function locks(): Promise<number> {
  const { held = [], pending = [] } = await navigator.locks.query();
  return held.length + pending.length;
}

Deno.test("startWebWorker() tells of messages, and that a worker has ended without a word", async () => {
  using worker = listen(ECHO);
  worker.postMessage("a");
  worker.postMessage("b");
  assertEquals([await worker.heard(), await worker.heard()], ["message a", "message b"]);
  worker.postMessage("close");
  assertEquals(await worker.heard(), "failure it ended without a word");
});

Deno.test("startWebWorker() tells of errors, and of messages that cannot be sent", async () => {
  using worker = listen(ECHO);
  worker.postMessage(() => {});
  assertMatch(await worker.heard(), /^failure DataCloneError: /);
  worker.postMessage("throw");
  // That it has ended may be heard before, but the error is heard in any case.
  const first = await worker.heard();
  const error = first === "failure it ended without a word" ? await worker.heard() : first;
  assertMatch(error, /^failure .*it is broken/);
});

for (const [are, value] of Object.entries(LOCKS)) {
  Deno.test(`startWebWorker() does without locks that ${are}`, async () => {
    const code = `Object.defineProperty(navigator, "locks", { value: ${value} })`;
    using worker = listen(`import "data:text/javascript,${encodeURIComponent(code)}";\n${ECHO}`);
    worker.postMessage("a");
    assertEquals(await worker.heard(), "message a");
    assertEquals(await locks(), 0);
  });
}

Deno.test("startWebWorker() hears no more of a worker that was terminated, and leaves no lock", async () => {
  const heard: unknown[] = [];
  const [onMessage, onFailure] = [heard.push.bind(heard), heard.push.bind(heard)];
  const ready = Promise.withResolvers<void>();
  const first = startWebWorker(ECHO, { onMessage: () => ready.resolve(), onFailure });
  const second = startWebWorker(ECHO, { onMessage, onFailure });
  first.postMessage("a");
  await ready.promise;
  for (const worker of [first, second]) worker.terminate();
  first.postMessage("b");
  second.postMessage("c");
  while (await locks() > 0) await new Promise((resolve) => setTimeout(resolve, 1));
  assertEquals(heard, []);
});

Deno.test("startWebWorker() throws where there are no workers", () => {
  const globals = globalThis as { Worker?: unknown };
  const own = globals.Worker;
  try {
    delete globals.Worker;
    assertThrows(() => listen(ECHO), ReferenceError);
  } finally {
    globals.Worker = own;
  }
});
