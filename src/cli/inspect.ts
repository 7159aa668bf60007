/**
 * The command `inspect`: what a model consists of, and how much memory it takes.
 *
 * @module
 */

import { formatBytes } from "../base/format.ts";
import { WEIGHT_DTYPES } from "../base/dtypes.ts";
import { createDryBackend } from "../backends/select.ts";
import { isOriginal, openFile, openFolder } from "../checkpoints/folders.ts";
import { openArrays } from "../checkpoints/weights.ts";
import { parseArguments, UsageError } from "./arguments.ts";
import { hubOptions } from "./environment.ts";
import { exitOnInterrupt } from "./interrupt.ts";
import { LoadDisplay } from "./load_display.ts";
import { explained } from "./model_source.ts";
import type { BytesByDType } from "./memory_report.ts";
import { type ModelReport, reportFile, reportFolder, type StoredReport } from "./model_report.ts";
import { print, printMessage } from "./terminal.ts";

const HELP = `Say what a model consists of

Usage:
  deno task inspect <model> [options]

<model> is the folder of a pipeline or of one of its components, its URL, a model of the hub
(owner/name), a file of weights (.safetensors, .bin), or an original checkpoint of Microsoft's (.pth,
.pt, .ckpt). Only what describes the weights is read, not the weights; a model of the hub is
downloaded. An original checkpoint is read with config.yaml beside it, and the files that this names,
if there are such; one of ImageNet or FFHQ needs them.

The memory is that of the weights on the CPU, and for a pipeline what it holds when it has made a first
image: weights, workspace and what each thread needs. No device is needed to tell.

Options:
  --revision <name>  Branch, tag or commit of a model of the hub
  --json             Print the facts as JSON, sizes in bytes
  -h, --help         Show this text
`;

const OPTIONS = {
  revision: { type: "string" },
  json: { type: "boolean" },
  help: { type: "boolean", short: "h" },
} as const;

/**
 * Runs the command.
 *
 * @returns The exit code.
 * @throws {UsageError} If an argument is wrong.
 */
export async function inspect(args: string[]): Promise<number> {
  const { values, positionals } = parseArguments(args, OPTIONS);
  if (values.help) {
    print(HELP);
    return 0;
  }
  const [source, ...others] = positionals;
  if (source === undefined) {
    throw new UsageError("Expected a model to inspect, such as weights or owner/name, got none");
  }
  if (others.length > 0) throw new UsageError(`Expected one model, got ${positionals.length}`);
  using _ = exitOnInterrupt(() => printMessage("\nStopped"));
  const report = await explained(source, reportOf(source, values.revision));
  print(values.json ? JSON.stringify(report, null, 2) : textOf(report));
  return 0;
}

async function reportOf(source: string, revision: string | undefined): Promise<ModelReport> {
  using display = new LoadDisplay();
  const options = { ...hubOptions(), revision, onProgress: display.onProgress };
  if (/\.(safetensors|bin)([?#]|$)/.test(source)) return await reportArrays(source);
  await using backend = await createDryBackend();
  try {
    return await reportFolder(await openFolder(source, options), backend);
  } catch (error) {
    // Some checkpoints hold other things, such as the autoencoder alone.
    if (!isOriginal(source)) throw error;
    const report = await reportArrays(source);
    const reason = error instanceof Error ? error.message : String(error);
    return { ...report, facts: { ...report.facts, "as a pipeline": reason } };
  }
}

async function reportArrays(source: string): Promise<ModelReport> {
  await using arrays = await openArrays(await openFile(source));
  return reportFile(arrays);
}

function textOf({ model, kind, components, groups, firstImage, facts }: ModelReport): string {
  const rows: string[][] = [];
  if (components.length > 0) {
    rows.push(["", "parameters", "stored as", "on disk", "in memory: fp32", "fp16", "q8"]);
    for (const { name, memory, ...stored } of components) {
      rows.push([name, ...cellsOf(stored), ...sizesOf(memory)]);
    }
    if (components.length > 1) {
      const sum = (value: (component: typeof components[number]) => number) =>
        components.reduce((total, component) => total + value(component), 0);
      rows.push([
        "total",
        countOf(sum(({ parameters }) => parameters)),
        "",
        formatBytes(sum(({ bytes }) => bytes)),
        ...WEIGHT_DTYPES.map((dtype) => formatBytes(sum(({ memory }) => memory[dtype]))),
      ]);
    }
    if (firstImage) {
      const { threads, wasm, webgpu } = firstImage;
      const cpu = `first image, CPU of ${threads} ${threads === 1 ? "thread" : "threads"}`;
      rows.push([cpu, "", "", "", ...sizesOf(wasm)]);
      rows.push(["first image, GPU", "", "", "", ...sizesOf(webgpu)]);
    }
  } else {
    rows.push(["", "values", "stored as", "on disk"]);
    for (const [group, stored] of Object.entries(groups)) {
      rows.push([group || "(no module)", ...cellsOf(stored)]);
    }
  }
  const lines = Object.entries(facts).map(([name, value]) => [`${name}:`, value]);
  return [`${model}: ${kind}`, "", ...alignedRows(rows), "", ...alignedRows(lines)].join("\n");
}

function cellsOf({ parameters, dtypes, bytes }: StoredReport): string[] {
  return [countOf(parameters), dtypes.join(", "), formatBytes(bytes)];
}

function sizesOf(memory: BytesByDType): string[] {
  return WEIGHT_DTYPES.map((dtype) => formatBytes(memory[dtype]));
}

/** A number for people: `"1.2 M"`. */
function countOf(count: number): string {
  if (count < 1e4) return String(count);
  const [unit, size] = count < 1e6 ? ["k", 1e3] : count < 1e9 ? ["M", 1e6] : ["G", 1e9];
  return `${(count / size).toPrecision(3)} ${unit}`;
}

/** Pads cells so that columns stand below each other. */
function alignedRows(rows: readonly string[][]): string[] {
  const widths = (rows[0] ?? []).map((_, i) =>
    rows.reduce((most, row) => Math.max(most, row[i]?.length ?? 0), 0)
  );
  return rows.map((row) => row.map((cell, i) => cell.padEnd(widths[i] ?? 0)).join("  ").trimEnd());
}
