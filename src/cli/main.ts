/**
 * The command line.
 *
 * @module
 */

import { VERSION } from "../base/version.ts";
import { UsageError } from "./arguments.ts";
import { goWhereThePersonStands } from "./environment.ts";
import { print, printMessage } from "./terminal.ts";

const HELP = `VQ-Diffusion: pictures from text

Usage:
  deno task generate "<prompt>" [options]         Draw pictures
  deno task serve [options]                       Serve a page and OpenAI's image API
  deno task train <pictures> --out <folder>       Train a model on pictures with captions
  deno task worker --queue <url> [options]        Draw for services on other machines
  deno task convert <model> --out <folder>        Turn a model into a folder of safetensors
  deno task inspect <model>                       Say what a model consists of

Each command has a --help of its own; --version says the version.
`;

/** A command: takes its arguments and gives the exit code. */
type Command = (args: string[]) => Promise<number>;

/** Loads a command; the others are not loaded. */
const commands: Readonly<Record<string, () => Promise<Command>>> = {
  generate: async () => (await import("./generate.ts")).generate,
  serve: async () => (await import("./serve.ts")).serve,
  train: async () => (await import("./train.ts")).train,
  worker: async () => (await import("./worker.ts")).worker,
  convert: async () => (await import("./convert.ts")).convert,
  inspect: async () => (await import("./inspect.ts")).inspect,
};

/**
 * Runs a command. What goes wrong is reported in one line on the standard error output.
 *
 * @returns The exit code: 0, 1 if the command failed, 2 if its arguments were wrong.
 */
async function main([name = "", ...args]: string[]): Promise<number> {
  if (["--help", "-h", "help"].includes(name)) {
    print(HELP);
    return 0;
  }
  const options = args.slice(0, args.includes("--") ? args.indexOf("--") : args.length);
  if ([name, ...options].includes("--version")) {
    print(`vq-diffusion ${VERSION} (Deno ${Deno.version.deno})`);
    return 0;
  }
  try {
    goWhereThePersonStands();
    const load = Object.hasOwn(commands, name) ? commands[name] : undefined;
    if (!load) {
      throw new UsageError(
        `Expected generate, serve, worker, train, convert or inspect, got "${name}"`,
      );
    }
    const command = await load();
    return await command(args);
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    // No help tells of files.
    const isUsage = error instanceof UsageError && !error.message.startsWith("Cannot ");
    const hint = isUsage ? "; see --help" : "";
    printMessage(`error: ${message}${hint}`);
    return error instanceof UsageError ? 2 : 1;
  }
}

if (import.meta.main) Deno.exit(await main(Deno.args));
