import { assertEquals } from "@std/assert";
import { addValues, NO_VALUES } from "../../../evaluation/estimate.ts";
import type { Cell } from "../../../evaluation/steps/grid.ts";
import {
  type CellScores,
  readScores,
  readTimes,
  scoresOf,
  withCell,
  write,
} from "../../../evaluation/steps/results.ts";
import { inTemporaryFolder } from "../../temporary_folder.ts";

const FIRST: Cell = { sampler: "strided", steps: 5, guidance: 1 };
const LAST: Cell = { sampler: "purity", steps: 100, guidance: 5 };

function scored(cell: Cell, tokens: readonly number[]): CellScores {
  const values = addValues(NO_VALUES, tokens);
  return { ...cell, calls: 5, tokens: values, nearest: values, psnr: values };
}

Deno.test("write() keeps cells in the order of the grid, and leaves one file", async () => {
  await inTemporaryFolder(async (folder) => {
    const file = new URL(`file://${folder}/scores.json`);
    assertEquals(await readScores(file), { model: "", cells: [] });
    assertEquals((await readTimes(file)).cells, []);
    const [first, last] = [scored(FIRST, [0.5]), scored(LAST, [0.25])];
    await write({ model: "m", cells: [last, first] }, file);
    assertEquals(await readScores(file), { model: "m", cells: [first, last] });
    assertEquals([...Deno.readDirSync(folder)].map(({ name }) => name), ["scores.json"]);
  });
});

Deno.test("withCell() replaces the cell and no other", () => {
  const before = { model: "m", cells: [scored(FIRST, [0.5]), scored(LAST, [0.25])] };
  const more = scored(FIRST, [0.5, 1]);
  const after = withCell(before, more);
  assertEquals(after.model, "m");
  assertEquals(scoresOf(after, FIRST), more);
  assertEquals(scoresOf(after, LAST), before.cells[1]);
  assertEquals(after.cells.length, 2);
  assertEquals(scoresOf(after, { ...FIRST, steps: 10 }).tokens.count, 0);
});
