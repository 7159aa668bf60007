import { assertEquals, assertRejects } from "@std/assert";
import { type StoredArray, typedArray } from "../../src/checkpoints/arrays.ts";
import { memoryFolder } from "../../src/files/memory_folder.ts";
import { MissingFileError } from "../../src/files/paths.ts";
import { encodeSafetensors } from "../../src/checkpoints/safetensors_writer.ts";
import { openWeights } from "../../src/checkpoints/weights.ts";
import type { LoadEvent } from "../../src/files/progress.ts";
import { DIFFUSERS_WEIGHTS, TRANSFORMERS_WEIGHTS } from "../../src/files/weight_names.ts";

const INDEX = "diffusion_pytorch_model.safetensors.index.json";

function array(...values: number[]): StoredArray {
  const data = new Float32Array(values);
  return { dtype: "F32", shape: [values.length], bytes: new Uint8Array(data.buffer) };
}

function index(map: Record<string, unknown>): string {
  return JSON.stringify({ metadata: { total_size: 12 }, weight_map: map });
}

Deno.test("openWeights() takes the first file that is there", async () => {
  const folder = memoryFolder({
    "diffusion_pytorch_model.safetensors": encodeSafetensors([["a", array(1)]]),
    "other.safetensors": encodeSafetensors([["b", array(1)]]),
  });
  await using weights = await openWeights(folder, ["x.safetensors", ...DIFFUSERS_WEIGHTS]);
  assertEquals(weights.names(), ["a"]);
  assertEquals(weights.description, "memory/diffusion_pytorch_model.safetensors");
});

Deno.test("openWeights() says what it looked for", async () => {
  await assertRejects(
    () => openWeights(memoryFolder({}, "model").folder("vqvae"), ["a.safetensors", "b.bin"]),
    MissingFileError,
    "Cannot find the weights in model/vqvae: looked for a.safetensors, b.bin",
  );
});

Deno.test("openWeights() loads arrays from the files that an index names", async () => {
  const folder = memoryFolder({
    [INDEX]: index({ a: "one.safetensors", b: "two.safetensors", c: "two.safetensors" }),
    "one.safetensors": encodeSafetensors([["a", array(1)]]),
    "two.safetensors": encodeSafetensors([["b", array(2, 3)], ["c", array(4)]]),
  });
  await using weights = await openWeights(folder, DIFFUSERS_WEIGHTS);
  assertEquals(weights.names(), ["a", "b", "c"]);
  assertEquals(weights.shape("b"), [2]);
  assertEquals(weights.dtype("b"), "F32");
  assertEquals((await weights.load("b")).data, new Float32Array([2, 3]));
  assertEquals(typedArray(await weights.loadStored("c")), new Float32Array([4]));
  assertEquals(weights.shape("d"), undefined);
  await assertRejects(() => weights.load("d"), RangeError, "has no such array");
});

Deno.test("openWeights() refuses a damaged index", async () => {
  const shard = encodeSafetensors([["a", array(1)]]);
  const open = (text: string) =>
    openWeights(memoryFolder({ [INDEX]: text, "one.safetensors": shard }), DIFFUSERS_WEIGHTS);
  await assertRejects(() => open("{}"), SyntaxError, "has no weight_map");
  await assertRejects(() => open(`{"weight_map":[]}`), SyntaxError, "has no weight_map");
  await assertRejects(() => open(index({ a: 1 })), SyntaxError, '"a" is in 1, expected a file');
  await assertRejects(
    () => open(index({ b: "one.safetensors" })),
    SyntaxError,
    '"b" is not in "one',
  );
  await assertRejects(() => open(index({ a: "two.safetensors" })), MissingFileError, "two.safet");
  await assertRejects(
    () => open(index({ a: "../one.safetensors" })),
    SyntaxError,
    `"a" is in "../one.safetensors", expected a file in the folder`,
  );
});

Deno.test("openWeights() takes a variant under every name that it has had", async () => {
  const plain = "diffusion_pytorch_model.safetensors";
  const shard = { "one.safetensors": encodeSafetensors([["a", array(2)]]) };
  const indexed = index({ a: "one.safetensors" });
  const cases = [
    { "diffusion_pytorch_model.bf16.safetensors": encodeSafetensors([["a", array(2)]]) },
    { "diffusion_pytorch_model.safetensors.index.bf16.json": indexed, ...shard },
    { "diffusion_pytorch_model.safetensors.bf16.index.json": indexed, ...shard },
    { "diffusion_pytorch_model.bf16.bin": encodeSafetensors([["a", array(2)]]) },
  ];
  for (const files of cases) {
    const folder = memoryFolder({ [plain]: encodeSafetensors([["a", array(1)]]), ...files });
    const load = async (variant?: string) => {
      await using weights = await openWeights(folder, DIFFUSERS_WEIGHTS, { variant });
      return (await weights.load("a")).data;
    };
    assertEquals([await load("bf16"), await load()], [
      new Float32Array([2]),
      new Float32Array([1]),
    ]);
  }
  for (const variant of ["", "../x", "a b", "x".repeat(51), 1 as unknown as string]) {
    await assertRejects(
      () => openWeights(memoryFolder({}), DIFFUSERS_WEIGHTS, { variant }),
      RangeError,
      "Cannot open the weights: variant is",
    );
  }
});

Deno.test("openWeights() says so where it takes the ordinary weights in place of a variant", async () => {
  const folder = memoryFolder({ "model.safetensors": encodeSafetensors([["a", array(1)]]) }, "m");
  const events: LoadEvent[] = [];
  const onProgress = (event: LoadEvent) => void events.push(event);
  const options = { variant: "fp16", onProgress };
  await using weights = await openWeights(folder, TRANSFORMERS_WEIGHTS, options);
  assertEquals(weights.names(), ["a"]);
  const message = "m has no weights of the variant fp16: using model.safetensors";
  assertEquals(events, [{ type: "notice", message }]);
});
