// The command `convert` as users run it, with the permissions of its task.

import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { openFolder } from "../../src/checkpoints/folders.ts";
import { openWeights } from "../../src/checkpoints/weights.ts";
import { DIFFUSERS_WEIGHTS, TRANSFORMERS_WEIGHTS } from "../../src/files/weight_names.ts";
import { VQDiffusionPipeline } from "../../src/pipeline/vq_diffusion_pipeline.ts";
import { originalModel, TOKENIZER } from "../checkpoints/original_files.ts";
import { encodeTorchFile } from "../checkpoints/torch/torch_writer.ts";
import { serveFiles } from "../files/file_server.ts";
import { tinyFiles } from "../pipeline/golden_runs.ts";
import { temporaryFolder } from "../temporary_folder.ts";
import { namesIn, runTask, startTask } from "./run_task.ts";

const TINY = new URL("../fixtures/pipeline/tiny/model", import.meta.url);
const WASM = { device: "wasm", threads: 1 } as const;
const DRAW = { seed: 3, numInferenceSteps: 3, outputType: "tokens" } as const;

/** A config like `configs/ithq.yaml`, of the small model. */
const YAML = `model:
  target: image_synthesis.modeling.models.dalle.DALLE
  params:
    content_info: {key: image}
    diffusion_config:
      target: image_synthesis.modeling.transformers.diffusion_transformer.DiffusionTransformer
      params:
        alpha_init_type: 'alpha1'  # a comment
        learnable_cf: true
        transformer_config:
          params: {n_layer: 2, n_embd: 32, n_head: 8}
        content_emb_config:
          params:
            spatial_size: !!python/tuple [4, 4]
`;

Deno.test("convert writes an original checkpoint in the layout of diffusers", async () => {
  const model = originalModel();
  await using folder = await temporaryFolder();
  const { path: cwd } = folder;
  await Deno.writeFile(`${cwd}/model.pth`, await encodeTorchFile({ model: model.checkpoint }));
  await Deno.writeFile(`${cwd}/vqvae.pth`, await encodeTorchFile({ model: model.vqvae }));
  await Deno.writeTextFile(`${cwd}/model.yaml`, YAML);
  const args = ["model.pth", "--vqvae", "vqvae.pth", "--tokenizer", TOKENIZER.href];
  const result = await runTask(
    "convert",
    [...args, "--config", "model.yaml", "--out", "new/model"],
    { cwd },
  );
  assertEquals([result.code, result.stderr], [0, ""]);
  assertEquals(result.stdout, "Wrote new/model\n");
  assertEquals(namesIn(`${cwd}/new/model`), [
    "learned_classifier_free_sampling_embeddings",
    "model_index.json",
    "scheduler",
    "text_encoder",
    "tokenizer",
    "transformer",
    "vqvae",
  ]);
  const converted = await openFolder(`${cwd}/new/model`);
  for (const [component, arrays] of Object.entries(model.expected)) {
    const names = component === "text_encoder" ? TRANSFORMERS_WEIGHTS : DIFFUSERS_WEIGHTS;
    await using weights = await openWeights(converted.folder(component), names);
    assertEquals(weights.names().toSorted(), Object.keys(arrays).toSorted());
    for (const [name, array] of Object.entries(arrays)) {
      assertEquals(await weights.loadStored(name), array, name);
    }
  }
  const transformer = JSON.parse(await converted.readText("transformer/config.json"));
  assertEquals([transformer.num_attention_heads, transformer.attention_head_dim], [8, 4]);
  await using pipe = await VQDiffusionPipeline.fromPretrained(`${cwd}/new/model`, WASM);
  const { images } = await pipe.generate("a cat!", DRAW);
  assertEquals(images[0]!.length, 16);
});

Deno.test("convert makes int8 of a folder, with the pictures of int8 made while loading", async () => {
  await using folder = await temporaryFolder();
  const out = `${folder.path}/q8`;
  // What else belongs to a model goes along.
  const others = {
    "generation_config.json": `{"guidance_scale":2,"top_k":3}`,
    "names.json": `{"names":{"Animals":["horse"]}}`,
  };
  await using server = serveFiles({ ...tinyFiles(), ...others });
  const args = [server.url.href, "--out", out, "--dtype", "q8", "--quiet"];
  const { code, stdout, stderr } = await runTask("convert", args, { cwd: folder.path });
  assertEquals([code, stdout, stderr], [0, "", ""]);
  // The type is given again for those layers that are not stored in int8.
  await using saved = await VQDiffusionPipeline.fromPretrained(out, { ...WASM, dtype: "q8" });
  await using loaded = await VQDiffusionPipeline.fromPretrained(TINY, { ...WASM, dtype: "q8" });
  const options = { ...DRAW, guidanceScale: 2 };
  const expected = await loaded.generate("a horse", options);
  assertEquals(await saved.generate("a horse", DRAW), expected);
  for (const [name, text] of Object.entries(others)) {
    assertEquals(JSON.parse(await Deno.readTextFile(`${out}/${name}`)), JSON.parse(text));
  }
});

Deno.test("convert refuses wrong arguments in one line, and writes nothing", async () => {
  await using folder = await temporaryFolder();
  const { path: cwd } = folder;
  await Deno.writeTextFile(`${cwd}/model.pth`, "garbage");
  const cases: [string[], number, string][] = [
    [[], 2, "Expected a model to convert, got none"],
    [["a", "b", "--out", "new"], 2, "Expected one model, got 2"],
    [["a"], 2, "Expected --out and a folder to write to"],
    [["a", "--out", "new", "--dtype", "int4"], 2, '--dtype is "int4", expected fp32, fp16 or q8'],
    [["a", "--out", "new", "--vqvae", "b.pth"], 2, "--vqvae is for original checkpoints"],
    [["a", "--out", "new", "--no-such"], 2, "--no-such"],
    [["./none", "--out", "new"], 1, "Cannot find the folder ./none"],
    [["none.pth", "--out", "new"], 1, "Cannot find none.pth"],
    [["model.pth", "--out", "new"], 1, "Cannot read model.pth"],
  ];
  for (const [args, code, message] of cases) {
    const result = await runTask("convert", args, { cwd });
    assertEquals(result.code, code, result.stderr);
    assertEquals(result.stderr.trimEnd().split("\n").length, 1, result.stderr);
    assertStringIncludes(result.stderr, message);
    assertEquals(result.stdout, "");
  }
  assertEquals(namesIn(cwd), ["model.pth"]);
});

Deno.test("convert stops at Ctrl-C with exit code 130 and leaves no file", async () => {
  await using folder = await temporaryFolder();
  const reached = Promise.withResolvers<void>();
  const stopped = Promise.withResolvers<void>();
  await using server = serveFiles(tinyFiles(), {
    fault: async (_request, path) => {
      if (!/^transformer\/.*safetensors$/.test(path)) return undefined;
      reached.resolve();
      await stopped.promise;
      return new Response(null, { status: 500 });
    },
  });
  const child = await startTask("convert", [server.url.href, "--out", "new"], { cwd: folder.path });
  const output = child.output();
  await reached.promise;
  child.kill("SIGINT");
  const { code, stdout, stderr } = await output;
  stopped.resolve();
  assertEquals([code, new TextDecoder().decode(stdout)], [130, ""]);
  assertMatch(new TextDecoder().decode(stderr), /^(Downloading .*\n)*Stopped\n$/);
  assertEquals(namesIn(folder.path), []);
});

Deno.test("convert --help tells what was never tried on the published files", async () => {
  await using folder = await temporaryFolder();
  const { code, stdout } = await runTask("convert", ["--help"], { cwd: folder.path });
  assertEquals(code, 0);
  assert(stdout.includes("none on the published files"), stdout);
});
