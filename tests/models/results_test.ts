// What results of the embedded model hold: their own bytes, not the memory that computing them took.

import { assert, assertEquals } from "@std/assert";
import type { Backend, Tensor } from "../../src/backends/backend.ts";
import { createWasmBackend } from "../../src/backends/wasm/wasm_backend.ts";
import { Transformer2DModel } from "../../src/models/transformer_2d.ts";
import { VQModel } from "../../src/models/vq_model.ts";

const WEIGHTS = new URL("../../weights/", import.meta.url);

/** Bytes that a result holds once it is there. The first time may pack weights for later ones. */
async function bytesHeld(backend: Backend, compute: () => Tensor): Promise<number> {
  using first = compute();
  await first.data();
  const before = backend.memoryUse();
  const result = compute();
  await result.data();
  const held = backend.memoryUse();
  assertEquals(held.allocations, before.allocations + 1);
  result.dispose();
  assertEquals(backend.memoryUse(), before);
  return held.bytes - before.bytes;
}

Deno.test("VQModel.decodeIndices() holds at most 208 KiB for a picture of 192 KiB", async () => {
  await using backend = await createWasmBackend({ threads: 2 });
  await using vqvae = await VQModel.fromPretrained(new URL("vqvae/", WEIGHTS), { backend });
  using indices = backend.tensor(Int32Array.from({ length: 64 }, (_, i) => 16 * i), [1, 64]);
  const bytes = await bytesHeld(backend, () => vqvae.decodeIndices(indices));
  assert(bytes >= 192 * 1024 && bytes <= 208 * 1024, `${bytes} bytes`);
});

Deno.test("Transformer2DModel.forward() holds the bytes of its prediction", async () => {
  await using backend = await createWasmBackend({ threads: 2 });
  const folder = new URL("transformer/", WEIGHTS);
  await using transformer = await Transformer2DModel.fromPretrained(folder, { backend });
  using sample = backend.tensor(new Int32Array(64).fill(1024), [1, 64]);
  const { crossAttentionDim } = transformer.config;
  using encoderHiddenStates = backend.tensor(
    new Float32Array(16 * crossAttentionDim).fill(0.1),
    [1, 16, crossAttentionDim],
  );
  const inputs = { sample, encoderHiddenStates, timestep: 5 };
  const bytes = await bytesHeld(backend, () => transformer.forward(inputs));
  const exact = 4 * 1024 * 64;
  // Vector loops may read a little past the end.
  assert(bytes >= exact && bytes <= exact + 256, `${bytes} bytes`);
});
