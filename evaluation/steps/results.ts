// What was measured, in files beside this one, which tables and plot are made of.

import { NO_VALUES, type Sums } from "../estimate.ts";
import { allCells, type Cell, isSame } from "./grid.ts";

/** How good the pictures of a cell are. */
export interface CellScores extends Cell {
  /** Calls of the network for a picture. */
  readonly calls: number;
  /** Share of a picture's tokens that are right, of those where something is to be seen. */
  readonly tokens: Sums;
  /** 1 for a picture that is nearer to its own drawing than to all others, else 0. */
  readonly nearest: Sums;
  /** Peak signal-to-noise ratio to the drawing, in decibels. */
  readonly psnr: Sums;
}

/** How long a picture of a cell takes. */
export interface CellTimes extends Cell {
  /** Milliseconds of each run, in order. */
  readonly milliseconds: readonly number[];
}

/** All scores, of one model. */
export interface Scores {
  /** What tells its weights from others. */
  readonly model: string;
  readonly cells: readonly CellScores[];
}

/** All times, of one machine. */
export interface Times {
  /** The machine, in words. */
  readonly machine: string;
  /** The backend, in its own words. */
  readonly backend: string;
  readonly cells: readonly CellTimes[];
}

/** Where scores are kept. */
export const SCORES_FILE: URL = new URL("scores.json", import.meta.url);
/** Where times are kept. */
export const TIMES_FILE: URL = new URL("times.json", import.meta.url);

/** Reads the scores; none if there is no file. */
export async function readScores(file: URL = SCORES_FILE): Promise<Scores> {
  return await readJson(file) as Scores | undefined ?? { model: "", cells: [] };
}

/** Reads the times; none if there is no file. */
export async function readTimes(file: URL = TIMES_FILE): Promise<Times> {
  return await readJson(file) as Times | undefined ?? { machine: "", backend: "", cells: [] };
}

/** Writes scores or times, in the order of {@linkcode allCells}. */
export async function write(results: Scores | Times, file: URL): Promise<void> {
  const order = allCells();
  const place = (cell: Cell) => order.findIndex((other) => isSame(cell, other));
  const cells = [...results.cells].sort((a, b) => place(a) - place(b));
  // In one go: what took an hour must not be lost to a kill in the middle of a file.
  const part = new URL(`${file}.part`);
  await Deno.writeTextFile(part, `${JSON.stringify({ ...results, cells }, null, 2)}\n`);
  await Deno.rename(part, file);
}

/** The scores of a cell; without pictures if there are none. */
export function scoresOf({ cells }: Scores, cell: Cell): CellScores {
  const empty = { calls: 0, tokens: NO_VALUES, nearest: NO_VALUES, psnr: NO_VALUES };
  return cells.find((other) => isSame(other, cell)) ?? { ...cell, ...empty };
}

/** The scores with those of a cell replaced. */
export function withCell({ model, cells }: Scores, cell: CellScores): Scores {
  return { model, cells: [...cells.filter((other) => !isSame(other, cell)), cell] };
}

async function readJson(file: URL): Promise<unknown> {
  try {
    return JSON.parse(await Deno.readTextFile(file));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}
