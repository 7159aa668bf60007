// Arguments of the programs beside the command line.

import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { UsageError } from "../../src/cli/arguments.ts";
import { choicesOption } from "../../tools/script.ts";

const ROOT = new URL("../../", import.meta.url);

/** Programs that are no tasks. */
const SCRIPTS = [
  "bench/gpu.ts",
  "bench/ithq_load.ts",
  "evaluation/agreement.ts",
  "evaluation/contact_sheet.ts",
  "evaluation/embed_model.ts",
  "evaluation/readme_picture.ts",
  "evaluation/score.ts",
];

/** Programs that are tasks, by these. */
const TASKS: Readonly<Record<string, string>> = {
  "bench/main.ts": "bench",
  "tools/ok.ts": "ok",
  "tools/page.ts": "page",
  "tools/bundle/main.ts": "bundle",
  "tools/npm/main.ts": "npm",
  "asm/build/main.ts": "build",
  "tests/soak/main.ts": "soak",
};

async function runScript(path: string, ...args: string[]) {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "--no-check", "--allow-all", path, ...args],
    cwd: ROOT,
    env: { NO_COLOR: "1" },
  }).output();
  const decoder = new TextDecoder();
  return { code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
}

Deno.test("choicesOption() takes words in the order of the choices, and refuses others", () => {
  const choices = ["fp32", "fp16", "q8"] as const;
  assertEquals(choicesOption("dtype", undefined, choices), undefined);
  assertEquals(choicesOption("dtype", "q8,fp32", choices), ["fp32", "q8"]);
  for (const text of ["", "fp8", "fp32,", "fp32,fp8"]) {
    const error = assertThrows(() => choicesOption("dtype", text, choices), UsageError);
    assertEquals(
      error.message,
      `--dtype is ${JSON.stringify(text)}, expected some of fp32, fp16, q8`,
    );
  }
});

for (const path of [...SCRIPTS, ...Object.keys(TASKS)]) {
  Deno.test(`${path} explains itself with --help and refuses unknown options`, async () => {
    const [help, wrong] = await Promise.all([
      runScript(path, "--help"),
      runScript(path, "--nothing"),
    ]);
    assertEquals([help.code, help.stderr], [0, ""]);
    const task = TASKS[path];
    assertStringIncludes(help.stdout, task === undefined ? path : `deno task ${task}`);
    assertEquals([wrong.code, wrong.stdout], [2, ""]);
    assertEquals(wrong.stderr, `Unknown option '--nothing'\n\n${help.stdout}`);
  });
}
