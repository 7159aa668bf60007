// What the check of imports stands on.

import { assertEquals } from "@std/assert";
import { circles } from "./circles.ts";

Deno.test("circles() finds files that lead back to themselves, and no others", () => {
  assertEquals(circles([["a", "b"], ["b", "c"], ["a", "c"]]), []);
  assertEquals(circles([["a", "a"], ["a", "b"]]), [["a"]]);
  assertEquals(circles([["a", "b"], ["b", "c"], ["c", "b"], ["c", "d"]]), [["b", "c"]]);
  const two = circles([["a", "b"], ["b", "a"], ["b", "c"], ["c", "d"], ["d", "e"], ["e", "c"]]);
  assertEquals(two.sort(), [["a", "b"], ["c", "d", "e"]]);
  // Two circles through one file are one knot.
  assertEquals(circles([["a", "b"], ["b", "a"], ["a", "c"], ["c", "a"]]), [["a", "b", "c"]]);
});
