// Checkpoints of Microsoft's that have no counterpart in diffusers: of classes, without condition, and of
// autoencoders alone.

import { assert, assertEquals, assertRejects } from "@std/assert";
import { createWasmBackend } from "../../src/backends/wasm/wasm_backend.ts";
import type { ArraySource, StoredArray } from "../../src/checkpoints/arrays.ts";
import { openFile, openFolder, type OriginalOptions } from "../../src/checkpoints/folders.ts";
import { parseOriginalConfig } from "../../src/checkpoints/original/original_config.ts";
import { openOriginal } from "../../src/checkpoints/original/open_original.ts";
import { readCodes } from "../../src/checkpoints/original/vq_model.ts";
import { openArrays } from "../../src/checkpoints/weights.ts";
import { memoryFile } from "../../src/files/memory_folder.ts";
import { MissingFileError } from "../../src/files/paths.ts";
import { VQModel } from "../../src/models/vq_model.ts";
import { VQDiffusionPipeline } from "../../src/pipeline/vq_diffusion_pipeline.ts";
import { serveFiles } from "../files/file_server.ts";
import { CLASS_MODELS, GUMBEL_CODES } from "../pipeline/class_models.ts";
import { inTemporaryFolder } from "../temporary_folder.ts";
import { encodeTorchFile } from "./torch/torch_writer.ts";

const read = (url: URL) => Deno.readFileSync(url);
const beside = (url: URL, name: string) => new URL(name, url);

/** Files of the unconditional model by name. */
const FFHQ: Readonly<Record<string, Uint8Array<ArrayBuffer>>> = {
  "ffhq.pth": read(CLASS_MODELS.ffhq),
  "config.yaml": read(beside(CLASS_MODELS.ffhq, "config.yaml")),
  "vqgan_ffhq_tiny.pth": read(beside(CLASS_MODELS.ffhq, "vqgan_ffhq_tiny.pth")),
};

/** Files of the model of classes. */
const IMAGENET: Readonly<Record<string, Uint8Array<ArrayBuffer>>> = {
  "imagenet.pth": read(CLASS_MODELS.imagenet),
  "config.yaml": read(beside(CLASS_MODELS.imagenet, "config.yaml")),
  "taming_vqvae_12.pt": read(beside(CLASS_MODELS.imagenet, "taming_vqvae_12.pt")),
};

async function write(path: string, files: Readonly<Record<string, Uint8Array | string>>) {
  for (const [name, content] of Object.entries(files)) {
    if (typeof content === "string") await Deno.writeTextFile(`${path}/${name}`, content);
    else await Deno.writeFile(`${path}/${name}`, content);
  }
}

async function configOf(source: string | URL, file: string, original: OriginalOptions = {}) {
  const folder = await openFolder(source, { original });
  return JSON.parse(await folder.readText(file));
}

Deno.test("openFolder() says what a model of classes is made of", async () => {
  const source = CLASS_MODELS.imagenet;
  const transformer = await configOf(source, "transformer/config.json");
  assertEquals(
    [transformer.condition_type, transformer.num_class_embeds, transformer.unconditional_class],
    ["class", 1001, 1000],
  );
  assertEquals(
    [transformer.feed_forward_type, transformer.position_grid, transformer.sample_size],
    ["conv", [8, 8], 4],
  );
  assertEquals([transformer.cross_attention_dim, transformer.num_attention_heads], [null, 2]);
  const index = await configOf(source, "model_index.json");
  const scheduler = await configOf(source, "scheduler/scheduler_config.json");
  assertEquals([index.tokenizer, scheduler.sampling_reference], [[null, null], "microsoft"]);
  const folder = await openFolder(source);
  for (const path of ["tokenizer/vocab.json", "text_encoder/config.json", "config.json"]) {
    assertEquals(await folder.has(path), false, path);
    await assertRejects(() => folder.open(path), MissingFileError, path);
  }
});

Deno.test("openFolder() writes nothing new into the config of a model of text", async () => {
  const transformer = await configOf(CLASS_MODELS.ithq, "transformer/config.json");
  for (const key of ["condition_type", "feed_forward_type", "position_grid", "num_class_embeds"]) {
    assertEquals(key in transformer, false, key);
  }
  // The config beside the checkpoint says so.
  assertEquals([transformer.num_attention_heads, transformer.attention_head_dim], [2, 8]);
  const scheduler = await configOf(CLASS_MODELS.ithq, "scheduler/scheduler_config.json");
  assertEquals("sampling_reference" in scheduler, false);
});

Deno.test("openFolder() takes config, autoencoder and codes from beside a checkpoint", async () => {
  await inTemporaryFolder(async (path) => {
    await write(path, { ...FFHQ, ...IMAGENET, "config.yaml": FFHQ["config.yaml"]! });
    const vqvae = await configOf(`${path}/ffhq.pth`, "vqvae/config.json");
    assertEquals([vqvae.num_vq_embeddings, vqvae.layers_per_block], [24, 0]);
    assertEquals(vqvae.block_out_channels, [32, 32]);
    await assertRejects(
      () => configOf(`${path}/imagenet.pth`, "model_index.json"),
      RangeError,
      "the model is that of an unconditional model, in the checkpoint it is that of a class-conditional",
    );
    const config = beside(CLASS_MODELS.imagenet, "config.yaml");
    const found = await configOf(`${path}/imagenet.pth`, "vqvae/config.json", { config });
    assertEquals(found.token_of_code.length, 32);
  });
});

Deno.test("openOriginal() takes the parts from beside a checkpoint, by paths of Windows, too", async () => {
  const folders: [given: string, ofParts: string][] = [
    ["C:\\models\\", "C:\\models\\"],
    ["C:/models\\", "C:/models\\"],
    ["\\\\host\\share\\", "\\\\host\\share\\"],
    ["/models/", "/models/"],
    ["models/", "./models/"],
    ["", "./"],
  ];
  for (const [given, ofParts] of folders) {
    const opened: string[] = [];
    const file = (source: string | URL, maxBytes?: number) => {
      const path = String(source);
      opened.push(path);
      // Of texts no more is fetched than a text may have.
      assertEquals(maxBytes, path.endsWith("config.yaml") ? 2 ** 26 : undefined);
      return Promise.resolve(memoryFile(path, FFHQ[path.match(/\w+\.\w+$/)![0]]!));
    };
    const folder = () => Promise.reject(new Error("there is none"));
    const model = openOriginal(`${given}ffhq.pth`, undefined, { file, folder });
    assertEquals(JSON.parse(await model.readText("vqvae/config.json")).num_vq_embeddings, 24);
    assertEquals(opened, [
      `${given}ffhq.pth`,
      `${ofParts}config.yaml`,
      `${ofParts}vqgan_ffhq_tiny.pth`,
    ]);
  }
});

Deno.test("openFolder() says which file of an original is missing", async () => {
  await inTemporaryFolder(async (path) => {
    const refuse = async (name: string, error: new (message: string) => Error, message: string) =>
      await assertRejects(() => configOf(`${path}/${name}`, "model_index.json"), error, message);
    await write(path, { "ffhq.pth": FFHQ["ffhq.pth"]! });
    await refuse(
      "ffhq.pth",
      TypeError,
      "is unconditional, and only its config, such as config.yaml",
    );
    await write(path, { "config.yaml": "<!doctype html><p>Not found" });
    await refuse(
      "ffhq.pth",
      TypeError,
      "is unconditional, and only its config, such as config.yaml",
    );
    await write(path, { "config.yaml": FFHQ["config.yaml"]! });
    await refuse("ffhq.pth", MissingFileError, `Cannot find ${path}/vqgan_ffhq_tiny.pth`);
    await write(path, {
      "config.yaml": IMAGENET["config.yaml"]!,
      "i.pth": IMAGENET["imagenet.pth"]!,
    });
    await refuse(
      "i.pth",
      RangeError,
      "knows 12 tokens, the image autoencoder has 32 codes; give the file",
    );
    await refuse("i.pth", RangeError, "such as taming_vqvae_12.pt");
    await write(path, { "taming_vqvae_12.pt": "damaged" });
    await refuse("i.pth", SyntaxError, `Cannot read ${path}/taming_vqvae_12.pt`);
  });
});

Deno.test("openFolder() follows no path out of the folder that a config names", async () => {
  const yaml = new TextDecoder().decode(FFHQ["config.yaml"]);
  await inTemporaryFolder(async (path) => {
    await Deno.mkdir(`${path}/inner`);
    await write(path, { "vqgan_ffhq_tiny.pth": FFHQ["vqgan_ffhq_tiny.pth"]! });
    await write(`${path}/inner`, { "ffhq.pth": FFHQ["ffhq.pth"]! });
    const names = [
      "../vqgan_ffhq_tiny.pth",
      `${path}/vqgan_ffhq_tiny.pth`,
      "..\\\\vqgan_ffhq_tiny.pth",
    ];
    for (const name of names) {
      const config = yaml.replace("ckpt_path: vqgan_ffhq_tiny.pth", `ckpt_path: "${name}"`);
      await write(`${path}/inner`, { "config.yaml": config });
      await assertRejects(
        () => configOf(`${path}/inner/ffhq.pth`, "model_index.json"),
        MissingFileError,
        `${path}/inner/vqgan_ffhq_tiny.pth`,
      );
    }
    for (const name of ["..", "None", "a/.."]) {
      await write(`${path}/inner`, {
        "config.yaml": yaml.replace("ckpt_path: vqgan_ffhq_tiny.pth", `ckpt_path: "${name}"`),
      });
      await assertRejects(
        () => configOf(`${path}/inner/ffhq.pth`, "model_index.json"),
        TypeError,
        "it holds no image autoencoder; give its own file",
      );
    }
  });
});

Deno.test("parseOriginalConfig() reads tuples of Python, and None", () => {
  const text = new TextDecoder().decode(FFHQ["config.yaml"]);
  assert(text.includes("!!python/tuple"));
  const { kind, pixels, heads, vqvaeFile, codesFile } = parseOriginalConfig(text, "x.yaml");
  assertEquals([kind, pixels, heads], ["none", 16, 2]);
  assertEquals([vqvaeFile, codesFile], ["vqgan_ffhq_tiny.pth", undefined]);
});

Deno.test("VQDiffusionPipeline.fromPretrained() loads an original with all beside it from a URL", async () => {
  await using server = serveFiles({
    ...Object.fromEntries(Object.entries(FFHQ).map(([name, bytes]) => [`files/${name}`, bytes])),
  });
  await using pipe = await VQDiffusionPipeline.fromPretrained(
    new URL("files/ffhq.pth", server.url),
    {
      device: "wasm",
      threads: 1,
    },
  );
  const { images } = await pipe.generate(undefined, { seed: 1, numInferenceSteps: 2 });
  assertEquals(images.length, 1);
});

Deno.test("openFolder() gives an autoencoder alone as the folder of a VQModel", async () => {
  await using backend = await createWasmBackend({ threads: 1 });
  const config = await configOf(CLASS_MODELS.gumbel, "config.json", { codes: GUMBEL_CODES });
  assertEquals(
    [config.quantizer_type, config.num_vq_embeddings, config.token_of_code.length],
    ["gumbel", 16, 32],
  );
  const whole = await configOf(CLASS_MODELS.gumbel, "config.json");
  assertEquals([whole.num_vq_embeddings, whole.token_of_code], [32, undefined]);
  // It is no pipeline, and whoever asks for one is told so.
  const folder = await openFolder(CLASS_MODELS.gumbel);
  assertEquals(await folder.has("model_index.json"), false);
  await assertRejects(
    () => VQDiffusionPipeline.fromPretrained(CLASS_MODELS.gumbel, { backend }),
    TypeError,
    "it holds no transformer of VQ-Diffusion",
  );
  await inTemporaryFolder(async (path) => {
    await using model = await VQModel.fromPretrained(CLASS_MODELS.gumbel, {
      backend,
      original: { codes: GUMBEL_CODES },
    });
    await model.savePretrained(path);
    await using saved = await VQModel.fromPretrained(path, { backend });
    using pictures = backend.tensor(new Float32Array(3 * 64).fill(0.3), [1, 3, 8, 8]);
    using first = model.encodeIndices(pictures);
    using second = saved.encodeIndices(pictures);
    assertEquals(await first.data(), await second.data());
  });
});

Deno.test("openFolder() refuses lists of codes that are none", async () => {
  await inTemporaryFolder(async (path) => {
    const list = async (...tokens: bigint[]) => {
      const values = BigInt64Array.from({ length: 32 }, (_, i) => tokens[i] ?? 0n);
      const bytes = new Uint8Array(values.buffer);
      await Deno.writeFile(
        `${path}/c.pt`,
        await encodeTorchFile({ dtype: "I64", shape: [32], bytes }),
      );
      return await configOf(CLASS_MODELS.gumbel, "config.json", { codes: `${path}/c.pt` });
    };
    assertEquals((await list(0n, 1n)).num_vq_embeddings, 2);
    await assertRejects(() => list(0n, 2n), RangeError, "no code stands for token 1");
    await assertRejects(
      () => list(0n, -1n),
      RangeError,
      "it has the token -1, expected tokens below 1",
    );
    await assertRejects(() => list(0n, 2n ** 40n), RangeError, "it has the token 1099511627776");
  });
});

Deno.test("readCodes() loads no list that does not fit the codebook", async () => {
  const open = (shape: number[], codebookLength: number, tokens?: number) => {
    const source: ArraySource = {
      description: "c.pt",
      names: () => ["tensor"],
      shape: () => shape,
      dtype: () => "I64",
      load: () => Promise.reject(new Error("loaded")),
      loadStored: () =>
        shape[0] === 32
          ? Promise.resolve({ dtype: "I64", shape, bytes: new Uint8Array(8 * 32) })
          : Promise.reject(new Error("loaded")),
      release: () => {},
      [Symbol.asyncDispose]: () => Promise.resolve(),
    };
    return readCodes(source, tokens, codebookLength);
  };
  await assertRejects(
    () => open([2e8], 32),
    RangeError,
    "it is for 200000000 codes, the autoencod",
  );
  await assertRejects(() => open([2e8], 2e8), RangeError, "codes, expected at most 1048576");
  await assertRejects(() => open([4, 8], 32), TypeError, "expected one list of tokens");
  await assertRejects(() => open([32], 32, 2 ** 40), RangeError, "expected at least 1099511627776");
  assertEquals((await open([32], 32)).tokenOfCode, new Int32Array(32));
});

Deno.test("openFolder() answers damaged originals of classes with clean errors", async () => {
  await using backend = await createWasmBackend({ threads: 1 });
  await using source = await openArrays(await openFile(CLASS_MODELS.imagenet));
  const names = source.names().filter((name) => name.startsWith("model."));
  const checkpoint: Record<string, StoredArray> = {};
  for (const name of names) checkpoint[name.slice("model.".length)] = await source.loadStored(name);
  const keys = Object.keys(checkpoint);
  await inTemporaryFolder(async (path) => {
    await write(path, IMAGENET);
    for (let i = 0; i < 40; i++) {
      const key = keys[(i * 37) % keys.length]!;
      const { [key]: array, ...rest } = checkpoint;
      const shape = [0, 7, 0, 3].slice(i % 5);
      const damaged: Record<string, StoredArray>[] = [
        rest,
        { ...rest, [key]: { dtype: "F32", shape, bytes: new Uint8Array() } },
        { ...rest, [key]: { ...array!, shape: [...array!.shape, 1] } },
        { ...rest, [key]: { ...array!, shape: array!.shape.toReversed() } },
      ];
      const bytes = await encodeTorchFile({ model: damaged[i % 4]! });
      await Deno.writeFile(`${path}/imagenet.pth`, bytes);
      const error = await VQDiffusionPipeline.fromPretrained(`${path}/imagenet.pth`, { backend })
        .then((pipe) => pipe.dispose(), (error) => error);
      const clean = error === undefined || error instanceof TypeError ||
        error instanceof RangeError || error instanceof SyntaxError;
      assert(clean, `${key}: ${error}`);
      if (error) assert(/^Cannot /.test(error.message), error.message);
    }
  });
  assertEquals(backend.memoryUse().bytes, 0);
});
