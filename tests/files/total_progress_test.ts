// Sums over the progress of files.

import { assertEquals } from "@std/assert";
import type { LoadEvent } from "../../src/files/progress.ts";
import { TotalProgress } from "../../src/files/total_progress.ts";
import { withinBounds } from "../within.ts";

/** The sums that are reported. */
function sums(): { total: TotalProgress; reported: (readonly [loaded: number, total: number])[] } {
  const reported: (readonly [number, number])[] = [];
  const total = new TotalProgress((event) => {
    if (event.type === "total") reported.push([event.loaded, event.total]);
  });
  return { total, reported };
}

Deno.test("TotalProgress adds up files that are expected, begun, begun again and done", () => {
  const { total, reported } = sums();
  total.expect("a", 100);
  const events: readonly LoadEvent[] = [
    { type: "progress", file: "b", loaded: 1, total: 10 },
    { type: "progress", file: "a", loaded: 40, total: 100 },
    { type: "progress", file: "a", loaded: 20, total: 90 },
    { type: "progress", file: "c", loaded: 5, total: undefined },
    { type: "done", file: "c" },
    { type: "done", file: "b" },
  ];
  for (const event of events) total.onProgress(event);
  total.expect("a", 1000);
  total.onProgress({ type: "done", file: "a" });
  assertEquals(reported, [[1, 110], [41, 110], [21, 100], [30, 100], [100, 100]]);
});

Deno.test("TotalProgress takes no longer for an event where there are many files", async () => {
  const { total, reported } = sums();
  const count = 100_000;
  await withinBounds("adding up 100 000 files", () => {
    for (let i = 0; i < count; i++) total.expect(`${i}`, 2);
    for (let i = 0; i < count; i++) {
      total.onProgress({ type: "progress", file: `${i}`, loaded: 1, total: 2 });
    }
  });
  assertEquals(reported.at(-1), [count, 2 * count]);
});
