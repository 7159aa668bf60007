// `deno task ok`: everything that CI checks.

import { runScript } from "./script.ts";

const USAGE = `Runs everything that CI checks.

Usage: deno task ok [--no-tests]

  --no-tests  Leave out the tests

All steps run, also after one has failed. The last line is "N passed, N failed, N skipped", in which each
test counts, and each other step as one.`;

/** Longest that the tests may take, in milliseconds. */
const PATIENCE = 60 * 60_000;

const ROOT = new URL("../", import.meta.url);

/** What a step comes to. */
interface Counts {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

/** The steps before the tests: arguments of `deno`. */
function steps(): string[][] {
  const { exports } = JSON.parse(Deno.readTextFileSync(new URL("deno.json", ROOT)));
  const entries: string[] = typeof exports === "string" ? [exports] : Object.values(exports);
  return [
    ["fmt", "--check"],
    ["lint"],
    ["check"],
    ["doc", "--lint", ...entries],
    // Examples in comments and documents, as users would write them.
    [
      "check",
      "--doc-only",
      "--no-lock",
      "--config",
      "tools/examples.json",
      ...documents(),
      ...entries,
      "src",
    ],
    ["task", "build", "--check"],
    ["task", "page", "--check"],
    ["publish", "--quiet", "--dry-run", "--allow-dirty"],
  ];
}

/** Markdown files with examples. */
function documents(): string[] {
  return ["", "docs/", "examples/"].flatMap((folder) => {
    return filesIn(folder).filter((name) => name.endsWith(".md")).map((name) => folder + name);
  });
}

function filesIn(folder: string): string[] {
  try {
    const entries = [...Deno.readDirSync(new URL(folder, ROOT))];
    return entries.filter(({ isFile }) => isFile).map(({ name }) => name).sort();
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    return [];
  }
}

function command(args: readonly string[], options: Deno.CommandOptions): Deno.Command {
  return new Deno.Command(Deno.execPath(), { args: [...args], cwd: ROOT, ...options });
}

/** Runs a step. */
async function run(args: readonly string[]): Promise<Counts> {
  console.log(`== deno ${args.join(" ")}`);
  const { success } = await command(args, { stdin: "null" }).spawn().status;
  return { passed: success ? 1 : 0, failed: success ? 0 : 1, skipped: 0 };
}

/** Runs the tests. A run that fails without failed tests counts as one that failed. */
async function runTests(): Promise<Counts> {
  console.log("== deno task test");
  const signal = AbortSignal.timeout(PATIENCE);
  const options = { stdin: "null", stdout: "piped", env: { NO_COLOR: "1" }, signal } as const;
  const child = command(["task", "test"], options).spawn();
  let output = "";
  const decoder = new TextDecoder();
  for await (const chunk of child.stdout) {
    Deno.stdout.writeSync(chunk);
    output += decoder.decode(chunk, { stream: true });
  }
  const { success } = await child.status;
  const counts = countTests(output);
  return success || counts.failed > 0 ? counts : { ...counts, failed: 1 };
}

/** Sums the summaries of `deno test`. */
export function countTests(output: string): Counts {
  const steps = String.raw`(?: \(\d+ steps?\))?`;
  const summary = new RegExp(
    String
      .raw`^(?:ok|FAILED) \| (\d+) passed${steps} \| (\d+) failed${steps}(?: \| (\d+) ignored)?`,
    "gm",
  );
  const counts = [...output.matchAll(summary)].map(([, passed, failed, skipped = "0"]) => {
    return { passed: Number(passed), failed: Number(failed), skipped: Number(skipped) };
  });
  return sum(counts);
}

function sum(counts: readonly Counts[]): Counts {
  return counts.reduce((a, b) => ({
    passed: a.passed + b.passed,
    failed: a.failed + b.failed,
    skipped: a.skipped + b.skipped,
  }), { passed: 0, failed: 0, skipped: 0 });
}

async function main(withTests: boolean): Promise<void> {
  const counts: Counts[] = [];
  for (const args of steps()) counts.push(await run(args));
  if (withTests) counts.push(await runTests());
  const { passed, failed, skipped } = sum(counts);
  console.log(`${passed} passed, ${failed} failed, ${skipped} skipped`);
  Deno.exit(failed === 0 ? 0 : 1);
}

if (import.meta.main) {
  await runScript({
    usage: USAGE,
    options: { "no-tests": { type: "boolean" } },
    run: ({ values }) => main(!values["no-tests"]),
  });
}
