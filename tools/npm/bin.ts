#!/usr/bin/env node
/**
 * The command of the npm package: draws a picture with Node or Bun.
 *
 * @module
 */

import { writeFile } from "node:fs/promises";
import { parseArgs } from "node:util";
import process from "node:process";
import { VQDiffusionPipeline } from "../../mod.ts";
import { hubOptions } from "../../src/cli/environment.ts";

const HELP = `Draws a picture of a text.

Usage: vq-diffusion "<prompt>" [options]

  --out <file>      PNG file to write (picture.png)
  --model <source>  Folder, URL or id on the hub (the embedded model, which draws emoji)
  --steps <n>       Denoising steps (100, or as many as the model has)
  --guidance <x>    Guidance scale (5)
  --seed <n>        Seed: the same one draws the same picture (a random one)
  --help            Show this text

Models of the hub are kept where Python keeps them; HF_ENDPOINT, HF_TOKEN, HF_HOME, HF_HUB_CACHE and
HF_HUB_OFFLINE are heeded.
`;

const OPTIONS = {
  out: { type: "string", default: "picture.png" },
  model: { type: "string" },
  steps: { type: "string" },
  guidance: { type: "string" },
  seed: { type: "string" },
  help: { type: "boolean", default: false },
} as const;

/** The arguments were wrong. */
class UsageError extends Error {}

async function main(args: string[]): Promise<void> {
  const { values, positionals } = readArguments(args);
  if (values.help) {
    console.log(HELP);
    return;
  }
  const [prompt, ...others] = positionals;
  if (prompt === undefined || others.length > 0) {
    throw new UsageError(`Expected one prompt, got ${positionals.length}`);
  }
  await using pipe = await VQDiffusionPipeline.fromPretrained(
    values.model,
    hubOptions((name) => process.env[name] || undefined),
  );
  const { images } = await pipe.generate(prompt, {
    numInferenceSteps: numberOf("steps", values.steps),
    guidanceScale: numberOf("guidance", values.guidance),
    seed: numberOf("seed", values.seed),
    onProgress({ step, steps }) {
      if (process.stderr.isTTY) process.stderr.write(`\rStep ${step} of ${steps} `);
    },
  });
  await writeFile(values.out, await images[0]!.toPng());
  console.log(
    `${process.stderr.isTTY ? "\n" : ""}Wrote ${values.out}, drawn on ${pipe.device.name}`,
  );
}

function readArguments(args: string[]) {
  try {
    return parseArgs({ args, options: OPTIONS, allowPositionals: true });
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}

function numberOf(name: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const number = Number(text);
  if (text.trim() !== "" && !Number.isNaN(number)) return number;
  throw new UsageError(`--${name} is ${JSON.stringify(text)}, expected a number`);
}

try {
  await main(process.argv.slice(2));
} catch (error) {
  const hint = error instanceof UsageError ? "; see --help" : "";
  console.error(`error: ${error instanceof Error ? error.message : error}${hint}`);
  process.exitCode = error instanceof UsageError ? 2 : 1;
}
