// How `deno task ok` counts.

import { assertEquals } from "@std/assert";
import { countTests } from "../../tools/ok.ts";

Deno.test("countTests() sums the summaries of all runs, and nothing that tests print", () => {
  const output = `
running 2 tests from ./tests/a_test.ts
prints a summary ... ok | 9 passed | 9 failed
a ... ok (1ms)

ok | 728 passed (31 steps) | 0 failed (4m9s)

FAILED | 5 passed (2 steps) | 1 failed (1 step) | 3 ignored (888ms)
ok | 0 passed | 0 failed | 2 ignored (1s)
`;
  assertEquals(countTests(output), { passed: 733, failed: 1, skipped: 5 });
  assertEquals(countTests("error: Type checking failed."), { passed: 0, failed: 0, skipped: 0 });
});
