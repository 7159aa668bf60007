// Sorting in parts gives what Array.sort gives.

import { assert, assertEquals } from "@std/assert";
import { atOnce, inTurns } from "../../src/base/pauses.ts";
import { sorted } from "../../src/base/sort.ts";
import { Dice } from "../checkpoints/mutations.ts";
import { countTurns } from "../turns.ts";

Deno.test("sorted() sorts as Array.sort() does, and keeps the order of equal items", () => {
  for (const count of [0, 1, 2, 8192, 8193, 30_000]) {
    const dice = new Dice(count);
    const items = Array.from({ length: count }, (_, place) => ({ key: dice.below(1000), place }));
    const compare = (a: { key: number }, b: { key: number }) => a.key - b.key;
    assertEquals(atOnce(sorted(items, compare)), items.toSorted(compare));
    assert(items.every(({ place }, i) => place === i));
  }
});

Deno.test("sorted() lets the event loop turn", async () => {
  const items = Array.from({ length: 2 ** 17 }, (_, i) => -i);
  const turns = await countTurns(() => inTurns(sorted(items, (a, b) => a - b)));
  assert(turns >= 16 + 4 * 16, `${turns} turns`);
});
