import { assert, assertEquals, assertNotEquals, assertRejects, assertThrows } from "@std/assert";
import type { Backend } from "../../src/backends/backend.ts";
import { Transformer2DModel } from "../../src/models/transformer_2d.ts";
import { BACKENDS } from "../backends/backends.ts";
import { assertClose } from "../backends/operations/trial.ts";
import { GoldenCase, goldenCases } from "./golden.ts";

// Ten times the error of float32 in the reference.
const TOLERANCE = { absolute: 1e-4 };

async function create(backend: Backend, golden: GoldenCase, dtype?: "fp16" | "q8") {
  const [config, weights] = [await golden.config(), await golden.weights()];
  return await Transformer2DModel.create(backend, config, weights, dtype ? { dtype } : {});
}

function timestepsOf(golden: GoldenCase): number[] {
  return golden.names().flatMap((name) => {
    const match = /^latents_t(\d+)$/.exec(name);
    return match ? [Number(match[1])] : [];
  });
}

for (const { name, slow, make } of BACKENDS) {
  for (const path of goldenCases("transformer", slow ? "small" : "all")) {
    Deno.test(`${name}: Transformer2DModel.forward() predicts as in ${path}`, async () => {
      const golden = new GoldenCase(path);
      await using backend = await make();
      const before = backend.memoryUse();
      {
        await using model = await create(backend, golden);
        for (const timestep of timestepsOf(golden)) {
          using sample = golden.idTensor(backend, `latents_t${timestep}`);
          using encoderHiddenStates = golden.tensor(
            backend,
            `encoder_hidden_states_t${timestep}`,
          );
          using logProbs = model.forward({ sample, encoderHiddenStates, timestep });
          const expected = golden.floats(`log_p_x0_t${timestep}`);
          assertEquals(logProbs.shape, expected.shape);
          assertClose(await logProbs.data(), expected.data, TOLERANCE, `timestep ${timestep}`);
        }
      }
      assertEquals(backend.memoryUse(), before);
    });
  }

  Deno.test(`${name}: Transformer2DModel.forward() shares a sample between contexts`, async () => {
    const golden = new GoldenCase(SMALL);
    await using backend = await make();
    await using model = await create(backend, golden);
    const latents = golden.ids("latents_t1");
    const [batch, pixels] = latents.shape as [number, number];
    using sample = backend.tensor(latents.data, [batch, pixels]);
    using doubled = backend.tensor(
      Int32Array.from([...latents.data, ...latents.data]),
      [2 * batch, pixels],
    );
    const [first, second] = ["t1", "t37"].map((t) => golden.floats(`encoder_hidden_states_${t}`));
    using encoderHiddenStates = backend.tensor(
      Float32Array.from([...first!.data, ...second!.data]),
      [2 * batch, ...first!.shape.slice(1)],
    );
    using shared = model.forward({ sample, encoderHiddenStates, timestep: 1 });
    using repeated = model.forward({ sample: doubled, encoderHiddenStates, timestep: 1 });
    assertEquals(shared.shape, repeated.shape);
    // The same sums in the same order, unless a backend tiles other row counts otherwise.
    assertClose(await shared.data(), await repeated.data(), { absolute: 1e-5 }, "shared");
    const half = (await shared.data()).slice(0, golden.floats("log_p_x0_t1").data.length);
    assertClose(half, golden.floats("log_p_x0_t1").data, TOLERANCE, "first context");
  });

  Deno.test(`${name}: Transformer2DModel.create() holds weights in less memory`, async () => {
    const golden = new GoldenCase(SMALL);
    await using backend = await make();
    const predict = async (dtype?: "fp16" | "q8") => {
      await using model = await create(backend, golden, dtype);
      using sample = golden.idTensor(backend, "latents_t37");
      using encoderHiddenStates = golden.tensor(backend, "encoder_hidden_states_t37");
      using logProbs = model.forward({ sample, encoderHiddenStates, timestep: 37 });
      return { data: await logProbs.data(), bytes: backend.memoryUse().bytes };
    };
    const [full, half, quarter] = [await predict(), await predict("fp16"), await predict("q8")];
    assert(half.bytes < full.bytes && quarter.bytes < full.bytes);
    // Weights have 11 and 8 bits, activations of q8 at least 7, and logits reach about 10: these are
    // errors of some 2⁻¹¹ and 2⁻⁷ of that, a few times over.
    assertNotEquals(half.data, full.data);
    assertClose(half.data, full.data, { absolute: 0.03 }, "fp16");
    assertClose(quarter.data, full.data, { absolute: 0.6 }, "q8");
  });
}

const SMALL = "transformer/d_small_signal";

async function load(changes: Record<string, unknown> = {}) {
  const golden = new GoldenCase(SMALL);
  const { description, values } = await golden.config();
  const backend = await BACKENDS[0]!.make();
  const config = { description, values: { ...values, ...changes } };
  const model = await Transformer2DModel.create(backend, config, await golden.weights());
  return { backend, model, golden };
}

Deno.test("Transformer2DModel.config names the fields in camel case", async () => {
  const { model } = await load();
  await using _model = model;
  const { json, ...config } = model.config;
  assertEquals(config, {
    conditionType: "text",
    numClassEmbeds: 0,
    unconditionalClass: undefined,
    numAttentionHeads: 3,
    attentionHeadDim: 12,
    numLayers: 2,
    crossAttentionDim: 20,
    attentionBias: true,
    sampleSize: 5,
    positionGrid: [5, 5],
    numVectorEmbeds: 20,
    activationFn: "geglu-approximate",
    feedForwardType: "linear",
    numEmbedsAdaNorm: 100,
  });
  assertEquals(json["_diffusers_version"], "0.9.0");
});

Deno.test("Transformer2DModel.forward() refuses arguments that do not fit", async () => {
  const { backend, model, golden } = await load();
  await using _model = model;
  using sample = golden.idTensor(backend, "latents_t1");
  using encoderHiddenStates = golden.tensor(backend, "encoder_hidden_states_t1");
  using short = backend.tensor(new Int32Array(24), [1, 24]);
  using narrow = backend.tensor(new Float32Array(2 * 7 * 19), [2, 7, 19]);
  using odd = backend.tensor(new Float32Array(3 * 7 * 20), [3, 7, 20]);
  const { bytes } = backend.memoryUse();
  const good = { sample, encoderHiddenStates, timestep: 1 };
  const refused = (changes: Partial<typeof good>, message: string) =>
    assertThrows(() => model.forward({ ...good, ...changes }), RangeError, message);
  refused({ sample: short }, "sample has shape (1, 24), expected (batch, 25)");
  refused({ encoderHiddenStates: narrow }, "expected (batch, length, 20)");
  refused({ encoderHiddenStates: odd }, "a multiple of the 2");
  for (const timestep of [-1, 100, 1.5, NaN]) refused({ timestep }, `timestep is ${timestep}`);
  assertThrows(() => model.forward({ ...good, sample: odd as never }), TypeError, "i32");
  assertEquals(backend.memoryUse().bytes, bytes);
});

Deno.test("Transformer2DModel.create() refuses configs that are not supported", async () => {
  for (
    const [changes, message] of [
      [{ in_channels: 4 }, "only discrete latents"],
      [{ activation_fn: "gelu" }, `activation_fn is "gelu"`],
      [{ only_cross_attention: true }, "only_cross_attention is true"],
      [{ use_linear_projection: true }, "use_linear_projection is true"],
      [{ norm_type: "ada_norm_zero" }, `norm_type is "ada_norm_zero"`],
      [{ num_vector_embeds: 1 }, "num_vector_embeds is 1"],
    ] as const
  ) {
    await assertRejects(() => load(changes), RangeError, message);
  }
  await assertRejects(() => load({ num_embeds_ada_norm: null }), TypeError, "num_embeds_ada_norm");
  await assertRejects(() => load({ num_layers: 3 }), TypeError, "transformer_blocks.2.attn1.to_q");
});

Deno.test("Transformer2DModel.create() gives all back if it is stopped", async () => {
  const golden = new GoldenCase(SMALL);
  const backend = await BACKENDS[0]!.make();
  const source = await golden.weights();
  const controller = new AbortController();
  let loaded = 0;
  let closed = false;
  const weights = {
    description: source.description,
    names: () => source.names(),
    shape: (name: string) => source.shape(name),
    dtype: (name: string) => source.dtype(name),
    loadStored: (name: string) => source.loadStored(name),
    load: (name: string) => {
      if (++loaded === 9) controller.abort();
      return source.load(name);
    },
    release: () => source.release(),
    [Symbol.asyncDispose]: () => Promise.resolve(void (closed = true)),
  };
  const { signal } = controller;
  await assertRejects(
    async () => Transformer2DModel.create(backend, await golden.config(), weights, { signal }),
    DOMException,
  );
  assertEquals([loaded, closed, backend.memoryUse().allocations], [9, true, 0]);
});

Deno.test("Transformer2DModel.forward() rejects reads of a run that was stopped", async () => {
  const { backend, model, golden } = await load();
  await using _model = model;
  using sample = golden.idTensor(backend, "latents_t1");
  using encoderHiddenStates = golden.tensor(backend, "encoder_hidden_states_t1");
  const inputs = { sample, encoderHiddenStates, timestep: 1 };
  const controller = new AbortController();
  using stopped = model.forward({ ...inputs, signal: controller.signal });
  controller.abort(new Error("enough"));
  await assertRejects(() => stopped.data(), Error, "enough");
  assertThrows(() => model.forward({ ...inputs, signal: controller.signal }), Error, "enough");
  using again = model.forward(inputs);
  assertClose(await again.data(), golden.floats("log_p_x0_t1").data, TOLERANCE, "again");
});

Deno.test("Transformer2DModel.forward() can be read while its result is disposed of", async () => {
  const { backend, model, golden } = await load();
  await using _model = model;
  using sample = golden.idTensor(backend, "latents_t1");
  using encoderHiddenStates = golden.tensor(backend, "encoder_hidden_states_t1");
  const { bytes } = backend.memoryUse();
  const result = model.forward({ sample, encoderHiddenStates, timestep: 1 });
  const data = result.data();
  result.dispose();
  result.dispose();
  assertClose(await data, golden.floats("log_p_x0_t1").data, TOLERANCE, "log p(x0)");
  assertEquals(backend.memoryUse().bytes, bytes);
  await assertRejects(async () => await result.data(), ReferenceError);
});

Deno.test("Transformer2DModel.forward() throws after dispose()", async () => {
  const { backend, model, golden } = await load();
  using sample = golden.idTensor(backend, "latents_t1");
  using encoderHiddenStates = golden.tensor(backend, "encoder_hidden_states_t1");
  await model.dispose();
  await model.dispose();
  const inputs = { sample, encoderHiddenStates, timestep: 1 };
  assertThrows(() => model.forward(inputs), ReferenceError, "disposed of");
});
