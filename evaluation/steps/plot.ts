// The plot: right tokens against calls of the network, a panel for each guidance scale.

import { halfInterval, meanOf } from "../estimate.ts";
import { GUIDANCES, type Sampler, SAMPLERS, STEPS } from "./grid.ts";
import type { CellScores, Scores } from "./results.ts";

/** Sizes in pixels. */
const WIDTH = 760;
const HEIGHT = 250;
const LEFT = 50;
const TOP = 40;
const PANEL = { width: 212, height: 152, gap: 26 } as const;

/** Where the axes begin and end. */
const CALLS = [4.5, 112] as const;
const SHARES = [0, 1] as const;

/** Colours that are apart in light and dark, and for most people who see few colours. */
const COLORS: Readonly<Record<Sampler, string>> = {
  strided: "#2f7ed8",
  cosine: "#c2435b",
  leading: "#d9822b",
  fast: "#2a9d6f",
  purity: "#b05cc4",
};

/** Shapes of the marks, so that colours are not all that tells samplers apart. */
const MARKS: Readonly<Record<Sampler, (x: number, y: number) => string>> = {
  strided: (x, y) => `M${x - 3} ${y}a3 3 0 1 0 6 0a3 3 0 1 0 -6 0z`,
  cosine: (x, y) => `M${x} ${y + 4}l-4 -7h8z`,
  leading: (x, y) => `M${x - 3} ${y - 3}h6v6h-6z`,
  fast: (x, y) => `M${x} ${y - 4}l4 7h-8z`,
  purity: (x, y) => `M${x} ${y - 4}l4 4l-4 4l-4 -4z`,
};

const STYLE = `
text { font: 12px system-ui, sans-serif; fill: #333 }
.axis { stroke: #888; fill: none }
.grid { stroke: #8884; fill: none }
.line { fill: none; stroke-width: 1.6 }
@media (prefers-color-scheme: dark) { text { fill: #ddd } }
`;

/** The plot as SVG, without a ground of its own. */
export function plotOf({ cells }: Scores): string {
  const panels = GUIDANCES.map((guidance, i) => {
    const left = LEFT + i * (PANEL.width + PANEL.gap);
    const own = cells.filter((cell) => cell.guidance === guidance && cell.tokens.count > 1);
    return [
      ...axes(left, guidance, i === 0),
      ...SAMPLERS.flatMap((sampler) => {
        return series(left, sampler, own.filter((cell) => cell.sampler === sampler));
      }),
    ];
  });
  const title = "Right tokens by calls of the network, for five samplers and three guidance scales";
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img">`,
    `<title>${title}</title>`,
    `<style>${STYLE}</style>`,
    ...legend(),
    ...panels.flat(),
    text(LEFT + 1.5 * PANEL.width + PANEL.gap, HEIGHT - 8, "calls of the network", "middle"),
    "</svg>",
    "",
  ].join("\n");
}

function legend(): string[] {
  return SAMPLERS.flatMap((sampler, i) => {
    const x = LEFT + 6 + i * 90;
    const mark = `<path d="${MARKS[sampler](x, 10)}" fill="${COLORS[sampler]}"/>`;
    return [mark, text(x + 9, 14, sampler)];
  });
}

/** The frame of a panel, its title and its lines. */
function axes(left: number, guidance: number, labelled: boolean): string[] {
  const [right, bottom] = [left + PANEL.width, TOP + PANEL.height];
  const title = guidance === 1 ? "no guidance" : `guidance ${guidance}`;
  const shares = [0, 0.25, 0.5, 0.75, 1].flatMap((share) => {
    const y = yOf(share);
    const line = `<path class="grid" d="M${left} ${y}H${right}"/>`;
    return labelled ? [line, text(left - 6, y + 4, `${100 * share} %`, "end")] : [line];
  });
  const steps = STEPS.flatMap((count) => {
    const x = xOf(left, count);
    const tick = `<path class="axis" d="M${x} ${bottom}v4"/>`;
    return [tick, text(x, bottom + 17, `${count}`, "middle")];
  });
  const frame = `<path class="axis" d="M${left} ${TOP}V${bottom}H${right}"/>`;
  return [text(left + PANEL.width / 2, TOP - 6, title, "middle"), ...shares, frame, ...steps];
}

/** A line with a mark and a 95 % interval at each number of calls. */
function series(left: number, sampler: Sampler, cells: readonly CellScores[]): string[] {
  if (cells.length === 0) return [];
  const points = cells.map(({ calls, tokens }) => {
    const [mean, half] = [meanOf(tokens), halfInterval(tokens)];
    const x = xOf(left, calls);
    const [low, high] = [yOf(Math.max(0, mean - half)), yOf(Math.min(1, mean + half))];
    return { x, y: yOf(mean), low, high };
  }).sort((a, b) => a.x - b.x);
  const line = points.map(({ x, y }) => `${x} ${y}`).join("L");
  const bars = points.map(({ x, low, high }) => `M${x} ${low}V${high}`).join("");
  const marks = points.map(({ x, y }) => MARKS[sampler](x, y)).join("");
  const color = COLORS[sampler];
  return [
    `<path class="line" stroke="${color}" d="M${line}"/>`,
    `<path class="line" stroke="${color}" d="${bars}"/>`,
    `<path fill="${color}" d="${marks}"/>`,
  ];
}

/** Calls on a logarithmic axis. */
function xOf(left: number, calls: number): number {
  const [first, last] = CALLS.map(Math.log) as [number, number];
  return round(left + PANEL.width * (Math.log(calls) - first) / (last - first));
}

function yOf(share: number): number {
  const [low, high] = SHARES;
  return round(TOP + PANEL.height * (high - share) / (high - low));
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}

function text(x: number, y: number, content: string, anchor = "start"): string {
  return `<text x="${x}" y="${y}" text-anchor="${anchor}">${content}</text>`;
}
