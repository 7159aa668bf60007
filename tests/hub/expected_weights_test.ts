import { assertEquals } from "@std/assert";
import { memoryFile } from "../../src/files/memory_folder.ts";
import type { FileSource } from "../../src/files/source.ts";
import { expectedWeights } from "../../src/hub/expected_weights.ts";
import { files, WEIGHTS } from "./hubs.ts";

const ALL = new Map(Object.entries(files));

Deno.test("expectedWeights() finds the weights of the components that model_index.json names", async () => {
  const index = memoryFile("index", new TextEncoder().encode(files["model_index.json"]));
  assertEquals(await expectedWeights(index, ALL), [WEIGHTS]);
  for (const text of ["", "null", "[]", '"vqvae"', '{"other":null}']) {
    const wrong = memoryFile("index", new TextEncoder().encode(text));
    assertEquals(await expectedWeights(wrong, ALL), [], text);
  }
});

Deno.test("expectedWeights() does not read what is too long for a model_index.json", async () => {
  const huge: FileSource = {
    description: "index",
    size: 2 ** 40,
    read: () => Promise.reject(new Error("it was read")),
    release() {},
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
  assertEquals(await expectedWeights(huge, ALL), []);
});
