// Names of the files of a generation, and writing them, in this process.

import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { UsageError } from "../../src/cli/arguments.ts";
import { writeWhole } from "../../src/cli/output_files.ts";
import { nameOutputs, type OutputNames } from "../../src/cli/output_names.ts";
import { inTemporaryFolder } from "../temporary_folder.ts";
import { namesIn } from "./run_task.ts";

const BYTES = new Uint8Array([1, 2, 3]);

/** Names of the files of pictures that are given as `prompt 1`, without their folder. */
async function namesOf(pictures: string[], out: string, options: Partial<OutputNames> = {}) {
  const paths = await nameOutputs({
    out,
    pictures: pictures.map((text) => {
      const [, prompt, seed] = /^(.*) (\d+)$/s.exec(text)!;
      return { prompt: prompt!, seed: BigInt(seed!) };
    }),
    saveTokens: false,
    overwrite: false,
    ...options,
  });
  const name = (path: string | undefined) => path?.split("/").at(-1);
  const { images, sheet, tokens } = paths;
  return [...images, sheet, tokens].filter((path) => path !== undefined).map(name);
}

Deno.test("nameOutputs() names pictures by prompt and seed, also several", async () => {
  await inTemporaryFolder(async (path) => {
    const names = (...pictures: string[]) => namesOf(pictures, `${path}/`);
    assertEquals(await names("A red apple! 42"), ["a-red-apple-42.png"]);
    assertEquals(await names("cat 1", "cat 2"), ["cat-1.png", "cat-2.png", "cat-1-sheet.png"]);
    assertEquals(await names("cat 7", "dog 7"), ["cat-7.png", "dog-7.png", "images-7-sheet.png"]);
    assertEquals(await names("cat 7", "cat 7"), ["cat-7.png", "cat-7-2.png", "cat-7-sheet.png"]);
    assertEquals(await names("../..\\con: <чай>\n 1"), ["con-чай-1.png"]);
    assertEquals(await names("!? 1"), ["image-1.png"]);
    const [long] = await names(`${"🍵чай𐐀".repeat(40)} 18446744073709551615`);
    assertEquals(new TextEncoder().encode(`${long}.01234567.tmp`).length < 255, true);
    const files = await namesOf(["cat 1", "cat 2"], `${path}/my.png`, { saveTokens: true });
    assertEquals(files, ["my-1.png", "my-2.png", "my-sheet.png", "my.tokens.json"]);
    const several = await namesOf(["cat 1", "dog 1"], `${path}/my.PNG`);
    assertEquals(several, ["my-cat-1.png", "my-dog-1.png", "my-sheet.png"]);
    assertEquals(await namesOf(["cat 1"], `${path}/v1.5`), ["v1.5.png"]);
  });
});

Deno.test("nameOutputs() gives all files of a run the same free number, or none to replace files", async () => {
  await inTemporaryFolder(async (path) => {
    await Deno.writeTextFile(`${path}/cat-1.png`, "");
    await Deno.writeTextFile(`${path}/cat-1-2.tokens.json`, "");
    const options = { saveTokens: true };
    const free = await namesOf(["cat 1"], path, options);
    assertEquals(free, ["cat-1-3.png", "cat-1-3.tokens.json"]);
    const replaced = await namesOf(["cat 1"], path, { ...options, overwrite: true });
    assertEquals(replaced, ["cat-1.png", "cat-1.tokens.json"]);
  });
});

Deno.test("nameOutputs() refuses files that are protected, and names that cannot be", async () => {
  await inTemporaryFolder(async (path) => {
    await Deno.writeTextFile(`${path}/a.png`, "", { mode: 0o444 });
    await Deno.mkdir(`${path}/b.png`);
    const refuse = (out: string, message: string) =>
      assertRejects(
        () => namesOf(["cat 1"], `${path}/${out}`, { overwrite: true }),
        UsageError,
        message,
      );
    await refuse("a.png", `Cannot replace ${path}/a.png: it is write-protected`);
    await refuse("b", `Cannot replace ${path}/b.png: it is no file`);
    await refuse(`${"x".repeat(300)}.png`, "Cannot write to");
    assertEquals(namesIn(path), ["a.png", "b.png"]);
  });
});

Deno.test("writeWhole() replaces a file or takes the next free number, and leaves nothing else", async () => {
  await inTemporaryFolder(async (path) => {
    const write = (overwrite: boolean) => writeWhole(`${path}/new/a.png`, BYTES, overwrite);
    assertEquals(write(false), `${path}/new/a.png`);
    assertEquals(write(false), `${path}/new/a-2.png`);
    assertEquals(write(true), `${path}/new/a.png`);
    await Deno.symlink(`${path}/new/a-2.png`, `${path}/link.png`);
    assertEquals(writeWhole(`${path}/link.png`, BYTES.slice(1), true), `${path}/new/a-2.png`);
    assertEquals((await Deno.lstat(`${path}/link.png`)).isSymlink, true);
    assertEquals(await Deno.readFile(`${path}/link.png`), BYTES.slice(1));
    await Deno.mkdir(`${path}/b.png`);
    assertThrows(() => writeWhole(`${path}/b.png`, BYTES, true));
    assertEquals(namesIn(`${path}/new`), ["a-2.png", "a.png"]);
    assertEquals(namesIn(path), ["b.png", "link.png", "new"]);
  });
});
