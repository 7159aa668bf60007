import { assertEquals } from "@std/assert";
import { memoryFile } from "../../src/files/memory_folder.ts";
import type { FileSource } from "../../src/files/source.ts";
import { expectedWeights } from "../../src/hub/expected_weights.ts";
import { withinBounds } from "../within.ts";
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

/** `model_index.json` of components. */
function indexOf(components: readonly string[]): FileSource {
  const text = JSON.stringify(Object.fromEntries(components.map((name) => [name, null])));
  return memoryFile("index", new TextEncoder().encode(text));
}

Deno.test("expectedWeights() finds the parts of weights, those of a variant too", async () => {
  const parts = {
    "transformer/diffusion_pytorch_model.safetensors.index.json": [
      "transformer/diffusion_pytorch_model-00001-of-00002.safetensors",
      "transformer/diffusion_pytorch_model-00002-of-00002.safetensors",
    ],
    "vqvae/diffusion_pytorch_model.safetensors.index.fp16.json": [
      "vqvae/diffusion_pytorch_model-00001-of-00001.fp16.safetensors",
    ],
    "text_encoder/model.safetensors.fp16.index.json": [
      "text_encoder/model.fp16-00001-of-00001.safetensors",
    ],
    "other/pytorch_model.bin.index.json": ["other/pytorch_model-00001-of-00001.bin"],
  };
  const names = [
    ...Object.entries(parts).flat(2),
    "transformer/config.json",
    "transformer/diffusion_pytorch_model-00001-of-00002.bin",
    "transformer/diffusion_pytorch_model_ema-00001-of-00001.safetensors",
    "text_encoder/old/model-00001-of-00001.safetensors",
    "model-00001-of-00001.safetensors",
  ];
  const index = indexOf(["transformer", "vqvae", "text_encoder", "other", "tokenizer"]);
  const found = await expectedWeights(index, new Map(names.map((name) => [name, undefined])));
  assertEquals(found, Object.values(parts).flat());
});

Deno.test("expectedWeights() takes no longer for each component where there are many files", async () => {
  const components = Array.from({ length: 50_000 }, (_, i) => `c${i}`);
  const names = components.flatMap((name) => [
    `${name}/model.safetensors.index.json`,
    `${name}/model-00001-of-00001.safetensors`,
  ]);
  const all = new Map(names.map((name) => [name, undefined]));
  const find = () => expectedWeights(indexOf(components), all);
  assertEquals((await withinBounds("a listing of 100 000 files", find)).length, 50_000);
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
