import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { VQModel } from "../../src/models/vq_model.ts";
import { BACKENDS } from "../backends/backends.ts";
import { assertClose } from "../backends/operations/trial.ts";
import { GoldenCase, goldenCases } from "./golden.ts";

// Ten times the error of float32 in the reference.
const LATENTS = { absolute: 2e-5 };
const IMAGES = { absolute: 1e-4 };

for (const { name, slow, make } of BACKENDS) {
  for (const path of goldenCases("vq_model", slow ? "small" : "all")) {
    Deno.test(`${name}: VQModel encodes, quantizes and decodes as in ${path}`, async () => {
      const golden = new GoldenCase(path);
      await using backend = await make();
      const before = backend.memoryUse();
      {
        await using model = await VQModel.create(
          backend,
          await golden.config(),
          await golden.weights(),
        );
        for (let i = 0; golden.names().includes(`image_${i}`); i++) {
          await compareEncoding(golden, model, i);
          await compareDecoding(golden, model, i);
        }
      }
      assertEquals(backend.memoryUse(), before);
    });
  }
}

async function compareEncoding(golden: GoldenCase, model: VQModel, i: number): Promise<void> {
  using images = golden.tensor(model.backend, `image_${i}`);
  using latents = model.encode(images);
  const expected = golden.floats(`latents_${i}`);
  assertEquals(latents.shape, expected.shape);
  assertClose(await latents.data(), expected.data, LATENTS, `latents ${i}`);

  const quantized = model.quantize(latents);
  using nearest = quantized.latents;
  using indices = quantized.indices;
  assertEquals(indices.shape, golden.ids(`indices_${i}`).shape);
  assertEquals(await indices.data(), golden.ids(`indices_${i}`).data);
  assertEquals(nearest.shape, expected.shape);
  assertClose(await nearest.data(), golden.floats(`quantized_${i}`).data, LATENTS, `codes ${i}`);
}

async function compareDecoding(golden: GoldenCase, model: VQModel, i: number): Promise<void> {
  const { backend } = model;
  using latents = golden.tensor(backend, `latents_${i}`);
  using decoded = model.decode(latents);
  const expected = golden.floats(`decode_quantized_${i}`);
  assertEquals(decoded.shape, expected.shape);
  assertClose(await decoded.data(), expected.data, IMAGES, `decoded ${i}`);

  const fromCodes = golden.floats(`decode_from_codes_${i}`);
  using entries = golden.tensor(backend, `codebook_entries_${i}`);
  using forced = model.decode(entries, { forceNotQuantize: true });
  assertClose(await forced.data(), fromCodes.data, IMAGES, `decoded from entries ${i}`);

  const [, , height, width] = latents.shape as [number, number, number, number];
  using codes = golden.idTensor(backend, `codes_${i}`);
  using images = model.decodeIndices(codes, { height, width });
  assertEquals(images.shape, fromCodes.shape);
  assertClose(await images.data(), fromCodes.data, IMAGES, `decoded from codes ${i}`);
}

const SMALL = "vq_model/d_small_signal";

async function load(changes: Record<string, unknown> = {}) {
  const golden = new GoldenCase(SMALL);
  const { description, values } = await golden.config();
  const backend = await BACKENDS[0]!.make();
  const config = { description, values: { ...values, ...changes } };
  return { backend, model: await VQModel.create(backend, config, await golden.weights()) };
}

Deno.test("VQModel.decodeIndices() takes squares unless height or width are given", async () => {
  const { backend, model } = await load();
  await using _model = model;
  using square = backend.tensor(new Int32Array(4), [1, 4]);
  using row = backend.tensor(new Int32Array(3), [1, 3]);
  for (
    const [indices, size, shape] of [
      [square, {}, [1, 3, 4, 4]],
      [square, { height: 1 }, [1, 3, 2, 8]],
      [square, { width: 1 }, [1, 3, 8, 2]],
      [row, { height: 3, width: 1 }, [1, 3, 6, 2]],
    ] as const
  ) {
    using images = model.decodeIndices(indices, size);
    assertEquals(images.shape, [...shape]);
  }
  assertThrows(() => model.decodeIndices(row), RangeError, "is 3, expected those of a square");
  assertThrows(() => model.decodeIndices(row, { height: 2 }), RangeError, "a height of 2");
  assertThrows(
    () => model.decodeIndices(row, { height: 3, width: 3 }),
    RangeError,
    "a height of 3 and a width of 3",
  );
  assertThrows(() => model.decodeIndices(row, { height: 0 }), RangeError, "a height of 0");
});

Deno.test("VQModel refuses arguments that do not fit", async () => {
  const { backend, model } = await load();
  await using _model = model;
  using gray = backend.tensor(new Float32Array(16), [1, 1, 4, 4]);
  using tiny = backend.tensor(new Float32Array(3), [1, 3, 1, 1]);
  using ids = backend.tensor(new Int32Array(4), [1, 4]);
  const { bytes } = backend.memoryUse();
  assertThrows(() => model.encode(gray), RangeError, "expected (batch, 3, height, width)");
  assertThrows(() => model.encode(tiny), RangeError, "expected at least 2");
  assertThrows(() => model.encode(ids as never), TypeError, "f32");
  assertThrows(() => model.quantize(gray), RangeError, "expected (batch, 4, height, width)");
  assertThrows(() => model.decode(gray), RangeError, "expected (batch, 4, height, width)");
  assertThrows(() => model.decodeIndices(gray as never), TypeError, "i32");
  assertEquals(backend.memoryUse().bytes, bytes);
});

Deno.test("VQModel.quantize() frees its frame with the last of its results", async () => {
  const { backend, model } = await load();
  await using _model = model;
  using latents = backend.tensor(new Float32Array(4 * 6), [1, 4, 2, 3]);
  const before = backend.memoryUse();
  const { latents: nearest, indices } = model.quantize(latents);
  indices.dispose();
  assertEquals(nearest.shape, [1, 4, 2, 3]);
  assertEquals((await nearest.data()).length, 24);
  nearest.dispose();
  assertEquals(backend.memoryUse(), before);
});

Deno.test("VQModel.create() refuses configs that are not supported", async () => {
  for (
    const [changes, message] of [
      [{ act_fn: "relu" }, `act_fn is "relu"`],
      [{ norm_type: "spatial" }, `norm_type is "spatial"`],
      [{ down_block_types: ["DownBlock2D", "DownBlock2D"] }, "down_block_types[0]"],
      [{ up_block_types: ["UpDecoderBlock2D"] }, "equally many"],
      [{ norm_num_groups: 5 }, "multiples of norm_num_groups, 5"],
      [{ _class_name: "AutoencoderKL" }, `_class_name is "AutoencoderKL"`],
    ] as const
  ) {
    await assertRejects(() => load(changes), RangeError, message);
  }
  await assertRejects(() => load({ num_vq_embeddings: 17 }), TypeError, "expected (17, 4)");
  await assertRejects(() => load({ layers_per_block: 2 }), TypeError, "resnets.1");
});
