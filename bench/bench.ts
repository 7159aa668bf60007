// What all sections share: the settings to measure, and measuring one thing with all of them.

import type { WeightDType } from "../src/base/dtypes.ts";
import type { Backend } from "../src/backends/backend.ts";
import type { SimdVariant } from "../src/backends/wasm/kernels.ts";
import type { Limits } from "./limit.ts";
import type { Peer } from "./peers/peer.ts";
import { total, type Work } from "./random_transformer.ts";
import type { Row, Table } from "./table.ts";
import { type Contestant, contestant, largestDifference, race } from "./timing.ts";

/** A backend to measure, and what its arithmetic can give at most. */
export interface Setting {
  readonly backend: Backend;
  readonly simd: SimdVariant;
  readonly threads: number;
  readonly limits: Limits;
}

/** What sections measure with. */
export interface Bench {
  readonly settings: readonly Setting[];
  readonly dtypes: readonly WeightDType[];
  /** Rounds, of which the best counts. */
  readonly runs: number;
  /** Whether sections that take long measure less. */
  readonly quick: boolean;
  /** Programs of others to run beside. */
  readonly peers: readonly Peer[];
  readonly table: Table;
}

/** A part of the bench: prints its lines. */
export type Section = (bench: Bench) => Promise<void>;

/** A contestant and what the table says about it. */
export interface Entry {
  readonly contestant: Contestant;
  /** The peer that it is; undefined for ours. */
  readonly peer?: Peer;
  /** What it is called. Default: by the peer, or `"ours"`. */
  readonly by?: string;
  /** The setting of ours. */
  readonly setting?: Setting;
  readonly dtype: WeightDType;
  readonly threads: number;
}

/** What {@linkcode entries} needs of a thing to measure. */
export interface Runnable {
  run(): unknown;
  output?(): Promise<Float32Array>;
}

/**
 * Our entries: one for each setting and type of weights.
 *
 * @param make Prepares a run; what it puts on the stack is disposed of with it.
 */
export async function entries(
  { settings, dtypes }: Pick<Bench, "settings" | "dtypes">,
  make: (backend: Backend, dtype: WeightDType) => Runnable | Promise<Runnable>,
): Promise<Entry[]> {
  const made: Entry[] = [];
  for (const setting of settings) {
    for (const dtype of dtypes) {
      const { run, output } = await make(setting.backend, dtype);
      made.push({ contestant: contestant(run, output), setting, dtype, threads: setting.threads });
    }
  }
  return made;
}

/** Largest difference of float32 results, relative to the largest number, that may be rounding. */
const TOLERANCE = 1e-3;

/**
 * Measures the entries in alternation and prints a line for each.
 *
 * @param what What they do; each of them the same.
 * @param work Arithmetic of one run, if it makes sense to tell.
 * @throws {Error} If a peer computes something else.
 */
export async function measure(
  { table, runs }: Pick<Bench, "table" | "runs">,
  what: string,
  work: Work | undefined,
  entries: readonly Entry[],
): Promise<void> {
  const times = await race(entries.map(({ contestant }) => contestant), runs);
  const memory = await peakMemory(entries);
  const outputs: (Float32Array | undefined)[] = [];
  for (const { contestant } of entries) outputs.push(await contestant.output?.());
  for (const [i, entry] of entries.entries()) {
    const difference = i > 0 && outputs[0] && outputs[i]
      ? largestDifference(outputs[0], outputs[i])
      : undefined;
    if (difference !== undefined) expectRounding(what, entries[0]!, entry, difference, outputs[0]!);
    table.print({
      what: i === 0 ? what : "",
      ...describe(entry, times[i]!, work),
      ...(memory[i] !== undefined && { memory: memory[i] }),
      ...(difference !== undefined && { difference }),
      ...(!entry.peer && { ratios: ratios(entries, times, entry, times[i]!) }),
    });
  }
}

/** Of each entry, where all are processes of their own. */
async function peakMemory(entries: readonly Entry[]): Promise<readonly (number | undefined)[]> {
  if (!entries.every(({ contestant }) => contestant.peakMemory)) return [];
  return await Promise.all(entries.map(({ contestant }) => contestant.peakMemory!()));
}

function describe(entry: Entry, milliseconds: number, work: Work | undefined): Omit<Row, "what"> {
  const { peer, by = peer?.name ?? "ours", setting, dtype, threads } = entry;
  const row = {
    by,
    dtype,
    simd: peer?.simd ?? setting?.simd ?? "",
    threads,
    milliseconds,
  };
  if (!work) return row;
  const rate = total(work) / milliseconds / 1e6;
  if (!setting) return { ...row, rate };
  const { limits } = setting;
  const least = (work.linear / limits[dtype] + work.other / limits.fp32) / 1e6;
  return { ...row, rate, share: least / milliseconds };
}

/** How many times as fast an entry is as each peer that has as many threads. */
function ratios(
  entries: readonly Entry[],
  times: readonly number[],
  { threads }: Entry,
  time: number,
): ReadonlyMap<string, number> {
  const found = new Map<string, number>();
  for (const [i, { peer, threads: theirs }] of entries.entries()) {
    if (peer && theirs === threads) found.set(peer.shortName, times[i]! / time);
  }
  return found;
}

function expectRounding(
  what: string,
  first: Entry,
  entry: Entry,
  difference: number,
  output: Float32Array,
): void {
  if (first.dtype !== "fp32" || !entry.peer) return;
  const most = largestDifference(output, new Float32Array(output.length));
  if (difference <= TOLERANCE * most) return;
  throw new Error(
    `${what}: results of ${entry.peer.name} differ from ours by ${difference}, expected at most ` +
      `${TOLERANCE} of ${most}`,
  );
}
