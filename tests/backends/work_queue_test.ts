// The order of work, also when whoever submitted it never comes back.

import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import type { Execution } from "../../src/backends/wasm/runner.ts";
import { WorkQueue } from "../../src/backends/wasm/work_queue.ts";

/** A job of several parts; `rest` is waited for between two of them. */
function job(parts: number, rest: () => Promise<void>, onEnd = () => {}): () => Execution {
  return () => {
    let ended: boolean | undefined;
    return {
      get ended() {
        return ended;
      },
      advance() {
        if (ended || --parts > 0) return ended ? undefined : rest();
        ended = true;
        onEnd();
        return undefined;
      },
    };
  };
}

const turn = () => new Promise<void>((resolve) => setTimeout(resolve, 0));

Deno.test("WorkQueue does at once what nothing comes before", async () => {
  const queue = new WorkQueue();
  const log: string[] = [];
  queue.defer(() => void log.push("deferred"));
  const called = queue.call(() => log.push("called"));
  const run = queue.run(job(1, turn, () => log.push("run")));
  assertEquals(log, ["deferred", "called", "run"]);
  assertEquals(queue.idle, true);
  assertEquals([await called, await run], [2, true]);
});

Deno.test("WorkQueue keeps the order of what was submitted", async () => {
  const queue = new WorkQueue();
  const log: string[] = [];
  const work = [
    queue.run(job(9, turn, () => log.push("first"))),
    queue.run(job(2, turn, () => log.push("second"))),
    queue.call(() => log.push("third")),
  ];
  queue.defer(() => void log.push("fourth"));
  work.push(queue.run(job(1, turn, () => log.push("fifth"))));
  assertEquals(queue.idle, false);
  assertEquals(log, []);
  await Promise.all(work);
  assertEquals(log, ["first", "second", "third", "fourth", "fifth"]);
  assertEquals(queue.idle, true);
});

Deno.test("WorkQueue does deferred work with the end of what comes before, without a caller", async () => {
  const queue = new WorkQueue();
  let done = 0;
  const run = queue.run(job(2, turn));
  for (let i = 0; i < 20_000; i++) queue.defer(() => void done++);
  await run;
  assertEquals([done, queue.idle], [20_000, true]);
});

Deno.test("WorkQueue goes on without callers that never come back", async () => {
  const queue = new WorkQueue();
  const log: string[] = [];
  let dead = true;
  // As in a request that was ended: its own promises are never settled.
  const rest = () => dead ? new Promise<void>(() => {}) : turn();
  void queue.run(job(4, rest, () => log.push("abandoned")));
  queue.defer(() => void log.push("its write"));
  dead = false;
  await queue.run(job(2, turn, () => log.push("another")));
  assertEquals(log, ["abandoned", "its write", "another"]);
  assertEquals(queue.idle, true);
});

Deno.test("WorkQueue passes errors to their callers alone, and those of deferred work to all", async () => {
  const queue = new WorkQueue();
  const fail = (text: string) => () => {
    throw new Error(text);
  };
  const first = queue.run(job(2, turn));
  const failed = queue.call(fail("call"));
  const started = queue.run(fail("start"));
  await Promise.all([
    first,
    assertRejects(() => failed, Error, "call"),
    assertRejects(() => started, Error, "start"),
  ]);
  assertEquals(await queue.run(job(2, turn)), true);
  assertThrows(() => queue.defer(fail("at once")), Error, "at once");
  const before = queue.run(job(2, turn));
  queue.defer(fail("write"));
  const after = queue.run(job(1, turn));
  await Promise.all([before, assertRejects(() => after, Error, "write")]);
  await assertRejects(() => queue.call(() => {}), Error, "write");
});

Deno.test("WorkQueue.end() comes after all that was submitted, also if deferred work has failed", async () => {
  const queue = new WorkQueue();
  const log: string[] = [];
  const before = queue.run(job(3, turn, () => log.push("before")));
  queue.defer(() => {
    throw new Error("write");
  });
  const ended = queue.end(() => void log.push("end"));
  await Promise.all([before, ended]);
  assertEquals(log, ["before", "end"]);
  await assertRejects(() => queue.call(() => {}), Error, "write");
});

Deno.test("WorkQueue.defer() does what relies on nothing also after deferred work has failed", async () => {
  const queue = new WorkQueue();
  const before = queue.run(job(3, turn));
  let released = 0;
  queue.defer(() => void released++, { always: true });
  queue.defer(() => {
    throw new Error("write");
  });
  queue.defer(() => void released++, { always: true });
  queue.defer(() => void (released = NaN));
  await before;
  assertEquals(released, 2);
});
