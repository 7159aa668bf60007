// A whole pipeline as diffusers 0.40 and transformers 5.18 save it, and what is saved of it again.

import { assert, assertEquals, assertRejects } from "@std/assert";
import { createWasmBackend } from "../../src/backends/wasm/wasm_backend.ts";
import { parseSafetensors } from "../../src/checkpoints/safetensors.ts";
import { encodeSafetensors } from "../../src/checkpoints/safetensors_writer.ts";
import type { LoadEvent } from "../../src/files/progress.ts";
import { VQDiffusionPipeline } from "../../src/pipeline/vq_diffusion_pipeline.ts";
import {
  below,
  changed,
  expectedRun,
  type Files,
  filesOf,
  folderOf,
  jsonOf,
} from "../python_files.ts";
import { inTemporaryFolder } from "../temporary_folder.ts";

/** Ten times the error of float32 that the reference has. */
const IMAGE_TOLERANCE = 5e-5;

const backend = () => createWasmBackend({ threads: 1, simd: "simd" });

const MODEL = below(filesOf("saved_by_today"), "model");

async function assertExpected(pipe: VQDiffusionPipeline): Promise<void> {
  const { prompt, tokens, image, ...options } = expectedRun();
  let step = 0;
  for await (const event of pipe.stream(prompt, options)) {
    assertEquals([...event.tokens], tokens[step++], `step ${step}`);
  }
  assertEquals(step, tokens.length);
  const { images } = await pipe.generate(prompt, { ...options, outputType: "array" });
  const drawn = images[0]!;
  assertEquals(drawn.length, image.length);
  drawn.forEach((value, i) => assert(Math.abs(value - image[i]!) <= IMAGE_TOLERANCE, `pixel ${i}`));
}

function readFolder(path: string, prefix = ""): Files {
  const files: Files = {};
  for (const { name, isDirectory } of Deno.readDirSync(`${path}/${prefix}`)) {
    if (isDirectory) Object.assign(files, readFolder(path, `${prefix}${name}/`));
    else files[prefix + name] = Deno.readFileSync(`${path}/${prefix}${name}`);
  }
  return files;
}

Deno.test("VQDiffusionPipeline gives the tokens and the image of diffusers 0.40 from its files", async () => {
  await using wasm = await backend();
  await using pipe = await VQDiffusionPipeline.fromPretrained(folderOf(MODEL), { backend: wasm });
  await assertExpected(pipe);
});

Deno.test("VQDiffusionPipeline.savePretrained() writes the names and files that old versions read", async () => {
  await using wasm = await backend();
  await inTemporaryFolder(async (path) => {
    const options = { backend: wasm };
    await using pipe = await VQDiffusionPipeline.fromPretrained(folderOf(MODEL), options);
    await pipe.savePretrained(path);
    const saved = readFolder(path);
    const names = (
      file: string,
    ) => [...parseSafetensors(saved[file] as Uint8Array<ArrayBuffer>).keys()];
    assert(names("text_encoder/model.safetensors").every((name) => name.startsWith("text_model.")));
    const attentions = names("vqvae/diffusion_pytorch_model.safetensors")
      .filter((name) => name.includes("decoder.mid_block.attentions.0."));
    assertEquals(
      attentions.map((name) => name.split(".").slice(4).join(".")).sort(),
      ["group_norm", "key", "proj_attn", "query", "value"]
        .flatMap((name) => [`${name}.bias`, `${name}.weight`]),
    );
    assertEquals(jsonOf(saved["transformer/config.json"]).norm_type, "ada_norm");
    for (const name of ["vocab.json", "merges.txt", "tokenizer_config.json", "tokenizer.json"]) {
      assert(saved[`tokenizer/${name}`] !== undefined, name);
    }
    await using again = await VQDiffusionPipeline.fromPretrained(path, options);
    await assertExpected(again);
  });
});

/** Weights of a component with other arrays. */
function withArrays(
  file: string,
  change: (arrays: ReturnType<typeof parseSafetensors>) => void,
): Files {
  const arrays = parseSafetensors(MODEL[file] as Uint8Array<ArrayBuffer>);
  change(arrays);
  return { ...MODEL, [file]: encodeSafetensors(arrays) };
}

Deno.test("VQDiffusionPipeline.fromPretrained() tells about arrays that are not needed, and does not save them", async () => {
  await using wasm = await backend();
  const file = "vqvae/diffusion_pytorch_model.safetensors";
  const files = withArrays(file, (arrays) => {
    arrays.set("loss.\u001b[31mlogvar", { dtype: "F32", shape: [], bytes: new Uint8Array(4) });
    arrays.set("step", { dtype: "I64", shape: [], bytes: new Uint8Array(8) });
  });
  const notices: LoadEvent[] = [];
  const onProgress = (event: LoadEvent) => void notices.push(event);
  await using pipe = await VQDiffusionPipeline.fromPretrained(folderOf(files), {
    backend: wasm,
    onProgress,
  });
  const message = `model/${file} holds arrays that are not needed: step, "loss.\\u001b[31mlogvar"`;
  assertEquals(notices, [{ type: "notice", message }, { type: "ready" }]);
  await inTemporaryFolder(async (path) => {
    await pipe.savePretrained(path);
    const saved = parseSafetensors(Deno.readFileSync(`${path}/${file}`));
    assert(!saved.has("step") && saved.has("quant_conv.weight"));
    assertEquals(saved.size, parseSafetensors(MODEL[file] as Uint8Array<ArrayBuffer>).size);
  });
});

Deno.test("VQDiffusionPipeline.fromPretrained() takes a variant, and the ordinary weights where there is none", async () => {
  await using wasm = await backend();
  const weights = "transformer/diffusion_pytorch_model.safetensors";
  const broken = new TextEncoder().encode("no weights at all");
  const files = {
    ...MODEL,
    [weights]: broken,
    [weights.replace(".safetensors", ".fp16.safetensors")]: MODEL[weights]!,
  };
  const notices: LoadEvent[] = [];
  const onProgress = (event: LoadEvent) => void notices.push(event);
  const options = { backend: wasm, variant: "fp16", onProgress };
  await using pipe = await VQDiffusionPipeline.fromPretrained(folderOf(files), options);
  await assertExpected(pipe);
  const folders = notices.flatMap((event) => event.type === "notice" ? [event.message] : []);
  assertEquals(
    folders.sort()[2],
    "model/vqvae has no weights of the variant fp16: using " +
      "diffusion_pytorch_model.safetensors",
  );
  assertEquals(folders.length, 3);
  const load = (variant: string) =>
    VQDiffusionPipeline.fromPretrained(folderOf(files), { backend: wasm, variant });
  await assertRejects(() => load("../x"), RangeError, 'variant is "../x", expected a part of');
});

Deno.test("VQDiffusionPipeline.fromPretrained() names the token that the text encoder does not know", async () => {
  await using wasm = await backend();
  const tokenizer = jsonOf(MODEL["tokenizer/tokenizer.json"]);
  const token = { ...tokenizer.added_tokens[0], id: 2048, content: "<cat>" };
  const files = {
    ...MODEL,
    "tokenizer/tokenizer.json": changed(MODEL["tokenizer/tokenizer.json"], {
      added_tokens: [...tokenizer.added_tokens, token],
    }),
  };
  await assertRejects(
    () => VQDiffusionPipeline.fromPretrained(folderOf(files), { backend: wasm }),
    RangeError,
    'ids up to 2048, the text encoder knows 2048 tokens; id 2048 is "<cat>"',
  );
});

Deno.test("VQDiffusionPipeline.fromPretrained() takes classes whose files hold what is needed", async () => {
  await using wasm = await backend();
  const load = (tokenizer: string, textEncoder: string) => {
    const index = changed(MODEL["model_index.json"], {
      tokenizer: ["transformers", tokenizer],
      text_encoder: ["transformers", textEncoder],
    });
    const folder = folderOf({ ...MODEL, "model_index.json": index });
    return VQDiffusionPipeline.fromPretrained(folder, { backend: wasm });
  };
  await using _fast = await load("CLIPTokenizerFast", "CLIPTextModelWithProjection");
  await using _generic = await load("TokenizersBackend", "CLIPModel");
  await assertRejects(() => load("T5Tokenizer", "CLIPTextModel"), TypeError, "a CLIPTokenizer");
  await assertRejects(() => load("CLIPTokenizer", "constructor"), TypeError, "a CLIPTextModel");
});
