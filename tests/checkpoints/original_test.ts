import { assert, assertEquals, assertRejects } from "@std/assert";
import type { StoredArray } from "../../src/checkpoints/arrays.ts";
import { openFolder, type OriginalOptions } from "../../src/checkpoints/folders.ts";
import { MissingFileError } from "../../src/files/paths.ts";
import type { ModelFolder } from "../../src/files/source.ts";
import { openWeights } from "../../src/checkpoints/weights.ts";
import { DIFFUSERS_WEIGHTS, TRANSFORMERS_WEIGHTS } from "../../src/files/weight_names.ts";
import { createWasmBackend } from "../../src/backends/wasm/wasm_backend.ts";
import { disposeComponents } from "../../src/pipeline/components.ts";
import { loadComponents } from "../../src/pipeline/load_components.ts";
import { VQDiffusionPipeline } from "../../src/pipeline/vq_diffusion_pipeline.ts";
import { serveFiles } from "../files/file_server.ts";
import { modelFiles, type OriginalModel, originalModel, TOKENIZER } from "./original_files.ts";
import { SMALL } from "./original_models.ts";
import { encodeTorchFile, type TorchValue } from "./torch/torch_writer.ts";

const EMBEDDINGS = "learned_classifier_free_sampling_embeddings";

/** Writes a checkpoint with what lies beside it, and opens it as a folder. */
async function withFiles(
  files: Readonly<Record<string, Uint8Array | string>>,
  test: (path: string) => Promise<void>,
): Promise<void> {
  const path = await Deno.makeTempDir();
  try {
    for (const [name, content] of Object.entries(files)) {
      if (typeof content === "string") await Deno.writeTextFile(`${path}/${name}`, content);
      else await Deno.writeFile(`${path}/${name}`, content);
    }
    await test(path);
  } finally {
    await Deno.remove(path, { recursive: true });
  }
}

/** Opens a checkpoint that was written as `name`. */
async function open(
  path: string,
  original: OriginalOptions = {},
  name = "model.pth",
): Promise<ModelFolder> {
  return await openFolder(`${path}/${name}`, { original: { tokenizer: TOKENIZER, ...original } });
}

async function assertArrays(
  folder: ModelFolder,
  component: string,
  expected: Readonly<Record<string, StoredArray>>,
): Promise<void> {
  const names = component === "text_encoder" ? TRANSFORMERS_WEIGHTS : DIFFUSERS_WEIGHTS;
  await using weights = await openWeights(folder.folder(component), names);
  assertEquals(weights.names().toSorted(), Object.keys(expected).toSorted(), component);
  for (const [name, { dtype, shape, bytes }] of Object.entries(expected)) {
    const found = await weights.loadStored(name);
    assertEquals([found.dtype, found.shape], [dtype, shape], name);
    assert(found.bytes.every((byte, i) => byte === bytes[i]), `${name} has other elements`);
  }
}

async function assertModel(folder: ModelFolder, model: OriginalModel): Promise<void> {
  for (const [component, arrays] of Object.entries(model.expected)) {
    await assertArrays(folder, component, arrays);
  }
}

Deno.test("openFolder() tries to read an original checkpoint again after that has failed", async () => {
  const model = originalModel();
  await withFiles({}, async (path) => {
    const tokenizer = `${path}/late`;
    const folder = await open(path, { tokenizer });
    const config = () => folder.readText("transformer/config.json");
    const vocabulary = () => folder.readText("tokenizer/vocab.json");
    await assertRejects(config, MissingFileError);
    await Deno.writeFile(`${path}/model.pth`, await encodeTorchFile(model.checkpoint));
    await config();
    await assertRejects(vocabulary, MissingFileError);
    await Deno.mkdir(tokenizer);
    for (const { name } of Deno.readDirSync(TOKENIZER)) {
      await Deno.copyFile(new URL(name, TOKENIZER), `${tokenizer}/${name}`);
    }
    await vocabulary();
  });
});

Deno.test("openFolder() gives an original checkpoint under the names of diffusers", async () => {
  const model = originalModel();
  await withFiles({ "model.pth": await encodeTorchFile(model.checkpoint) }, async (path) => {
    const folder = await open(path);
    await assertModel(folder, model);
    for (const [file, config] of Object.entries(model.configs)) {
      assertEquals(JSON.parse(await folder.readText(file)), config, file);
    }
    assert(await folder.has("transformer/config.json"));
    assert(!await folder.has("transformer/diffusion_pytorch_model.bin"));
    assertEquals(folder.folder("vqvae").description, `${path}/model.pth/vqvae`);
    await assertRejects(
      () => folder.readText("none.json"),
      MissingFileError,
      "model.pth/none.json",
    );
  });
});

Deno.test("openFolder() takes the averaged weights unless told otherwise", async () => {
  const [model, averaged] = [originalModel(1), originalModel(2)];
  const ema = Object.fromEntries(
    Object.entries(averaged.checkpoint).filter(([name]) => name.startsWith("transformer."))
      .map(([name, array]) => [name.slice("transformer.".length), array]),
  );
  const checkpoint = {
    last_epoch: 3,
    model: model.checkpoint,
    ema,
    clip_grad_norm: { max_norm: 0.5 },
    optimizer_and_scheduler: { none: { optimizer: { step_iteration: 1, module: { state: {} } } } },
  };
  await withFiles({ "model.pth": await encodeTorchFile(checkpoint) }, async (path) => {
    await assertModel(await open(path), {
      ...averaged,
      expected: { ...averaged.expected, vqvae: model.expected.vqvae },
    });
    await assertModel(await open(path, { ema: false }), model);
  });
});

Deno.test("openFolder() takes the autoencoder from a file of its own, in every form there is", async () => {
  const [model, other] = [originalModel(1), originalModel(2)];
  const { "quantize.embedding": codes, ...vqvae } = other.vqvae;
  const forms: TorchValue[] = [
    { model: { ...other.vqvae, "quantize.cluster_size": codes!, "loss.logvar": codes! } },
    { state_dict: { ...vqvae, "quantize.embedding.weight": codes! } },
    {
      state_dict: Object.fromEntries(
        Object.entries({ ...vqvae, "quantize.embedding.weight": codes! })
          .map(([name, array]) => [`first_stage_model.${name}`, array]),
      ),
    },
  ];
  const file = await encodeTorchFile({ model: model.checkpoint });
  for (const form of forms) {
    await withFiles({ "model.pth": file, "vq.pth": await encodeTorchFile(form) }, async (path) => {
      const folder = await open(path, { vqvae: `${path}/vq.pth` });
      await assertArrays(folder, "vqvae", other.expected.vqvae);
      await assertArrays(folder, "transformer", model.expected.transformer);
    });
  }
});

Deno.test("openFolder() maps tokens to the codes that they stand for", async () => {
  const model = originalModel(1, 60);
  // Codes 2, 4, 6 … have a token, and the last ones share the first token.
  const codes = Array.from({ length: SMALL.tokens }, (_, token) => 2 * token + 2);
  const tokens = BigInt64Array.from({ length: 60 }, (_, code) => {
    const token = codes.indexOf(code);
    return BigInt(token < 0 ? SMALL.tokens - 1 : token);
  });
  tokens[0] = 0n;
  const mapping = (values: BigInt64Array<ArrayBuffer>, dtype: "I64" | "F64" = "I64") =>
    encodeTorchFile({ dtype, shape: [values.length], bytes: new Uint8Array(values.buffer) });
  const files = {
    "model.pth": await encodeTorchFile({ model: model.checkpoint }),
    "codes.pt": await mapping(tokens),
    "short.pt": await mapping(tokens.slice(1)),
    "far.pt": await mapping(tokens.map((token) => token + 1n)),
    "unused.pt": await mapping(tokens.map(() => 3n)),
    "floats.pt": await mapping(tokens, "F64"),
  };
  await withFiles(files, async (path) => {
    const folder = await open(path, { codes: `${path}/codes.pt` });
    const embedding = model.expected.vqvae["quantize.embedding.weight"]!;
    const rowBytes = embedding.bytes.length / 60;
    // The first code of a token counts: code 0 for token 0, code 1 for the last.
    const rows = [0, ...codes.slice(1, -1), 1];
    const bytes = Uint8Array.from(
      rows.flatMap((row) => [...embedding.bytes.subarray(row * rowBytes, (row + 1) * rowBytes)]),
    );
    const shape = [SMALL.tokens, embedding.shape[1]!];
    await assertArrays(folder, "vqvae", {
      ...model.expected.vqvae,
      "quantize.embedding.weight": { dtype: "F32", shape, bytes },
      // The encoder takes the nearest of all codes, also of those that share a token.
      "quantize.codebook.weight": embedding,
    });
    const config = JSON.parse(await folder.readText("vqvae/config.json"));
    assertEquals(config.num_vq_embeddings, SMALL.tokens);
    assertEquals(config.token_of_code, Array.from(tokens, Number));
    const cases: [OriginalOptions, string][] = [
      [{}, "knows 24 tokens, the image autoencoder has 60 codes; give the file"],
      [{ codes: `${path}/short.pt` }, "it is for 59 codes, the autoencoder has 60"],
      [{ codes: `${path}/far.pt` }, "it has the token 24, expected tokens below 24"],
      [{ codes: `${path}/unused.pt` }, "no code stands for token 0"],
      [{ codes: `${path}/floats.pt` }, "expected one list of tokens"],
      [{ codes: `${path}/model.pth` }, "expected one list of tokens"],
    ];
    for (const [options, message] of cases) {
      const folder = await open(path, options);
      await assertRejects(() => folder.readText("model_index.json"), Error, message);
    }
  });
});

Deno.test("openFolder() says when embeddings for no text were not learned", async () => {
  const { checkpoint } = originalModel();
  const { "transformer.empty_text_embed": _, ...rest } = checkpoint;
  const config = JSON.stringify({
    model: {
      target: "image_synthesis.modeling.models.dalle.DALLE",
      params: {
        diffusion_config: {
          params: {
            learnable_cf: false,
            transformer_config: { params: { n_head: 4, n_layer: 2, n_embd: 32 } },
          },
        },
      },
    },
  });
  const files = {
    "without.pth": await encodeTorchFile(rest),
    "model.pth": await encodeTorchFile(checkpoint),
    "config.json": config,
  };
  const empty: StoredArray = { dtype: "F32", shape: [0], bytes: new Uint8Array() };
  await withFiles(files, async (path) => {
    const folders = [
      await open(path, {}, "without.pth"),
      await open(path, { config: `${path}/config.json` }),
    ];
    for (const folder of folders) {
      await assertArrays(folder, EMBEDDINGS, { embeddings: empty });
      const { learnable } = JSON.parse(await folder.readText(`${EMBEDDINGS}/config.json`));
      assertEquals(learnable, false);
    }
    const { num_attention_heads: heads } = JSON.parse(
      await folders[1]!.readText("transformer/config.json"),
    );
    assertEquals(heads, 4);
  });
});

Deno.test("openFolder() refuses what is no model of Microsoft's", async () => {
  const { checkpoint, vqvae } = originalModel();
  const block = "transformer.transformer.blocks.0";
  const weight = checkpoint[`${block}.attn1.key.weight`]!;
  const unconditional = { ...checkpoint, [`${block}.attn.query.weight`]: weight };
  const classConditional = { ...unconditional, [`${block}.ln2.emb.weight`]: weight };
  const withoutCodec = Object.fromEntries(
    Object.entries(checkpoint).filter(([name]) => !name.startsWith("content_codec.")),
  );
  const cases: [TorchValue, string][] = [
    [{ model: classConditional }, "the model is class-conditional, and only its config"],
    [{ model: unconditional }, "the model is unconditional, and only its config"],
    [{ model: vqvae }, "it holds no transformer of VQ-Diffusion"],
    [{ model: withoutCodec }, "it holds no image autoencoder; give its own file"],
  ];
  for (const [value, message] of cases) {
    await withFiles({ "model.pth": await encodeTorchFile(value) }, async (path) => {
      const folder = await open(path);
      await assertRejects(() => folder.readText("model_index.json"), TypeError, message);
    });
  }
});

Deno.test("openFolder() says that an original checkpoint needs a tokenizer", async () => {
  const file = await encodeTorchFile(originalModel().checkpoint);
  await withFiles({ "model.pth": file }, async (path) => {
    const folder = await openFolder(`${path}/model.pth`);
    assert(await folder.has("transformer/config.json"));
    const error = await assertRejects(
      () => folder.readText("tokenizer/vocab.json"),
      MissingFileError,
    );
    assert(error.message.includes(`Cannot find the folder ${path}/tokenizer`), error.message);
    assert(error.message.includes("give a folder with CLIP's vocab.json"), error.message);
  });
});

Deno.test("openFolder() answers damaged originals with clean errors", async () => {
  const { checkpoint } = originalModel();
  const names = Object.keys(checkpoint);
  await using backend = await createWasmBackend({ threads: 1 });
  await withFiles({}, async (path) => {
    for (let i = 0; i < 60; i++) {
      const name = names[(i * 37) % names.length]!;
      const { [name]: array, ...rest } = checkpoint;
      const empty: StoredArray = {
        dtype: "F32",
        shape: [0, 7, 0, 3].slice(i % 5),
        bytes: new Uint8Array(),
      };
      const damaged: Record<string, TorchValue>[] = [
        rest,
        { ...rest, [name]: empty },
        { ...rest, [`${name}.more`]: array! },
        { ...rest, [name]: { ...array!, shape: [...array!.shape, 1] } },
      ];
      await Deno.writeFile(`${path}/model.pth`, await encodeTorchFile(damaged[i % 4]!));
      const error = await loadComponents(await open(path), backend, { load: false }).then(
        disposeComponents,
        (error) => error,
      );
      // The learned embeddings and what no model has need not be there.
      const clean = error === undefined || error instanceof TypeError ||
        error instanceof RangeError || error instanceof SyntaxError;
      assert(clean, `${name}: ${error}`);
      if (error) assert(/^(Cannot|Components)/.test(error.message), error.message);
    }
  });
});

Deno.test("VQDiffusionPipeline.fromPretrained() draws the same from an original checkpoint", async () => {
  const model = originalModel();
  const options = { seed: 1, numInferenceSteps: 4, outputType: "array" as const };
  await using expected = await VQDiffusionPipeline.fromPretrained(await modelFiles(model), {
    device: "wasm",
    threads: 1,
  });
  const { images: [image] } = await expected.generate("a bear! in a pool", options);
  const checkpoint = await encodeTorchFile({ model: model.checkpoint });
  await using server = serveFiles({ "files/model.pth": checkpoint });
  const source = new URL("files/model.pth", server.url);
  await using pipe = await VQDiffusionPipeline.fromPretrained(source, {
    device: "wasm",
    threads: 1,
    original: { tokenizer: TOKENIZER },
  });
  const { images } = await pipe.generate("a bear! in a pool", options);
  assertEquals(images[0], image);
  assertEquals(pipe.components.tokenizer.padTokenId, 0);
});
