// The paper's headline: how many times as fast as an autoregressive sampler ours is.

import { markdownTable } from "../../tools/markdown_table.ts";
import type { Bench, Setting } from "../bench.ts";
import { type Costs, estimateCosts, measureCosts, type Work } from "../headline.ts";
import { ITHQ, SMALL, type TransformerSize } from "../random_transformer.ts";

/** A transformer in between. */
const MEDIUM: TransformerSize = { ...SMALL, layers: 12, heads: 8, headDim: 64, context: 512 };

/** Layers of the ithq model that are measured; the others cost as much. */
const ITHQ_LAYERS = [1, 3] as const;

/** Steps of ours. */
const STEPS = [100, 25, 10] as const;

/** One line of the table. */
interface Case {
  readonly size: TransformerSize;
  readonly batch: number;
  /** Numbers of layers to measure, if the whole model is too slow. */
  readonly layers?: readonly [number, number];
}

/** Compares with an autoregressive sampler of the same size, and prints a table. */
export async function headline({ settings, dtypes, runs, quick }: Bench): Promise<void> {
  for (const setting of settings) {
    const lines: string[][] = [];
    for (const each of quick ? quickCases() : allCases()) {
      for (const dtype of dtypes) {
        const costs = await measure(setting, { ...each, dtype }, each.layers, runs);
        lines.push(lineOf({ ...each, dtype }, costs));
        console.error(lines.at(-1)!.join(" | "));
      }
    }
    const title = `Seconds for an image, ${setting.backend.device.name}; AR is autoregressive`;
    console.log(`\n${title}\n\n${markdownTable(TITLES, lines)}\n${EXPLANATION}`);
  }
}

const TITLES: readonly string[] = [
  "transformer",
  "weights",
  "tokens",
  "batch",
  "AR",
  "AR, cache",
  "of it attention",
  ...STEPS.map((steps) => `${steps} steps`),
  "AR / 25 steps",
  "AR, cache / 25 steps",
];

const EXPLANATION = `
AR: a pass over all tokens so far for each token; with a cache of keys and values, a pass over one token.
Their tokens are measured at five positions, from which the sum is computed. "of it attention": what
the cache costs, beyond passes over one token each. Prompt and decoding, which are the same, are not in
it, nor is guidance, which doubles all. Estimated: from models of
${ITHQ_LAYERS.join(" and ")} layers.`;

function allCases(): Case[] {
  const sides = [8, 16, 32];
  const measured = [SMALL, MEDIUM].flatMap((size) =>
    sides.flatMap((side) => [1, 4, 8].map((batch): Case => ({ size: { ...size, side }, batch })))
  );
  return [...measured, { size: ITHQ, batch: 1, layers: ITHQ_LAYERS }];
}

function quickCases(): Case[] {
  return [8, 16].map((side): Case => ({ size: { ...SMALL, side }, batch: 1 }));
}

async function measure(
  { backend }: Setting,
  work: Work,
  layers: readonly [number, number] | undefined,
  rounds: number,
): Promise<Costs> {
  if (layers === undefined) return await measureCosts(backend, work, rounds);
  return await estimateCosts(backend, work, rounds, layers);
}

function lineOf({ size, batch, dtype }: Work, costs: Costs): string[] {
  const { withoutCache, withCache, withEmptyCache, step } = costs;
  const seconds = (milliseconds: number) => digits(milliseconds / batch / 1000, 3);
  const ratio = (milliseconds: number) => digits(milliseconds / (25 * step), 2);
  const share = Math.max(0, 1 - withEmptyCache / withCache);
  return [
    `${size.heads * size.headDim} × ${size.layers}${size === ITHQ ? ", estimated" : ""}`,
    dtype,
    `${size.side ** 2}`,
    `${batch}`,
    seconds(withoutCache),
    seconds(withCache),
    `${(100 * share).toFixed(0)} %`,
    ...STEPS.map((steps) => seconds(steps * step)),
    ratio(withoutCache),
    ratio(withCache),
  ];
}

/** So many digits, or all before the point. */
function digits(value: number, count: number): string {
  return value >= 10 ** (count - 1) ? value.toFixed(0) : value.toPrecision(count);
}
