// Texts of files and callers in errors: quoted, cut, and without what could steer a terminal.

import { assert, assertEquals } from "@std/assert";
import { describeJson, describeName, describeValue, escapeControls } from "../../src/base/check.ts";
import { formatShape } from "../../src/base/format.ts";

/** Steers a terminal in many ways: escapes of both sets, a bell, a turn of direction. */
const HOSTILE = "\x1b[2J\x9b31m\x07\u202e\x7f\u2066\r";

// deno-lint-ignore no-control-regex -- that is what is looked for
const STEERING = /[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]/;

Deno.test("escapeControls() writes control characters as JSON does", () => {
  assertEquals(escapeControls("a\n\tb"), "a\n\tb");
  const escaped = escapeControls(HOSTILE);
  assert(!STEERING.test(escaped), escaped);
  assertEquals(JSON.parse(`"${escaped}"`), HOSTILE);
});

Deno.test("describeValue(), describeName() and describeJson() give short texts of whatever a file holds", () => {
  let deep: unknown = [];
  for (let i = 0; i < 100_000; i++) deep = [deep];
  const circle: unknown[] = [];
  circle.push(circle);
  const values: unknown[] = [
    ...[HOSTILE, HOSTILE.repeat(1000), deep, circle, { circle }, Object.create(null)],
    JSON.parse(`{"constructor": {"name": ${JSON.stringify(HOSTILE)}}, "toString": 1, "x": []}`),
    JSON.parse(`{"__proto__": {"constructor": 5}}`),
    { [HOSTILE.repeat(100)]: HOSTILE.repeat(100) },
    Object.fromEntries(Array.from({ length: 10_000 }, (_, i) => [`key${i}`, i])),
    ...[null, undefined, 5, 5n, NaN, true, Symbol("x"), () => 5],
  ];
  for (const value of values) {
    for (const describe of [describeValue, describeName, describeJson]) {
      const text = describe(value);
      assert(text.length < 1000 && !STEERING.test(text), text.slice(0, 2000));
    }
  }
});

Deno.test("formatShape() cuts shapes of many dimensions", () => {
  assertEquals(formatShape([2, "rows"]), "(2, rows)");
  const text = formatShape(Array(1000).fill(1));
  assert(text.endsWith("… 984 more)") && text.length < 100, text);
});
