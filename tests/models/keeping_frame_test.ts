// Models on a frame that keeps every result: what gradients need.

import { assertEquals, assertNotEquals } from "@std/assert";
import type { Backend, DataOf, DType, Frame, Tensor } from "../../src/backends/backend.ts";
import { CLIPTextModel } from "../../src/models/clip_text_model.ts";
import { Transformer2DModel } from "../../src/models/transformer_2d.ts";
import { VQModel } from "../../src/models/vq_model.ts";
import { BACKENDS } from "../backends/backends.ts";
import { CLASS_MODELS } from "../pipeline/class_models.ts";
import { GoldenCase } from "./golden.ts";
import { keepingFrame, type KeptOperation } from "./keeping_frame.ts";

const TRANSFORMERS = ["transformer/b_geglu", "transformer/d_small_signal"];
const TEXT = "clip_text/c_small_signal";
const VQ = "vq_model/d_small_signal";

/** Records a model, whose inputs are there. */
type RecordModel = (frame: Frame) => Tensor<DType>;

/**
 * Fails unless a model gives the same numbers on a frame that keeps every result, bit for bit; and unless
 * every operation, done again after all of them, gives its result again: then no argument of an
 * operation has been written after it was read.
 */
async function assertSameWhenKept(backend: Backend, record: RecordModel): Promise<void> {
  using plain = backend.frame();
  const expected = record(plain);
  await plain.run();

  using frame = backend.frame();
  const keeping = keepingFrame(frame);
  const result = record(keeping.frame);
  await frame.run();
  assertEquals(await result.data(), await expected.data());
  await assertRepeatable(backend, keeping.tape);
}

async function assertRepeatable(backend: Backend, tape: readonly KeptOperation[]): Promise<void> {
  for (const [i, { name, record, result }] of tape.entries()) {
    const again = await compute(backend, record);
    assertEquals(again, await result.data(), `operation ${i}, ${name}`);
  }
}

async function compute(
  backend: Backend,
  record: (frame: Frame) => Tensor<DType>,
): Promise<DataOf<DType>> {
  using frame = backend.frame();
  const result = record(frame);
  await frame.run();
  return await result.data();
}

for (const { name, make } of BACKENDS) {
  for (const path of TRANSFORMERS) {
    Deno.test(`${name}: Transformer2DModel runs on a frame that keeps all: ${path}`, async () => {
      const golden = new GoldenCase(path);
      await using backend = await make();
      const [config, weights] = [await golden.config(), await golden.weights()];
      await using model = await Transformer2DModel.create(backend, config, weights);
      const [t] = golden.names().flatMap((name) => /^latents_t(\d+)$/.exec(name)?.[1] ?? []);
      using tokens = golden.idTensor(backend, `latents_t${t}`);
      using context = golden.tensor(backend, `encoder_hidden_states_t${t}`);
      using timestep = backend.tensor(Int32Array.of(Number(t)), [1]);
      // One image for two contexts, as with guidance, and one for each.
      const pixels = model.config.sampleSize ** 2;
      using shared = backend.tensor((await tokens.data()).slice(0, pixels), [1, pixels]);
      for (const sample of [tokens, shared]) {
        await assertSameWhenKept(backend, (frame) => {
          return model.record(frame, {
            sample,
            context: model.recordContext(frame, context),
            timestep,
          });
        });
      }
    });
  }

  Deno.test(`${name}: Transformer2DModel of classes runs on a frame that keeps all`, async () => {
    await using backend = await make();
    const source = { backend, subfolder: "transformer" };
    await using model = await Transformer2DModel.fromPretrained(CLASS_MODELS.imagenet, source);
    using sample = backend.tensor(Int32Array.from({ length: 16 }, (_, i) => i % 13), [1, 16]);
    using timestep = backend.tensor(Int32Array.of(7), [1]);
    using labels = backend.tensor(Int32Array.of(1000, 3), [2]);
    await assertSameWhenKept(backend, (frame) => {
      const context = model.recordContext(frame, undefined, labels);
      return model.record(frame, { sample, context, timestep });
    });
  });

  Deno.test(`${name}: CLIPTextModel runs on a frame that keeps all`, async () => {
    const golden = new GoldenCase(TEXT);
    await using backend = await make();
    const weights = await golden.weights("model.safetensors");
    await using model = await CLIPTextModel.create(backend, await golden.config(), weights);
    using ids = golden.idTensor(backend, "input_ids_0");
    await assertSameWhenKept(backend, (frame) => model.record(frame, ids));
  });

  Deno.test(`${name}: VQModel runs on a frame that keeps all`, async () => {
    const golden = new GoldenCase(VQ);
    await using backend = await make();
    await using model = await VQModel.create(
      backend,
      await golden.config(),
      await golden.weights(),
    );
    const { inChannels, numVqEmbeddings } = model.config;
    using image = backend.tensor(waves(2 * 8 * 6 * inChannels), [2, 8, 6, inChannels]);
    const codes = Int32Array.from({ length: 24 }, (_, i) => 7 * i % numVqEmbeddings);
    using indices = backend.tensor(codes, [2, 12]);
    await assertSameWhenKept(backend, (frame) => model.recordEncodeIndices(frame, image));
    const size = { height: 4, width: 3 };
    await assertSameWhenKept(backend, (frame) => model.recordDecodeIndices(frame, indices, size));
  });
}

function waves(length: number): Float32Array {
  return Float32Array.from({ length }, (_, i) => Math.sin(i));
}

Deno.test("keepingFrame() adds out of place, where a frame adds in place", async () => {
  await using backend = await BACKENDS[0]!.make();
  const identity = { dtype: "f32", shape: [2, 2], data: Float32Array.of(1, 0, 0, 1) } as const;
  using weight = backend.linearWeight([identity], []);
  using x = backend.tensor(Float32Array.of(1, 2), [1, 2]);
  const add = async (wrap: (frame: Frame) => Frame) => {
    using frame = backend.frame();
    const addTo = frame.empty([1, 2], "f32");
    addTo.write(Float32Array.of(10, 20));
    const sum = wrap(frame).linear(x, weight, { addTo });
    await frame.run();
    return { addTo: await addTo.data(), sum: await sum.data() };
  };
  const [plain, kept] = [
    await add((frame) => frame),
    await add((frame) => keepingFrame(frame).frame),
  ];
  assertEquals(plain.sum, Float32Array.of(11, 22));
  assertEquals(kept.sum, plain.sum);
  assertEquals(kept.addTo, Float32Array.of(10, 20));
  assertNotEquals(plain.addTo, kept.addTo);
});
