// Parsing JSON in parts gives what JSON.parse gives.

import { assert, assertEquals, assertThrows } from "@std/assert";
import { type JsonTable, parseJson } from "../../src/base/json.ts";
import { atOnce, inTurns } from "../../src/base/pauses.ts";
import { damagedText, Dice } from "../checkpoints/mutations.ts";
import { countTurns } from "../turns.ts";

/** Longer than any piece that is parsed at once. */
const LONG = 2 ** 16 + 1;

const KEYS = ["a", "b", "", "0", "10", "7", "-1", "__proto__", "constructor", 'q"\\', "é\u2028"];

const blank = (dice: Dice) => dice.below(8) ? "" : dice.pick([" ", "\n\t", "\r\n  "]);

/** Long, so that a few members make a piece. */
const LETTERS = 'x,]}:{["\\é'.repeat(2000);

function scalar(dice: Dice): string {
  const numbers = ["0", "-0", "1.5e3", "-12", "1e999", "9007199254740993"];
  const string = () =>
    JSON.stringify(LETTERS.slice(0, dice.below(dice.pick([10, LETTERS.length]))));
  return dice.below(2) ? string() : dice.pick([...numbers, "true", "false", "null", '"\\ud800"']);
}

/** The text of a value, with keys that occur twice and blanks everywhere. */
function value(dice: Dice, depth: number): string {
  const kind = depth === 0 ? 0 : dice.below(4);
  if (kind < 2) return scalar(dice);
  const members = Array.from({ length: dice.below(6) }, () => {
    const member = blank(dice) + value(dice, depth - 1) + blank(dice);
    if (kind === 2) return member;
    return `${blank(dice)}${JSON.stringify(dice.pick(KEYS))}${blank(dice)}:${member}`;
  });
  const inner = members.length > 0 ? members.join(",") : blank(dice);
  return kind === 2 ? `[${inner}]` : `{${inner}}`;
}

/** A document of several pieces. */
function long(dice: Dice): string {
  const [open, close, key] = dice.below(2) ? ["[", "]", ""] : ["{", "}", '"'];
  const members: string[] = [];
  for (let length = 0; length < LONG * 2;) {
    const name = dice.below(3) ? dice.pick(KEYS) : `key ${members.length}`;
    const member = (key && `${JSON.stringify(name)}:`) + value(dice, 4);
    members.push(blank(dice) + member + blank(dice));
    length += member.length;
  }
  return blank(dice) + open + members.join(",") + close + blank(dice);
}

/** What a parser makes of a text: in another text, which tells −0 and the order of keys too. */
function outcome(parse: () => unknown): string {
  let parsed: unknown;
  try {
    parsed = parse();
  } catch (error) {
    assert(error instanceof SyntaxError, String(error));
    return "a SyntaxError";
  }
  return JSON.stringify(parsed, (_, value) => Object.is(value, -0) ? "minus zero" : value);
}

function assertSame(text: string, what: string): void {
  const expected = outcome(() => JSON.parse(text));
  // Not assertEquals, which would print megabytes.
  assert(outcome(() => atOnce(parseJson(text))) === expected, `${what}, of ${text.length} units`);
}

Deno.test("parseJson() gives what JSON.parse() gives of long texts", () => {
  for (let seed = 0; seed < 200; seed++) {
    const text = long(new Dice(seed));
    assert(outcome(() => JSON.parse(text)) !== "a SyntaxError");
    assertSame(text, `seed ${seed}`);
  }
});

Deno.test("parseJson() refuses what JSON.parse() refuses of long texts", () => {
  let refused = 0;
  for (let seed = 0; seed < 300; seed++) {
    const dice = new Dice(seed);
    const text = damagedText(long(dice), dice);
    if (text.includes("[".repeat(5000))) continue; // has a test of its own
    if (outcome(() => JSON.parse(text)) === "a SyntaxError") refused++;
    assertSame(text, `seed ${seed}`);
  }
  assert(refused > 100 && refused < 300, `${refused} refused`);
});

Deno.test("parseJson() refuses what pieces of a text could hide", () => {
  const many = Array.from({ length: LONG / 4 }, (_, i) => i).join();
  const members = Array.from({ length: LONG / 8 }, (_, i) => `"${i}":${i}`).join();
  const texts = [
    ...[`[${many},]`, `[,${many}]`, `[${many},,${many}]`, `[${many}}`, `[${many}`, `[${many}]]`],
    ...[`[${many}] 1`, `1 [${many}]`, `[${many}],`, `,[${many}]`, `[[${many}] 1]`, `[1 [${many}]]`],
    ...[`[[${many}][${many}]]`, `[[${many}],]`, `[[${many}]1,2]`, `[,[${many}]]`, `[5[${many}]]`],
    ...[`{${members},}`, `{${members},"a"}`, `{"a":{${members}},}`, `{"a"{${members}}}`],
    ...[`{{${members}}}`, `{1:{${members}}}`, `{"a":5{${members}}}`, `{"a":-[${many}]}`],
    ...[`{"a":"b":[${many}]}`, `{"a":[${many}]"b":1}`, `{"a":[${many}],"b"}`, `[${members}]`],
    ...[
      `{${many}}`,
      `[${many}"]`,
      `["${many}`,
      `["${many}\\"]`,
      `[${many},\u00a01]`,
      `\ufeff[${many}]`,
    ],
    ...[`["${"\n".repeat(LONG)}"]`, `"${many}`, `${many}`, `[${many}.]`, `[1${" ".repeat(LONG)}2]`],
  ];
  for (const text of texts) {
    assertEquals(outcome(() => JSON.parse(text)), "a SyntaxError", text.slice(0, 20));
    assertSame(text, `${text.slice(0, 20)}…${text.slice(-10)}`);
  }
  const sound = [
    ...[
      `[${" ".repeat(LONG)}]`,
      `{${" ".repeat(LONG)}}`,
      `["${many}"]`,
      `"${many}"`,
      ` [${many}]\n`,
    ],
    ...[`[[${many}] ]`, `[[${many}] , 1]`, `{"a" : [${many}] , "a" : 1}`, `{"a":{${members}}}`],
    ...[
      `[[[${many}]],[[${many}]]]`,
      `[1,[${many}],[${many}],2]`,
      `[${`"\\\\\\"",`.repeat(LONG)}1]`,
    ],
  ];
  for (const text of sound) {
    assert(outcome(() => JSON.parse(text)) !== "a SyntaxError", text.slice(0, 20));
    assertSame(text, `${text.slice(0, 20)}…${text.slice(-10)}`);
  }
});

Deno.test("parseJson() makes __proto__ a property like any other", () => {
  const members = Array.from({ length: LONG / 8 }, (_, i) => `"k${i}":${i}`).join();
  for (const inner of ["1", `{${members}}`]) {
    const text = `{${members},"__proto__":${inner},"toString":${inner}}`;
    const parsed = atOnce(parseJson(text)) as object;
    assertEquals(Object.getPrototypeOf(parsed), Object.prototype);
    assertEquals(Object.keys(parsed).slice(-2), ["__proto__", "toString"]);
  }
});

Deno.test("parseJson() refuses long texts that are nested deeper than any file", () => {
  const nested = (depth: number) => "[".repeat(depth) + "1,".repeat(LONG) + "1" + "]".repeat(depth);
  assertSame(nested(1000), "1000 levels");
  assertThrows(() => atOnce(parseJson(nested(1001))), SyntaxError, "more than 1000 levels");
});

Deno.test("parseJson() gives tables as maps, whatever their length", () => {
  const table = (count: number) =>
    Array.from({ length: count }, (_, i) => [`${9e6 - i}`, i] as const);
  for (const count of [0, 3, LONG]) {
    const entries = [...table(count), ["__proto__", 1] as const];
    const members = `{${entries.map(([key, value]) => `"${key}":${value}`).join()},"__proto__":2}`;
    const expected = new Map([...table(count), ["__proto__", 2]]);
    const parse = (text: string, ...tables: JsonTable[]) => atOnce(parseJson(text, tables));
    const parsed = parse(members, { path: [] });
    assert(parsed instanceof Map);
    assertEquals(parsed.size, expected.size);
    assert([...parsed].every(([key, value]) => expected.get(key) === value));
    const inner = parse(`{"b":{"d":${members}},"a":{"a":[1],"b":${members}},"a.b":{}}`, {
      path: ["a", "b"],
    });
    const { a, b, ...others } = inner as { a: { a: unknown; b: unknown }; b: { d: unknown } };
    assertEquals(a.a, [1]);
    assert(a.b instanceof Map && a.b.size === expected.size);
    assert(!(b.d instanceof Map));
    assertEquals(others, { "a.b": {} });
    const both = parse(`{"a":${members}}`, { path: [] }, { path: ["a"] });
    assert(both instanceof Map && both.get("a") instanceof Map);
    const numbers = parse(members, { path: [], byNumber: true });
    assert(numbers instanceof Map && [...numbers].every(([key]) => typeof key === "number"));
    assertEquals(numbers.get(9e6), count > 0 ? 0 : undefined);
  }
  for (const text of ["[]", "1", "null", '{"a":1}', '{"a":[{"b":1}]}']) {
    assertEquals(atOnce(parseJson(text, [{ path: ["a", "b"] }])), JSON.parse(text));
  }
});

Deno.test("parseJson() lets the event loop turn", async () => {
  const text = JSON.stringify(Array.from({ length: 100_000 }, (_, i) => ({ [`k${i}`]: [i] })));
  const pieces = Math.floor(text.length / 2 ** 17);
  for (const long of [text, `{"a":${text}}`, `[[${text}]]`, `["${"x".repeat(2 ** 25)}"]`]) {
    const turns = await countTurns(() => inTurns(parseJson(long)));
    assert(turns >= Math.min(pieces, 30), `${turns} turns`);
  }
});
