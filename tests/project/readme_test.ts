// The programs in README.md.

import { assert, assertEquals } from "@std/assert";
import { temporaryFolder } from "../temporary_folder.ts";

const ROOT = new URL("../../", import.meta.url);
const README = Deno.readTextFileSync(new URL("README.md", ROOT));

Deno.test("the programs in README.md have the right types", async () => {
  await using folder = await temporaryFolder();
  const programs = [...README.matchAll(/```ts\n([^]*?)```/g)].map(([, code]) => code!);
  assert(programs.length > 3);
  const paths = programs.map((code, i) => {
    const path = `${folder.path}/${i}.ts`;
    const local = code.replace(/"https:[^"]*\/mod\.ts"/, JSON.stringify(`${ROOT.href}mod.ts`));
    assert(local !== code);
    Deno.writeTextFileSync(path, local);
    return path;
  });
  const { success, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["check", "--quiet", "--config", new URL("deno.json", ROOT).pathname, ...paths],
    env: { NO_COLOR: "1" },
  }).output();
  assert(success, new TextDecoder().decode(stderr));
});

Deno.test("the files and tasks that README.md names are there", () => {
  const { tasks } = JSON.parse(Deno.readTextFileSync(new URL("deno.json", ROOT)));
  const missingTasks = [...README.matchAll(/\btask (\w+)/g)]
    .map(([, name]) => name!)
    .filter((name) => !Object.hasOwn(tasks, name));
  assertEquals(missingTasks, []);
  for (const [, path] of README.matchAll(/[`"]((?:src|docs|weights|wasm|asm)\/[\w./-]*)[`"]/g)) {
    Deno.statSync(new URL(path!, ROOT));
  }
});
