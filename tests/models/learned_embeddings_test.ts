import { assertEquals, assertRejects } from "@std/assert";
import { memoryFile } from "../../src/files/memory_folder.ts";
import { openSafetensors } from "../../src/checkpoints/safetensors.ts";
import { encodeSafetensors } from "../../src/checkpoints/safetensors_writer.ts";
import { LearnedClassifierFreeSamplingEmbeddings } from "../../src/models/learned_embeddings.ts";
import { createOracle } from "../backends/oracle_backend.ts";

async function load(values: Record<string, unknown>, shape: number[], data: number[]) {
  const backend = await createOracle();
  const bytes = new Uint8Array(Float32Array.from(data).buffer);
  const file = encodeSafetensors([["embeddings", { dtype: "F32", shape, bytes }]]);
  return await LearnedClassifierFreeSamplingEmbeddings.create(
    backend,
    { description: "config.json", values },
    await openSafetensors(memoryFile("memory", file)),
  );
}

Deno.test("LearnedClassifierFreeSamplingEmbeddings has the embeddings as stored", async () => {
  const config = { learnable: true, hidden_size: 3, length: 2 };
  await using component = await load(config, [2, 3], [1, 2, 3, 4, 5, 6]);
  assertEquals(component.learnable, true);
  assertEquals(component.embeddings?.shape, [2, 3]);
  assertEquals(await component.embeddings?.data(), Float32Array.of(1, 2, 3, 4, 5, 6));
});

Deno.test("LearnedClassifierFreeSamplingEmbeddings may have none", async () => {
  const config = { learnable: false, hidden_size: null, length: null };
  await using component = await load(config, [0], []);
  assertEquals(component.learnable, false);
  assertEquals(component.embeddings, undefined);
});

Deno.test("LearnedClassifierFreeSamplingEmbeddings.create() refuses what does not fit", async () => {
  const config = { learnable: true, hidden_size: 3, length: 2 };
  await assertRejects(() => load(config, [3, 2], [1, 2, 3, 4, 5, 6]), TypeError, "expected (2, 3)");
  await assertRejects(() => load({ ...config, length: 0 }, [0, 3], []), RangeError, "length");
  await assertRejects(() => load({ ...config, learnable: null }, [0], []), TypeError, "learnable");
});
