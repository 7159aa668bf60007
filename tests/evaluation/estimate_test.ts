import { assertAlmostEquals, assertEquals } from "@std/assert";
import {
  addValues,
  halfInterval,
  meanOf,
  NO_VALUES,
  shareInterval,
} from "../../evaluation/estimate.ts";

Deno.test("halfInterval() is 1.96 standard errors, whether values come at once or in parts", () => {
  const values = [2, 4, 4, 4, 5, 5, 7, 9];
  const parts = addValues(addValues(NO_VALUES, values.slice(0, 3)), values.slice(3));
  assertEquals(parts, addValues(NO_VALUES, values));
  assertEquals(meanOf(parts), 5);
  // Squared differences from the mean sum to 32.
  assertAlmostEquals(halfInterval(parts), 1.96 * Math.sqrt(32 / 7 / 8), 1e-12);
  assertEquals(halfInterval(addValues(NO_VALUES, [3])), Infinity);
  assertEquals(halfInterval(addValues(NO_VALUES, [0.1, 0.1, 0.1])), 0);
});

Deno.test("shareInterval() is Wilson's", () => {
  const share = (hits: number, all: number) => {
    const values = Array.from({ length: all }, (_, i) => Number(i < hits));
    return shareInterval(addValues(NO_VALUES, values));
  };
  // Newcombe, Statistics in Medicine 17 (1998), table I, method 3: 81 of 263, 15 of 148, 0 of 20.
  for (
    const [hits, all, low, high] of [
      [81, 263, 0.2553, 0.3662],
      [15, 148, 0.0624, 0.1605],
      [0, 20, 0, 0.1611],
    ] as const
  ) {
    const [actualLow, actualHigh] = share(hits, all);
    assertAlmostEquals(actualLow, low, 1e-4);
    assertAlmostEquals(actualHigh, high, 1e-4);
  }
  assertAlmostEquals(share(20, 20)[0], 1 - 0.1611, 1e-4);
  assertEquals(share(20, 20)[1], 1);
});
