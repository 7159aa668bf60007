import { assertRejects, assertThrows } from "@std/assert";
import { readConfig } from "../../src/checkpoints/config.ts";
import { openArrays } from "../../src/checkpoints/weights.ts";
import { checkContent } from "../../src/files/content.ts";
import { memoryFile, memoryFolder } from "../../src/files/memory_folder.ts";
import { CLIPTokenizer } from "../../src/tokenizers/clip_tokenizer.ts";
import { tinyFiles } from "../tokenizers/fixtures.ts";

const POINTER =
  "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a214614ab2935c943f9e0ff69d22e\nsize 9\n";
const PAGES = [
  "<!doctype html><title>Sign in</title>",
  "\uFEFF\n  <!DOCTYPE html>",
  "<html lang=en>",
  '<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>',
  "<!-- built --><html>",
];

Deno.test("weights, configs and tokenizers say what stands in their place", async () => {
  const cases: [text: string, message: string][] = [
    [POINTER, "it is a pointer of Git LFS, not the file itself: fetch it with git lfs pull"],
    ...PAGES.map((page) => [page, "it is a web page, not the file"] as [string, string]),
  ];
  for (const [text, message] of cases) {
    const bytes = new TextEncoder().encode(text);
    const open = () => openArrays(memoryFile("model.safetensors", bytes));
    await assertRejects(open, SyntaxError, `Cannot read model.safetensors: ${message}`);
    const folder = memoryFolder({ ...tinyFiles(), "config.json": text, "merges.txt": text }, "x");
    await assertRejects(() => readConfig(folder, "config.json"), SyntaxError, message);
    await assertRejects(
      () => CLIPTokenizer.fromPretrained(folder),
      SyntaxError,
      `x/merges.txt: ${message}`,
    );
  }
});

Deno.test("checkContent() leaves files of models alone", () => {
  for (
    const text of ["{}", "#version: 0.2\na b", "< >", "version 2", "PK\x03\x04", "<|x|> <", ""]
  ) {
    checkContent(new TextEncoder().encode(text), "x");
  }
  assertThrows(() => checkContent(new TextEncoder().encode(POINTER), "x"), SyntaxError, "read x");
});
