// The tables of what was measured.

import { markdownTable, percent } from "../../tools/markdown_table.ts";
import { halfInterval, meanOf, shareInterval } from "../estimate.ts";
import { type Cell, GUIDANCES, isSame, SAMPLERS, STEPS } from "./grid.ts";
import { type CellScores, type Scores, scoresOf, type Times } from "./results.ts";

/** What stands where nothing was measured. */
const NONE = "";

/** Right tokens and time of each sampler by steps, without guidance. */
export function shortTable(scores: Scores, times: Times): string {
  const rows = STEPS.map((steps) => [
    `${steps}`,
    ...SAMPLERS.map((sampler) => {
      const cell = { sampler, steps, guidance: 1 };
      const parts = [tokensText(scoresOf(scores, cell)), timeText(times, cell)];
      return parts.some((part) => part === NONE) ? NONE : `${parts.join(" · ")} ms`;
    }),
  ]);
  return markdownTable(["steps", ...SAMPLERS], rows);
}

/** All that was measured with one guidance scale. */
export function fullTable(scores: Scores, times: Times, guidance: number): string {
  const rows = SAMPLERS.flatMap((sampler) =>
    STEPS.map((steps) => rowOf(scores, times, { sampler, steps, guidance }))
  );
  return markdownTable(
    ["sampler", "steps", "calls", "right tokens", "nearest", "PSNR in dB", "ms", "best ms"],
    rows.filter((row) => row !== undefined),
  );
}

/** How many pictures the scores are of, for each guidance scale. */
export function picturesText({ cells }: Scores): string {
  const counts = GUIDANCES.map((guidance) => {
    const own = cells.filter((cell) => cell.guidance === guidance);
    const fewest = own.length === 0 ? 0 : Math.min(...own.map(({ tokens }) => tokens.count));
    return `${fewest} at guidance ${guidance}`;
  });
  return `Pictures of each line, at least: ${counts.join(", ")}.`;
}

/** Where the times are from. */
export function timesText({ machine, backend, cells }: Times): string {
  const runs = Math.min(...cells.map(({ milliseconds }) => milliseconds.length));
  return `Times: ${machine}; ${backend}; runs of each line: ${runs}, of which the median and the best.`;
}

function rowOf(scores: Scores, times: Times, cell: Cell): string[] | undefined {
  const own = scoresOf(scores, cell);
  if (own.tokens.count === 0) return undefined;
  const [low, high] = shareInterval(own.nearest);
  return [
    cell.sampler,
    `${cell.steps}`,
    `${own.calls}`,
    tokensText(own),
    `${percent(meanOf(own.nearest))} (${(100 * low).toFixed(0)}–${(100 * high).toFixed(0)})`,
    `${meanOf(own.psnr).toFixed(1)} ± ${halfInterval(own.psnr).toFixed(1)}`,
    timeText(times, cell),
    timeText(times, cell, (all) => Math.min(...all)),
  ];
}

function tokensText({ tokens }: CellScores): string {
  if (tokens.count === 0) return NONE;
  return `${percent(meanOf(tokens))} ± ${(100 * halfInterval(tokens)).toFixed(1)}`;
}

function timeText(times: Times, cell: Cell, choose: typeof median = median): string {
  const found = times.cells.find((other) => isSame(other, cell));
  return found === undefined ? NONE : choose(found.milliseconds).toFixed(0);
}

/** The middle one, or the lower of the two in the middle. */
function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.floor((sorted.length - 1) / 2)]!;
}
