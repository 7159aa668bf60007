// `deno task generate` with styles, of which the seed of a picture chooses one.

import { assertEquals, assertStringIncludes } from "@std/assert";
import { readPngTexts } from "../../src/images/png_text.ts";
import { temporaryFolder } from "../temporary_folder.ts";
import { runTask } from "./run_task.ts";

const TINY = new URL("../fixtures/pipeline/tiny/model", import.meta.url);
const MODEL = ["--model", TINY.href, "--device", "wasm", "--threads", "2", "--steps", "2"];

Deno.test("generate tells which style a seed has chosen, and draws it again from the picture", async () => {
  await using folder = await temporaryFolder();
  const { path: cwd } = folder;
  const run = async (args: string[]) => {
    const { code, stdout, stderr } = await runTask("generate", [...args, ...MODEL], { cwd });
    assertEquals(code, 0, stderr);
    return stdout;
  };
  const read = (name: string) => Deno.readFile(`${cwd}/${name}`);

  const styles = ["--styles", "in ink, flat style"];
  const said = await run(["a cat", "--seed", "4-5", ...styles]);
  assertStringIncludes(said, "a-cat-4.png: a cat, in ink\n");
  assertStringIncludes(said, "a-cat-5.png: a cat, flat style\n");
  const texts = await readPngTexts(await read("a-cat-5.png"));
  assertStringIncludes(texts.get("parameters")!, "a cat, flat style\nSteps: 2");
  const { prompt, styles: written } = JSON.parse(texts.get("vq-diffusion")!);
  assertEquals([prompt, written], ["a cat", ["in ink", "flat style"]]);

  // The same pictures as of prompts that name the style.
  const tokens = async (...args: string[]) => {
    await run([...args, "--save-tokens", "--out", "x.png", "--overwrite"]);
    return JSON.parse(await Deno.readTextFile(`${cwd}/x.tokens.json`)).images[0].tokens;
  };
  const again = await tokens("--from", "a-cat-5.png");
  assertEquals(again, await tokens("a cat, flat style", "--seed", "5"));

  // A picture to start from shows its own style.
  const plain = await tokens("a cat", "--seed", "5", "--image", "a-cat-4.png");
  const edited = ["--from", "a-cat-5.png", "--image", "a-cat-4.png"];
  assertEquals(await tokens(...edited), plain);

  const report = JSON.parse(
    await run(["a cat", "a dog in ink", "--seed", "1", ...styles, "--json"]),
  );
  assertEquals(
    report.files.map(({ prompt, drawnPrompt }: Record<string, string>) => [prompt, drawnPrompt]),
    [["a cat", "a cat, flat style"], ["a dog in ink", undefined]],
  );
});
