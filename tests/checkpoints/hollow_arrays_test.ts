import { assertEquals, assertRejects } from "@std/assert";
import type { ArraySource, StoredArray } from "../../src/checkpoints/arrays.ts";
import { hollowArrays } from "../../src/checkpoints/hollow_arrays.ts";
import { openSafetensors } from "../../src/checkpoints/safetensors.ts";
import { encodeSafetensors } from "../../src/checkpoints/safetensors_writer.ts";
import { memoryFolder } from "../../src/files/memory_folder.ts";

async function source(): Promise<ArraySource> {
  const array = (dtype: StoredArray["dtype"], shape: number[], bytes: number): StoredArray => {
    return { dtype, shape, bytes: new Uint8Array(bytes) };
  };
  const bytes = encodeSafetensors(
    new Map([
      ["floats", array("F32", [2, 3], 24)],
      ["halves", array("F16", [4], 8)],
      ["ints", array("I8", [2, 3], 6)],
      ["ints_scale", array("F32", [2, 1], 8)],
    ]),
  );
  return await openSafetensors(
    await memoryFolder({ "a.safetensors": bytes }).open("a.safetensors"),
  );
}

Deno.test("hollowArrays() has the names, shapes and types of a checkpoint, and no elements", async () => {
  await using arrays = await source();
  const hollow = hollowArrays(arrays);
  assertEquals(hollow.names(), ["floats", "halves", "ints"]);
  for (const name of hollow.names()) {
    assertEquals([hollow.shape(name), hollow.dtype(name)], [
      arrays.shape(name),
      arrays.dtype(name),
    ]);
    const [full, empty] = [await arrays.load(name), await hollow.load(name)];
    assertEquals([empty.shape, empty.dtype, empty.data.length], [full.shape, full.dtype, 0]);
    assertEquals(empty.data.constructor, full.data.constructor);
  }
  await assertRejects(async () => await hollow.load("none"), RangeError, "Cannot load none");
});

Deno.test("hollowArrays() does not read the checkpoint", async () => {
  await using arrays = await source();
  for (const method of ["load", "loadStored"]) {
    Object.defineProperty(arrays, method, { value: () => Promise.reject(new Error("read")) });
  }
  const hollow = hollowArrays(arrays);
  for (const name of hollow.names()) assertEquals((await hollow.load(name)).data.length, 0);
});

Deno.test("hollowArrays() leaves the checkpoint open", async () => {
  await using arrays = await source();
  await hollowArrays(arrays)[Symbol.asyncDispose]();
  assertEquals((await arrays.load("halves")).data.length, 4);
});
