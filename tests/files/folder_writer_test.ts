// Folders whose writing is cut short.

import { assert, assertEquals, assertRejects } from "@std/assert";
import { openFolder } from "../../src/checkpoints/folders.ts";
import { writeFolder } from "../../src/files/folder_writer.ts";
import { INCOMPLETE_MARK } from "../../src/files/incomplete.ts";
import { namesIn } from "../cli/run_task.ts";
import { inTemporaryFolder } from "../temporary_folder.ts";

const WRITER = new URL("../../src/files/folder_writer.ts", import.meta.url);

/** Runs a program that writes two files below a folder, up to a point given as code. */
async function writeUntil(path: string, commit: string): Promise<void> {
  const code = `import { writeFolder } from ${JSON.stringify(WRITER.href)};
    await using folder = await writeFolder(${JSON.stringify(path)});
    for (const name of ["a", "b"]) await folder.writeText(\`part/\${name}.json\`, "new");
    ${commit}`;
  const args = ["eval", "--no-lock", code];
  await new Deno.Command(Deno.execPath(), { args, stderr: "null" }).output();
}

/** The program is killed at its second renaming. */
const KILLED = `const { rename } = Deno;
  let count = 0;
  Deno.rename = async (...args) => {
    if (++count === 2) Deno.kill(Deno.pid, "SIGKILL");
    await rename(...args);
  };
  await folder.commit();`;

Deno.test({
  name:
    "openFolder() refuses a folder whose writer was killed between two files, until it is written again",
  ignore: Deno.build.os === "windows",
  fn: () =>
    inTemporaryFolder(async (path) => {
      await Deno.mkdir(`${path}/part`);
      for (const name of ["a", "b"]) await Deno.writeTextFile(`${path}/part/${name}.json`, "old");
      await writeUntil(path, KILLED);
      const texts = ["a", "b"].map((name) => Deno.readTextFileSync(`${path}/part/${name}.json`));
      assertEquals(texts, ["new", "old"]);
      for (const folder of [path, `${path}/part`]) {
        await assertRejects(() => openFolder(folder), SyntaxError, "it is incomplete");
      }
      await writeUntil(path, "await folder.commit();");
      const folder = await openFolder(path);
      assertEquals(await folder.readText("part/b.json"), "new");
      assert(!namesIn(path).includes(INCOMPLETE_MARK));
      assert(!namesIn(`${path}/part`).includes(INCOMPLETE_MARK));
    }),
});

Deno.test("writeFolder() leaves nothing when the process exits in the middle", () =>
  inTemporaryFolder(async (path) => {
    await writeUntil(`${path}/far/new`, "Deno.exit(1);");
    assertEquals(namesIn(path), []);
  }));

Deno.test("writeFolder() replaces nothing where a file is protected, or something else has a name", async () => {
  const obstacles: [string, (path: string) => Promise<void>, string][] = [
    ["a folder for a file", (path) => Deno.mkdir(`${path}/part/b.json`), "is no file"],
    ["a file for a folder", async (path) => {
      await Deno.remove(`${path}/part`, { recursive: true });
      await Deno.writeTextFile(`${path}/part`, "mine");
    }, "a file is in its way"],
    ...Deno.build.os === "windows" ? [] : [[
      "a protected file",
      async (path: string) => {
        await Deno.writeTextFile(`${path}/part/b.json`, "mine");
        await Deno.chmod(`${path}/part/b.json`, 0o444);
      },
      "write-protected",
    ] as [string, (path: string) => Promise<void>, string]],
  ];
  for (const [name, place, message] of obstacles) {
    await inTemporaryFolder(async (path) => {
      await Deno.mkdir(`${path}/part`);
      await Deno.writeTextFile(`${path}/a.json`, "old");
      await place(path);
      const before = listing(path);
      await assertRejects(
        async () => {
          await using folder = await writeFolder(path);
          await folder.writeText("a.json", "new");
          await folder.writeText("new/c.json", "new");
          await folder.writeText("part/b.json", "new");
          await folder.commit();
        },
        TypeError,
        message,
      );
      assertEquals(listing(path), before, name);
      assertEquals(await Deno.readTextFile(`${path}/a.json`), "old");
    });
  }
  await inTemporaryFolder(async (path) => {
    await Deno.writeTextFile(`${path}/file`, "mine");
    for (const name of ["file", "file/below"]) {
      const error = await assertRejects(() => writeFolder(`${path}/${name}`), TypeError);
      assertEquals(
        error.message,
        `Cannot write ${path}/${name}: a file is in its way, expected a folder`,
      );
    }
    assertEquals(listing(path), ["file"]);
  });
});

/** Paths of all that lies below a folder. */
function listing(path: string): string[] {
  return namesIn(path).flatMap((name) =>
    Deno.statSync(`${path}/${name}`).isDirectory
      ? [name, ...listing(`${path}/${name}`).map((below) => `${name}/${below}`)]
      : [name]
  );
}

Deno.test("writeFolder() marks a folder while it replaces files, and only then", () =>
  inTemporaryFolder(async (path) => {
    await using folder = await writeFolder(path);
    await folder.writeText("a.json", "{}");
    await folder.writeText("part/b.json", "{}");
    await openFolder(path);
    const { rename } = Deno;
    const refusals: string[] = [];
    Deno.rename = async (from, to) => {
      await rename(from, to);
      const refusal = await assertRejects(() => openFolder(`${path}/part`), SyntaxError);
      refusals.push(refusal.message);
    };
    try {
      await folder.commit();
    } finally {
      Deno.rename = rename;
    }
    assertEquals(refusals.length, 2);
    assertEquals(namesIn(path), ["a.json", "part"]);
    assertEquals(namesIn(`${path}/part`), ["b.json"]);
  }));
