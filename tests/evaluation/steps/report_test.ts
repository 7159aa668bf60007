import { assertEquals, assertMatch, assertThrows } from "@std/assert";
import { addValues, NO_VALUES } from "../../../evaluation/estimate.ts";
import type { Cell } from "../../../evaluation/steps/grid.ts";
import { plotOf } from "../../../evaluation/steps/plot.ts";
import { fill, makeReport, wrap } from "../../../evaluation/steps/report.ts";
import type { CellScores, Scores, Times } from "../../../evaluation/steps/results.ts";
import {
  fullTable,
  picturesText,
  shortTable,
  timesText,
} from "../../../evaluation/steps/tables.ts";

const STRIDED: Cell = { sampler: "strided", steps: 10, guidance: 1 };

function scoresOf(cell: Cell, calls: number, tokens: readonly number[]): CellScores {
  return {
    ...cell,
    calls,
    tokens: addValues(NO_VALUES, tokens),
    nearest: addValues(NO_VALUES, tokens.map(() => 1)),
    psnr: addValues(NO_VALUES, [20, 22]),
  };
}

const SCORES: Scores = {
  model: "a model",
  cells: [
    scoresOf(STRIDED, 10, [0.8, 1]),
    scoresOf({ ...STRIDED, guidance: 2 }, 10, [0.5, 0.5, 0.5]),
    scoresOf({ sampler: "fast", steps: 15, guidance: 1 }, 16, [0.25, 0.75]),
    scoresOf({ ...STRIDED, guidance: 5 }, 10, [0.5]),
  ],
};

const TIMES: Times = {
  machine: "a machine",
  backend: "Wasm",
  cells: [{ ...STRIDED, milliseconds: [31, 12, 25] }],
};

Deno.test("fullTable() has means, intervals, median and best time of one guidance scale", () => {
  const cells = fullTable(SCORES, TIMES, 1).split("\n").map((line) => {
    return line.slice(1, -1).split("|").map((cell) => cell.trim());
  });
  assertEquals(cells.length, 4);
  // 1.96 · 0.1 for two values that are 0.2 apart; Wilson for 2 of 2.
  assertEquals(cells[2], [
    "strided",
    "10",
    "10",
    "90.0 % ± 19.6",
    "100.0 % (34–100)",
    "21.0 ± 2.0",
    "25",
    "12",
  ]);
  assertEquals(cells[3]!.slice(0, 4), ["fast", "15", "16", "50.0 % ± 49.0"]);
  assertEquals(cells[3]!.slice(6), ["", ""]);
});

Deno.test("shortTable() has the samplers side by side", () => {
  const [titles, , , line] = shortTable(SCORES, TIMES).split("\n");
  assertMatch(titles!, /^\| steps \| +strided \| cosine \| leading \| fast \| purity \|$/);
  assertMatch(line!, /^\| 10 +\| 90\.0 % ± 19\.6 · 25 ms \|( +\|){4}$/);
});

Deno.test("picturesText() and timesText() say how much was measured", () => {
  assertEquals(
    picturesText(SCORES),
    "Pictures of each line, at least: 2 at guidance 1, 3 at guidance 2, 1 at guidance 5.",
  );
  assertEquals(
    timesText(TIMES),
    "Times: a machine; Wasm; runs of each line: 3, of which the median and the best.",
  );
});

Deno.test("plotOf() draws the interval of each cell that has one, cut at the ends of the axis", () => {
  const bars = [...plotOf(SCORES).matchAll(/d="M[\d.]+ ([\d.]+)V([\d.]+)"/g)];
  // 152 pixels from 100 % at 40 down to 0 %: 70.4 … 109.6 % and 1 … 99 %; guidance 2 has no spread.
  assertEquals(bars.map(([, low, high]) => [low, high]), [
    ["85", "40"],
    ["190.5", "41.5"],
    ["116", "116"],
  ]);
});

Deno.test("fill() replaces the marked parts and nothing else", () => {
  const document = "a\n<!-- steps: x -->\nold\n\nold\n<!-- steps: end -->\nb\n";
  const filled = fill(document, new Map([["x", "new"]]));
  assertEquals(filled, "a\n<!-- steps: x -->\n\nnew\n\n<!-- steps: end -->\nb\n");
  assertEquals(fill(filled, new Map([["x", "new"]])), filled);
  assertThrows(() => fill(document, new Map([["y", "new"]])), RangeError, "expected one of y");
});

Deno.test("wrap() breaks lines before their 101st column", () => {
  const [long, short] = ["a".repeat(60), "b".repeat(39)];
  assertEquals(wrap(`${long} ${short}`), `${long} ${short}`);
  assertEquals(wrap(`${long} ${short}b c`), `${long}\n${short}b c`);
});

Deno.test("documents and plot are those of what was measured", async () => {
  for (const [path, text] of await makeReport()) {
    assertEquals(await Deno.readTextFile(new URL(`../../../${path}`, import.meta.url)), text, path);
  }
});
