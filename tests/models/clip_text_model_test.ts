import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { CLIPTextModel } from "../../src/models/clip_text_model.ts";
import { BACKENDS } from "../backends/backends.ts";
import { assertClose } from "../backends/operations/trial.ts";
import { GoldenCase, goldenCases } from "./golden.ts";

// Ten times the error of float32 in the reference.
const TOLERANCE = { absolute: 2e-5 };

for (const { name, slow, make } of BACKENDS) {
  for (const path of goldenCases("clip_text", slow ? "small" : "all")) {
    Deno.test(`${name}: CLIPTextModel.forward() gives the hidden states of ${path}`, async () => {
      const golden = new GoldenCase(path);
      await using backend = await make();
      const before = backend.memoryUse();
      {
        await using model = await CLIPTextModel.create(
          backend,
          await golden.config(),
          await golden.weights("model.safetensors"),
        );
        for (let i = 0; golden.names().includes(`input_ids_${i}`); i++) {
          using ids = golden.idTensor(backend, `input_ids_${i}`);
          using hidden = model.forward(ids);
          const expected = golden.floats(`last_hidden_state_${i}`);
          assertEquals(hidden.shape, expected.shape);
          assertClose(await hidden.data(), expected.data, TOLERANCE, `text ${i}`);
        }
      }
      assertEquals(backend.memoryUse(), before);
    });
  }
}

const SMALL = "clip_text/c_small_signal";

async function load(changes: Record<string, unknown> = {}) {
  const golden = new GoldenCase(SMALL);
  const { description, values } = await golden.config();
  const backend = await BACKENDS[0]!.make();
  const config = { description, values: { ...values, ...changes } };
  const weights = await golden.weights("model.safetensors");
  return { backend, model: await CLIPTextModel.create(backend, config, weights) };
}

Deno.test("CLIPTextModel.forward() refuses ids of another shape, length or type", async () => {
  const { backend, model } = await load();
  await using _model = model;
  using flat = backend.tensor(new Int32Array(5), [5]);
  using long = backend.tensor(new Int32Array(78), [1, 78]);
  using floats = backend.tensor(new Float32Array(5), [1, 5]);
  const { bytes } = backend.memoryUse();
  assertThrows(() => model.forward(flat), RangeError, "ids has shape (5)");
  assertThrows(() => model.forward(long), RangeError, "at most 77");
  assertThrows(() => model.forward(floats as never), TypeError, "i32");
  assertEquals(backend.memoryUse().bytes, bytes);
});

Deno.test("CLIPTextModel.create() refuses configs that are not supported", async () => {
  for (
    const [changes, message] of [
      [{ hidden_act: "relu" }, `hidden_act is "relu"`],
      [{ num_attention_heads: 5 }, "a multiple of num_attention_heads"],
      [{ model_type: "bert" }, `model_type is "bert"`],
      [{ num_hidden_layers: 0 }, "num_hidden_layers is 0"],
    ] as const
  ) {
    await assertRejects(() => load(changes), RangeError, message);
  }
  await assertRejects(() => load({ vocab_size: "many" }), TypeError, "vocab_size");
});

Deno.test("CLIPTextModel.create() names all arrays that do not fit the config", async () => {
  const error = await assertRejects(
    () => load({ num_hidden_layers: 1, vocab_size: 301 }),
    TypeError,
    "token_embedding.weight has shape (300, 32), expected (301, 32)",
  );
  assertEquals(error.message.match(/text_model\.encoder\.layers\.1\./g)?.length, 16);
  await assertRejects(
    () => load({ num_hidden_layers: 3 }),
    TypeError,
    "missing text_model.encoder.layers.2",
  );
});
