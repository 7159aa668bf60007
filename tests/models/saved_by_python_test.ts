// Models under the names and configs of the versions of diffusers and transformers that wrote them.

import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { createWasmBackend } from "../../src/backends/wasm/wasm_backend.ts";
import type { Config } from "../../src/checkpoints/config.ts";
import { parseSafetensors } from "../../src/checkpoints/safetensors.ts";
import { encodeSafetensors } from "../../src/checkpoints/safetensors_writer.ts";
import type { LoadEvent } from "../../src/files/progress.ts";
import { parseCLIPTextConfig } from "../../src/models/clip_text_config.ts";
import { CLIPTextModel } from "../../src/models/clip_text_model.ts";
import { configText } from "../../src/models/saved_config.ts";
import { Transformer2DModel } from "../../src/models/transformer_2d.ts";
import { parseTransformer2DConfig } from "../../src/models/transformer_2d_config.ts";
import { parseVQConfig } from "../../src/models/vq_config.ts";
import { VQModel } from "../../src/models/vq_model.ts";
import { below, changed, type Files, filesOf, folderOf, jsonOf } from "../python_files.ts";
import { inTemporaryFolder } from "../temporary_folder.ts";

const WEIGHTS = "diffusion_pytorch_model.safetensors";
const FIXTURES = new URL("../fixtures/", import.meta.url);

const backend = () => createWasmBackend({ threads: 1, simd: "simd" });

/** The files of a component, with its arrays under other names. */
function renamed(files: Files, weights: string, rename: (name: string) => string): Files {
  const arrays = parseSafetensors(files[weights] as Uint8Array<ArrayBuffer>);
  const entries = [...arrays].map(([name, array]) => [rename(name), array] as const);
  return { ...files, [weights]: encodeSafetensors(entries) };
}

async function hiddenStates(files: Files): Promise<Float32Array> {
  await using wasm = await backend();
  await using model = await CLIPTextModel.fromPretrained(folderOf(files), { backend: wasm });
  using ids = wasm.tensor(Int32Array.of(62, 5, 7, 63), [1, 4]);
  using hidden = model.forward(ids);
  return (await hidden.data()).slice() as Float32Array;
}

Deno.test("CLIPTextModel.fromPretrained() reads all names that transformers has had", async () => {
  const files = below(below(filesOf("saved_by_today"), "model"), "text_encoder");
  const expected = await hiddenStates(files);
  assert(expected.some((value) => value !== 0));
  const prefixed = renamed(files, "model.safetensors", (name) => `text_model.${name}`);
  assertEquals(await hiddenStates(prefixed), expected);
  const arrays = parseSafetensors(prefixed["model.safetensors"] as Uint8Array<ArrayBuffer>);
  const more = { dtype: "F32", shape: [1, 16], bytes: new Uint8Array(64) } as const;
  const ids = { dtype: "I64", shape: [1, 1], bytes: new Uint8Array(8) } as const;
  arrays.set("text_projection.weight", more).set("text_model.embeddings.position_ids", ids);
  const projected = { ...prefixed, "model.safetensors": encodeSafetensors(arrays) };
  assertEquals(await hiddenStates(projected), expected);
});

Deno.test("CLIPTextModel.fromPretrained() takes the encoder out of a whole CLIP, and saves it alone", async () => {
  const files = filesOf("clip_model");
  const expected = await hiddenStates(files);
  await using wasm = await backend();
  const notices: LoadEvent[] = [];
  await using model = await CLIPTextModel.fromPretrained(folderOf(files), {
    backend: wasm,
    onProgress: (event) => void notices.push(event),
  });
  assertEquals(notices, [{ type: "ready" }]);
  await inTemporaryFolder(async (path) => {
    await model.savePretrained(path);
    const saved = await Deno.readFile(`${path}/model.safetensors`);
    const config = await Deno.readTextFile(`${path}/config.json`);
    assert([...parseSafetensors(saved).keys()].every((name) => name.startsWith("text_model.")));
    assertEquals(jsonOf(config).model_type, "clip_text_model");
    assert(config.includes('"attention_dropout": 0.0,'));
    assertEquals(
      await hiddenStates({ "model.safetensors": saved, "config.json": config }),
      expected,
    );
  });
});

Deno.test("parseCLIPTextConfig() fills the config of a whole CLIP up with the defaults of transformers", () => {
  const parse = (values: Config["values"]) =>
    parseCLIPTextConfig({ description: "config", values });
  const { json: _json, ...config } = parse({ model_type: "clip" });
  assertEquals(config, {
    vocabSize: 49408,
    hiddenSize: 512,
    intermediateSize: 2048,
    numHiddenLayers: 12,
    numAttentionHeads: 8,
    maxPositionEmbeddings: 77,
    hiddenAct: "quick_gelu",
    layerNormEps: 1e-5,
  });
  const text_config = { hidden_size: 64, num_hidden_layers: 2 };
  const text_config_dict = { hidden_size: 32 };
  const merged = parse({ model_type: "clip", text_config, text_config_dict, hidden_size: 1 });
  assertEquals([merged.hiddenSize, merged.numHiddenLayers], [32, 2]);
  const none = { model_type: "clip", text_config, text_config_dict: null };
  assertEquals(parse(none).hiddenSize, 64);
  assertEquals(parse({ text_config }).hiddenSize, 64);
  assertThrows(
    () => parse({ model_type: "clip", text_config: [] }),
    TypeError,
    "Cannot use config: text_config is an empty array, expected an object",
  );
  assertThrows(
    () => parse({ model_type: "clip", text_config: { hidden_act: "relu" } }),
    RangeError,
    'text_config of config: hidden_act is "relu"',
  );
  assertThrows(() => parse({ model_type: "siglip" }), RangeError, 'model_type is "siglip"');
});

Deno.test("VQModel.fromPretrained() reads both names that diffusers has had for attention", async () => {
  const today = below(below(filesOf("saved_by_today"), "model"), "vqvae");
  const old = renamed(
    today,
    WEIGHTS,
    (name) =>
      name.replace("to_out.0", "proj_attn").replace("to_q", "query").replace("to_k", "key")
        .replace("to_v", "value"),
  );
  await using wasm = await backend();
  const results: Float32Array[] = [];
  for (const files of [today, old]) {
    await using model = await VQModel.fromPretrained(folderOf(files), { backend: wasm });
    using indices = wasm.tensor(Int32Array.from({ length: 16 }, (_, i) => i), [1, 16]);
    using images = model.decodeIndices(indices);
    results.push((await images.data()).slice() as Float32Array);
  }
  assertEquals(results[0], results[1]);
});

Deno.test("VQModel.fromPretrained() names missing arrays and those that may be them", async () => {
  const today = below(below(filesOf("saved_by_today"), "model"), "vqvae");
  const files = renamed(today, WEIGHTS, (name) => name.replace("quant_conv", "pre\u001b[2Jquant"));
  await using wasm = await backend();
  await assertRejects(
    () => VQModel.fromPretrained(folderOf(files), { backend: wasm }),
    TypeError,
    "missing quant_conv.weight, quant_conv.bias, post_quant_conv.weight, post_quant_conv.bias; " +
      'unknown "post_pre\\u001b[2Jquant.bias"',
  );
});

Deno.test("models leave an array alone whose element type is not known, unless they need it", async () => {
  const files = filesOf("vq_with_extra");
  await using wasm = await backend();
  // The names of element types in the header are not checked by anything else.
  const hostile = (from: string, to: string) => {
    const bytes = (files[WEIGHTS] as Uint8Array<ArrayBuffer>).slice();
    const text = new TextDecoder("latin1").decode(bytes);
    const at = text.indexOf('"F32"', text.indexOf(from));
    bytes.set(new TextEncoder().encode(to), at);
    return { ...files, [WEIGHTS]: bytes };
  };
  const open = (files: Files, notices: string[] = []) =>
    VQModel.fromPretrained(folderOf(files), {
      backend: wasm,
      onProgress: (event) => void (event.type === "notice" && notices.push(event.message)),
    });
  const notices: string[] = [];
  await using _extra = await open(hostile('"loss.logvar"', '"F8_"'), notices);
  assertEquals(notices.length, 1);
  assert(notices[0]!.includes("arrays that are not needed: loss.logvar"), notices[0]);
  await assertRejects(
    () => open(hostile('"quant_conv.bias"', '"F8_"')),
    TypeError,
    "quant_conv.bias cannot be read, as it is F8_",
  );
});

Deno.test("Transformer2DModel.fromPretrained() reads shards of a variant", async () => {
  const files = filesOf("transformer_sharded_fp16");
  await using wasm = await backend();
  for (const variant of [undefined, "fp16"]) {
    const options = { backend: wasm, variant };
    await using model = await Transformer2DModel.fromPretrained(folderOf(files), options);
    assertEquals(model.checkpoint.dtype("out.weight"), "F16");
  }
});

Deno.test("parseTransformer2DConfig() takes all that means adaptive norms", () => {
  const json = jsonOf(below(filesOf("saved_by_today"), "model")["transformer/config.json"]);
  const parse = (changes: Record<string, unknown>) =>
    parseTransformer2DConfig({ description: "config", values: { ...json, ...changes } });
  const { norm_type: _, ...missing } = json;
  const expected = { ...parse({}), json: null };
  for (const norm_type of ["layer_norm", "ada_norm", null]) {
    assertEquals({ ...parse({ norm_type }), json: null }, expected);
  }
  const without = parseTransformer2DConfig({ description: "config", values: missing });
  assertEquals({ ...without, json: null }, expected);
  assertThrows(() => parse({ norm_type: "ada_norm_zero" }), RangeError, "norm_type is");
  assertThrows(() => parse({ num_embeds_ada_norm: null }), TypeError, "num_embeds_ada_norm");
});

/** Other values of fields that versions after 0.9.0 added, and of those that were always so. */
const REFUSED: readonly [
  parse: (config: Config) => unknown,
  component: string,
  Record<string, unknown>,
][] = [
  [parseTransformer2DConfig, "transformer", {
    attention_type: "gated",
    caption_channels: 8,
    double_self_attention: true,
    interpolation_scale: 2,
    norm_elementwise_affine: false,
    norm_eps: 1e-6,
    out_channels: 3,
    patch_size: 2,
    only_cross_attention: true,
    upcast_attention: true,
    use_additional_conditions: true,
    use_linear_projection: true,
  }],
  [parseVQConfig, "vqvae", {
    act_fn: "relu",
    lookup_from_codebook: true,
    mid_block_add_attention: false,
    norm_type: "spatial",
  }],
];

Deno.test("configs refuse other values than the defaults of newer versions, by name", () => {
  const files = below(filesOf("saved_by_today"), "model");
  for (const [parse, component, values] of REFUSED) {
    for (const [key, value] of Object.entries(values)) {
      const config = jsonOf(changed(files[`${component}/config.json`], { [key]: value }));
      assertThrows(
        () => parse({ description: "config", values: config }),
        RangeError,
        `Cannot use config: ${key} is ${JSON.stringify(value)}, which is not supported`,
      );
    }
  }
});

Deno.test("configText() writes only keys of diffusers 0.9.0, and norm_type", async () => {
  const today = below(filesOf("saved_by_today"), "model");
  const cases = [["transformer", "transformer/a_diffusers_test"], [
    "vqvae",
    "vq_model/b_attn_4level",
  ]];
  for (const [component, golden] of cases) {
    const read = jsonOf(today[`${component}/config.json`]);
    // Keys of 0.9.0, as it wrote them, and of 0.40.
    const oldest = jsonOf(await Deno.readTextFile(new URL(`${golden}/config.json`, FIXTURES)));
    const saved = jsonOf(configText(read, undefined, []));
    const { norm_type, ...others } = saved;
    assertEquals(norm_type, component === "transformer" ? "ada_norm" : undefined);
    assertEquals(Object.keys(others).sort(), Object.keys(oldest).sort(), component);
    for (const [key, value] of Object.entries(others)) {
      assertEquals(value, key === "_diffusers_version" ? "0.9.0" : read[key], key);
    }
    assert(Object.keys(saved).every((key) => key in read), "0.40 does not know a key");
  }
});

Deno.test("configText() keeps what differs from the defaults of newer versions", () => {
  const read = jsonOf(below(filesOf("saved_by_today"), "model")["vqvae/config.json"]);
  const saved = configText({ ...read, scaling_factor: 2, force_upcast: true }, undefined, []);
  assert(saved.includes('"scaling_factor": 2.0'));
  assertEquals(jsonOf(saved).force_upcast, true);
});
