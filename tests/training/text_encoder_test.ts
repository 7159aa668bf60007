// A text encoder that is trained along, against one that is not, and against differences of the loss.

import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import type { Backend } from "../../src/backends/backend.ts";
import { encodeSafetensors } from "../../src/checkpoints/safetensors_writer.ts";
import { openSafetensors } from "../../src/checkpoints/safetensors.ts";
import { memoryFile } from "../../src/files/memory_folder.ts";
import { CLIPTextModel } from "../../src/models/clip_text_model.ts";
import { LearnedClassifierFreeSamplingEmbeddings } from "../../src/models/learned_embeddings.ts";
import type { TrainableTextEncoder } from "../../src/training/caption_embeddings.ts";
import {
  type DiffusionBatch,
  DiffusionLoss,
  type DiffusionLossOptions,
  type TensorGradient,
} from "../../src/training/diffusion_loss.ts";
import { TrainableParameters } from "../../src/training/trainable_parameters.ts";
import { BACKENDS } from "../backends/backends.ts";
import { assertClose, product, Random } from "../backends/operations/trial.ts";
import { makeWebGpu, WITHOUT_WEBGPU } from "../backends/webgpu_adapter.ts";
import {
  GoldenArrays,
  goldenBatch,
  goldenScheduler,
  goldenTransformer,
} from "./golden_training.ts";

const [BATCH, LENGTH, COLUMNS, VOCABULARY] = [4, 5, 12, 20] as const;
const SIZES = { batch: BATCH, length: LENGTH };
const INPUT_IDS = Int32Array.from({ length: BATCH * LENGTH }, (_, i) => i * i % VOCABULARY);

const CONFIG = {
  hidden_size: COLUMNS,
  num_hidden_layers: 2,
  num_attention_heads: 3,
  intermediate_size: 20,
  vocab_size: VOCABULARY,
  max_position_embeddings: 6,
};

/** Names and shapes of the arrays of the encoder. */
function shapes(): [name: string, shape: number[]][] {
  const pair = (name: string, out: number, ...inside: number[]) =>
    [[`${name}.weight`, [out, ...inside]], [`${name}.bias`, [out]]] as [string, number[]][];
  const layer = (name: string) => [
    ...pair(`${name}.layer_norm1`, COLUMNS),
    ...["q_proj", "k_proj", "v_proj", "out_proj"]
      .flatMap((projection) => pair(`${name}.self_attn.${projection}`, COLUMNS, COLUMNS)),
    ...pair(`${name}.layer_norm2`, COLUMNS),
    ...pair(`${name}.mlp.fc1`, 20, COLUMNS),
    ...pair(`${name}.mlp.fc2`, COLUMNS, 20),
  ];
  return [
    ["embeddings.token_embedding.weight", [VOCABULARY, COLUMNS]],
    ["embeddings.position_embedding.weight", [6, COLUMNS]],
    ...[0, 1].flatMap((i) => layer(`encoder.layers.${i}`)),
    ...pair("final_layer_norm", COLUMNS),
  ];
}

/** An encoder of random weights, which is trained if `parameters` are given. */
async function encoderOf(backend: Backend, parameters?: TrainableParameters) {
  const random = new Random(3);
  const arrays = shapes().map(([name, shape]) => {
    const bytes = new Uint8Array(random.floats(product(shape)).buffer as ArrayBuffer);
    return [`text_model.${name}`, { dtype: "F32", shape, bytes }] as const;
  });
  const file = await openSafetensors(memoryFile("encoder", encodeSafetensors(arrays)));
  const config = { description: "config", values: CONFIG };
  return await CLIPTextModel.create(backend, config, file, { parameters });
}

async function trainableEncoder(
  backend: Backend,
): Promise<TrainableTextEncoder & AsyncDisposable> {
  const parameters = new TrainableParameters();
  const model = await encoderOf(backend, parameters);
  return { model, parameters, [Symbol.asyncDispose]: () => model.dispose() };
}

/** What an encoder that is not trained makes of the ids. */
async function embeddingsOf(backend: Backend): Promise<Float32Array> {
  await using model = await encoderOf(backend);
  using frame = backend.frame();
  const ids = frame.empty([BATCH, LENGTH], "i32");
  ids.write(INPUT_IDS);
  const embeddings = frame.normalizeRows(model.record(frame, ids));
  await frame.run();
  return await embeddings.data();
}

async function unconditionalOf(backend: Backend) {
  const shape = [LENGTH, COLUMNS];
  const bytes = new Uint8Array(new Random(4).floats(product(shape)).buffer as ArrayBuffer);
  const file = encodeSafetensors([["embeddings", { dtype: "F32", shape, bytes }]]);
  const values = { learnable: true, length: LENGTH, hidden_size: COLUMNS };
  const config = { description: "config", values };
  const parameters = new TrainableParameters();
  const source = await openSafetensors(memoryFile("embeddings", file));
  const embeddings = await LearnedClassifierFreeSamplingEmbeddings.create(
    backend,
    config,
    source,
    { parameters },
  );
  return { embeddings, parameters, [Symbol.asyncDispose]: () => embeddings.dispose() };
}

function batchOf(captions: Partial<DiffusionBatch>): DiffusionBatch {
  const { encoderHiddenStates: _, ...batch } = goldenBatch(new GoldenArrays("text/batch_main"));
  return { ...batch, ...captions };
}

/** The loss of a batch, and gradients by name. */
async function lossOf(
  backend: Backend,
  options: Partial<DiffusionLossOptions>,
  captions: Partial<DiffusionBatch>,
): Promise<{ value: number; gradients: Map<string, Float32Array> }> {
  const { transformer, parameters } = await goldenTransformer(backend);
  await using _transformer = transformer;
  const schedules = await goldenScheduler();
  using loss = new DiffusionLoss(transformer, parameters, schedules, { ...SIZES, ...options });
  const { loss: value } = await loss.compute(batchOf(captions));
  const read = loss.gradients.map(async ({ parameter, gradient }: TensorGradient) =>
    [parameter.arrays[0]![0], await gradient.data()] as const
  );
  return { value, gradients: new Map(await Promise.all(read)) };
}

const MAKERS: readonly { name: string; ignore: boolean; make: () => Promise<Backend> }[] = [
  ...BACKENDS.map((backend) => ({ ...backend, ignore: false })),
  { name: "WebGPU", ignore: WITHOUT_WEBGPU, make: makeWebGpu },
];

/** Sums of some dozen float32 terms of size 1, in another order or by other instructions. */
const NEAR = { absolute: 1e-5, relative: 1e-5 };

for (const { name, ignore, make } of MAKERS) {
  Deno.test({
    name: `${name}: DiffusionLoss with a text encoder is that with its embeddings`,
    ignore,
    fn: async () => {
      await using backend = await make();
      await using textEncoder = await trainableEncoder(backend);
      const trained = await lossOf(backend, { textEncoder }, { inputIds: INPUT_IDS });
      const encoderHiddenStates = await embeddingsOf(backend);
      const frozen = await lossOf(backend, {}, { encoderHiddenStates });
      assertClose([trained.value], [frozen.value], NEAR, "loss");
      for (const [name, gradient] of frozen.gradients) {
        assertClose(trained.gradients.get(name)!, gradient, NEAR, name);
      }
      const own = shapes().map(([name]) => `text_model.${name}`);
      const found = textEncoder.parameters.tensors.flatMap(({ arrays }) => arrays.map(([n]) => n));
      assertEquals(new Set(found), new Set(own));
      assertEquals(
        trained.gradients.size,
        frozen.gradients.size + textEncoder.parameters.tensors.length,
      );
      await using oracle = await BACKENDS[0]!.make();
      await using same = await trainableEncoder(oracle);
      const expected = await lossOf(oracle, { textEncoder: same }, { inputIds: INPUT_IDS });
      for (const { arrays } of textEncoder.parameters.tensors) {
        const [name] = arrays[0]!;
        assertClose(trained.gradients.get(name)!, expected.gradients.get(name)!, NEAR, name);
      }
    },
  });
}

for (const { name, ignore, make } of MAKERS) {
  Deno.test({
    name: `${name}: DiffusionLoss has the same numbers, bit for bit, where it computes again`,
    ignore,
    fn: async () => {
      await using backend = await make();
      await using textEncoder = await trainableEncoder(backend);
      await using unconditional = await unconditionalOf(backend);
      const captions = { inputIds: INPUT_IDS, dropped: [false, true, false, false] };
      const [kept, again] = await Promise.all(
        [false, true].map((recompute) =>
          lossOf(backend, { textEncoder, unconditional, recompute }, captions)
        ),
      );
      assert(kept!.gradients.size > 60, `${kept!.gradients.size}`);
      assertEquals(again, kept);
    },
  });
}

const { make } = BACKENDS[1]!;

/** How far a parameter is moved to both sides; the loss is exact to 1e-6. */
const STEP = 2 ** -6;

Deno.test("DiffusionLoss has the slopes of the loss as gradients of a text encoder", async () => {
  await using backend = await make();
  await using textEncoder = await trainableEncoder(backend);
  const { transformer, parameters } = await goldenTransformer(backend);
  await using _transformer = transformer;
  const options = { ...SIZES, textEncoder };
  using loss = new DiffusionLoss(transformer, parameters, await goldenScheduler(), options);
  const batch = batchOf({ inputIds: INPUT_IDS });
  await loss.compute(batch);
  const { tensors } = textEncoder.parameters;
  const gradients = await Promise.all(
    loss.gradients.filter(({ parameter }) => tensors.includes(parameter))
      .map(async ({ parameter, gradient }) => ({ parameter, values: await gradient.data() })),
  );
  let checked = 0;
  for (const { parameter: { arrays, tensor }, values } of gradients) {
    const norm = Math.hypot(...values);
    // Keys have no bias that counts: softmax takes it away.
    if (norm < 1e-3) continue;
    const before = await tensor.data();
    const at = async (distance: number) => {
      tensor.write(before.map((value, i) => value + distance * values[i]! / norm));
      return (await loss.compute(batch)).loss;
    };
    const slope = (await at(STEP) - await at(-STEP)) / (2 * STEP);
    tensor.write(before);
    // The rounding of the loss, and the third derivative times the square of the step.
    assertClose([slope], [norm], { absolute: 2e-4, relative: 0.01 }, arrays[0]![0]);
    checked++;
  }
  assert(checked >= tensors.length - 2, `${checked} of ${tensors.length}`);
});

Deno.test("DiffusionLoss leaves dropped captions out of the text encoder's gradients", async () => {
  await using backend = await make();
  await using textEncoder = await trainableEncoder(backend);
  await using unconditional = await unconditionalOf(backend);
  const inputIds = INPUT_IDS;
  const encoderHiddenStates = await embeddingsOf(backend);
  for (const dropped of [[false, true, false, true], [true, true, true, true]]) {
    const both = { textEncoder, unconditional };
    const trained = await lossOf(backend, both, { inputIds, dropped });
    const frozen = await lossOf(backend, { unconditional }, { encoderHiddenStates, dropped });
    assertClose([trained.value], [frozen.value], NEAR, "loss");
    for (const [name, gradient] of frozen.gradients) {
      assertClose(trained.gradients.get(name)!, gradient, NEAR, name);
    }
    const [table] = textEncoder.parameters.tensors;
    const rows = trained.gradients.get(table!.arrays[0]![0])!;
    const isKept = (i: number) => !dropped[Math.floor(i / LENGTH)];
    for (let id = 0; id < VOCABULARY; id++) {
      const row = rows.subarray(id * COLUMNS, (id + 1) * COLUMNS);
      const used = [...INPUT_IDS.keys()].some((i) => INPUT_IDS[i] === id && isKept(i));
      assertEquals(row.some((value) => value !== 0), used, `id ${id}, dropped ${dropped}`);
    }
  }
});

Deno.test("DiffusionLoss refuses captions and text encoders that do not fit", async () => {
  await using backend = await make();
  await using textEncoder = await trainableEncoder(backend);
  const { transformer, parameters } = await goldenTransformer(backend);
  await using _transformer = transformer;
  const schedules = await goldenScheduler();
  const make7 = () =>
    new DiffusionLoss(transformer, parameters, schedules, { batch: 1, length: 7, textEncoder });
  assertThrows(make7, RangeError, "length is 7, expected at most 6");
  using loss = new DiffusionLoss(transformer, parameters, schedules, { ...SIZES, textEncoder });
  const refused = async (captions: Partial<DiffusionBatch>, kind: typeof RangeError, m: string) => {
    await assertRejects(() => loss.compute(batchOf(captions)), kind, m);
  };
  await refused({}, TypeError, "inputIds is undefined, expected a typed array");
  const encoderHiddenStates = new Float32Array(BATCH * LENGTH * COLUMNS);
  await refused({ inputIds: INPUT_IDS, encoderHiddenStates }, TypeError, "inputIds instead");
  await refused({ inputIds: INPUT_IDS.subarray(1) }, RangeError, "the length of inputIds is 19");
  await refused({ inputIds: INPUT_IDS.with(3, 20) }, RangeError, "inputIds[3] is 20");
  const dropped = [true, false, false, false];
  await refused({ inputIds: INPUT_IDS, dropped }, TypeError, "unconditional is undefined");
  using plain = new DiffusionLoss(transformer, parameters, schedules, SIZES);
  const both = batchOf({ inputIds: INPUT_IDS, encoderHiddenStates });
  await assertRejects(() => plain.compute(both), TypeError, "encoderHiddenStates instead");
});
