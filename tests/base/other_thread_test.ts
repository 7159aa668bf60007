// Functions that are called on another thread, and on this one where there are none.

import { assertEquals, assertRejects } from "@std/assert";
import { callOnOtherThread } from "../../src/base/other_thread.ts";
import * as functions from "./thread_functions.ts";

type Globals = { Worker?: unknown };
const globals = globalThis as Globals;

/** Does something while `Worker` is another class, or none. */
async function withWorker(Worker: unknown, work: () => Promise<void>): Promise<void> {
  const own = globals.Worker;
  try {
    if (Worker) globals.Worker = Worker;
    else delete globals.Worker;
    await work();
  } finally {
    globals.Worker = own;
  }
}

for (const [kind, Worker] of Object.entries({ "the web's": globals.Worker, "Node's": undefined })) {
  Deno.test(`callOnOtherThread() calls a function in a worker of ${kind} kind`, async () => {
    await withWorker(Worker, async () => {
      functions.setPlace("here");
      assertEquals(await callOnOtherThread(functions, "placeAnd", 3), ["elsewhere", 3]);
      assertEquals(functions.placeAnd(3), ["here", 3]);
      const data = await callOnOtherThread(functions, "pixels", 5);
      assertEquals(data, { data: new Uint8ClampedArray(5) });
    });
  });

  Deno.test(`callOnOtherThread() throws what a function in a worker of ${kind} kind throws`, async () => {
    await withWorker(Worker, async () => {
      await assertRejects(() => callOnOtherThread(functions, "fail"), RangeError, "too wide");
    });
  });

  Deno.test(`callOnOtherThread() calls a function here that a worker of ${kind} kind cannot find`, async () => {
    await withWorker(Worker, async () => {
      functions.setPlace("here");
      for (
        const moduleUrl of [
          "data:text/javascript,throw 1",
          new URL("../turns.ts", import.meta.url).href,
        ]
      ) {
        const module = { ...functions, moduleUrl };
        assertEquals(await callOnOtherThread(module, "placeAnd", 3), ["here", 3]);
        await assertRejects(() => callOnOtherThread(module, "fail"), RangeError, "too wide");
      }
      assertEquals(await callOnOtherThread(functions, "uncloneable"), functions.uncloneable());
    });
  });

  Deno.test(`callOnOtherThread() calls a function here when a worker of ${kind} kind ends silently`, async () => {
    await withWorker(Worker, async () => {
      functions.setPlace("here");
      assertEquals(await callOnOtherThread(functions, "endSilently"), "here");
    });
  });
}

Deno.test("callOnOtherThread() calls a function here where there are no workers", async () => {
  functions.setPlace("here");
  class None {
    constructor() {
      throw new TypeError("no workers");
    }
  }
  await withWorker(None, async () => {
    assertEquals(await callOnOtherThread(functions, "placeAnd", 3), ["here", 3]);
  });
});

Deno.test("callOnOtherThread() has one worker at a time, also after a failure", async () => {
  const Own = globals.Worker as typeof globalThis.Worker;
  let [running, most] = [0, 0];
  class Counted extends Own {
    constructor(...args: ConstructorParameters<typeof Own>) {
      super(...args);
      most = Math.max(most, ++running);
    }

    override terminate() {
      running--;
      super.terminate();
    }
  }
  await withWorker(Counted, async () => {
    const calls = [0, 1, 2].map((i) => callOnOtherThread(functions, "placeAnd", i));
    const failed = assertRejects(() => callOnOtherThread(functions, "fail"), RangeError);
    const last = callOnOtherThread(functions, "placeAnd", 3);
    const results = await Promise.all([...calls, last]);
    await failed;
    assertEquals(results, [0, 1, 2, 3].map((i) => ["elsewhere", i]));
  });
  assertEquals([running, most], [0, 1]);
});
