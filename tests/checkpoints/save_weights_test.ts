import { assert, assertEquals, assertRejects } from "@std/assert";
import { float32Values } from "../../src/backends/host_arrays.ts";
import type { ArraySource, StoredArray } from "../../src/checkpoints/arrays.ts";
import { convertArray } from "../../src/checkpoints/convert.ts";
import { openFolder } from "../../src/checkpoints/folders.ts";
import { writeFolder } from "../../src/files/folder_writer.ts";
import { memoryFile } from "../../src/files/memory_folder.ts";
import { openSafetensors } from "../../src/checkpoints/safetensors.ts";
import { quantizationConfig } from "../../src/checkpoints/quantization_config.ts";
import { encodeSafetensors } from "../../src/checkpoints/safetensors_writer.ts";
import { saveWeights, type SaveWeightsOptions } from "../../src/checkpoints/save_weights.ts";
import { openTorchFile } from "../../src/checkpoints/torch/torch_file.ts";
import { openArrays } from "../../src/checkpoints/weights.ts";
import { inTemporaryFolder } from "../temporary_folder.ts";

const ZIP = new URL("../fixtures/torch_pickle/zip.bin", import.meta.url);

async function listing(path: string): Promise<string[]> {
  const names: string[] = [];
  for await (const { name, isDirectory } of Deno.readDir(path)) {
    if (isDirectory) names.push(...(await listing(`${path}/${name}`)).map((n) => `${name}/${n}`));
    else names.push(name);
  }
  return names.toSorted();
}

async function saved(
  path: string,
  source: ArraySource,
  options?: SaveWeightsOptions,
): Promise<ArraySource> {
  await using folder = await writeFolder(path);
  await saveWeights(source, folder.folder("vqvae"), "model.safetensors", options);
  await folder.commit();
  return await openArrays(await (await openFolder(path)).open("vqvae/model.safetensors"));
}

Deno.test("saveWeights() gives safetensors of what was loaded from a torch file", async () => {
  await inTemporaryFolder(async (path) => {
    await using source = await openTorchFile(memoryFile("zip.bin", await Deno.readFile(ZIP)));
    await using copy = await saved(path, source);
    const floats = source.names().filter((name) => source.dtype(name)?.includes("F"));
    assertEquals(copy.names().toSorted(), floats.toSorted());
    for (const name of floats) assertEquals(await copy.load(name), await source.load(name), name);
  });
});

Deno.test("saveWeights() converts to every type, array by array", async () => {
  const matrix = new Float32Array([1, -2, 3, 0.25, 0.5, -1]);
  const arrays: [string, StoredArray][] = [
    ["fc.weight", { dtype: "F32", shape: [2, 3], bytes: new Uint8Array(matrix.buffer) }],
    ["norm.weight", { dtype: "BF16", shape: [1], bytes: new Uint8Array([0x80, 0x3f]) }],
    ["ids", { dtype: "I64", shape: [1], bytes: new Uint8Array(8) }],
  ];
  const original = encodeSafetensors(arrays);
  await inTemporaryFolder(async (path) => {
    await using source = await openSafetensors(memoryFile("model", original));
    await using half = await saved(path, source, { dtype: "fp16" });
    assertEquals(half.names(), ["fc.weight", "norm.weight"]);
    assertEquals(half.dtype("norm.weight"), "F16");
    assertEquals(float32Values(await half.load("fc.weight")), matrix);
    await using some = await saved(path, source, { dtype: "fp32", names: ["norm.weight"] });
    assertEquals(some.names(), ["norm.weight"]);
    assertEquals((await some.load("norm.weight")).data, new Float32Array([1]));
    const quantize = (name: string) => name === "fc.weight";
    await using small = await saved(path, source, { dtype: "q8", quantize });
    assertEquals(small.names().toSorted(), ["fc.weight", "norm.weight"]);
    assertEquals(small.dtype("norm.weight"), "BF16");
    assertEquals(small.shape("fc.weight_scale"), [2, 1]);
    const weight = await source.load("fc.weight");
    assertEquals(await small.load("fc.weight"), await convertArray(weight, "q8", "fc.weight"));
    await using again = await saved(`${path}/again`, small, {});
    assertEquals(await again.load("fc.weight"), await small.load("fc.weight"));
  });
});

Deno.test("quantizationConfig() names what stays as it was", () => {
  const config = quantizationConfig(["out"]);
  assertEquals(config.quant_method, "compressed-tensors");
  assertEquals(config.ignore, ["out"]);
});

Deno.test("writeFolder() shows files only when all are complete", async () => {
  await inTemporaryFolder(async (path) => {
    await Deno.writeTextFile(`${path}/config.json`, "old");
    await using folder = await writeFolder(path);
    await folder.writeText("config.json", "new");
    await folder.folder("a").folder("b").writeText("c.json", "{}");
    assertEquals(await Deno.readTextFile(`${path}/config.json`), "old");
    assertEquals((await listing(path)).filter((name) => !name.endsWith(".tmp")), ["config.json"]);
    await folder.commit();
    assertEquals(await Deno.readTextFile(`${path}/config.json`), "new");
    assertEquals(await listing(path), ["a/b/c.json", "config.json"]);
  });
});

Deno.test("writeFolder() leaves nothing behind when writing fails", async () => {
  await inTemporaryFolder(async (path) => {
    const source: ArraySource = await openSafetensors(memoryFile(
      "model",
      encodeSafetensors([["a", {
        dtype: "F32",
        shape: [1],
        bytes: new Uint8Array(new Float32Array([1e9]).buffer),
      }]]),
    ));
    await assertRejects(
      () => saved(`${path}/new`, source, { dtype: "fp16" }),
      RangeError,
      "Cannot hold a as float16",
    );
    const signal = AbortSignal.abort(new Error("stopped"));
    await assertRejects(() => saved(`${path}/new`, source, { signal }), Error, "stopped");
    assertEquals(await listing(path), []);
    await assertRejects(() => Deno.stat(`${path}/new`), Deno.errors.NotFound);
    await using folder = await writeFolder(path);
    await assertRejects(() => folder.writeText("../x", ""), RangeError, "inside the folder");
    assert((await Deno.stat(path)).isDirectory);
  });
});
