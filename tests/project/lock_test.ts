// The lock file of the commands: what people fetch who draw a picture, without what developing needs.

import { assert, assertEquals } from "@std/assert";

const ROOT = new URL("../../", import.meta.url);
const LOCK = "src/cli/deno.lock";

/** Packages of a lock file, with the hashes of their archives. */
function packagesOf(path: string): Record<string, { readonly integrity: string }> {
  return JSON.parse(Deno.readTextFileSync(new URL(path, ROOT))).npm;
}

Deno.test("the lock file of the commands has all that they import", async () => {
  const args = ["install", "--quiet", "--frozen", `--lock=${LOCK}`];
  const command = new Deno.Command(Deno.execPath(), {
    args: [...args, "--entrypoint", "src/cli/main.ts"],
    cwd: ROOT,
    stderr: "inherit",
  });
  assert((await command.output()).success);
});

Deno.test("the lock file of the commands has the packages of the project's, and few", () => {
  const all = packagesOf("deno.lock");
  const own = packagesOf(LOCK);
  for (const [name, { integrity }] of Object.entries(own)) {
    assertEquals(integrity, all[name]?.integrity, name);
  }
  const names = Object.keys(own).map((name) => name.replace(/(?!^)@.*/, ""));
  for (const name of ["assemblyscript", "binaryen", "esbuild", "openai", "typescript"]) {
    assert(!names.includes(name), name);
  }
});

Deno.test("tasks name their lock file, and none is named for all, which `deno task` would fetch", () => {
  const { lock, tasks } = JSON.parse(Deno.readTextFileSync(new URL("deno.json", ROOT)));
  assertEquals(lock, false);
  for (const { command } of Object.values<{ command: string }>(tasks)) {
    if (/^deno task |tools\/ok\.ts/.test(command)) continue;
    const expected = command.includes("src/cli/main.ts")
      ? LOCK
      : command.includes("tools/bundle/for_page.ts")
      ? "tools/bundle/deno.lock"
      : "deno.lock";
    assert(command.includes(` --frozen --lock=${expected} `), command);
  }
});
