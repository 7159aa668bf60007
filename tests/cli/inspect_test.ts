// The command `inspect` as users run it, with the permissions of its task.

import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { originalModel } from "../checkpoints/original_files.ts";
import { serveHub } from "../hub/fake_hub.ts";
import { encodeTorchFile } from "../checkpoints/torch/torch_writer.ts";
import { formatBytes } from "../../src/base/format.ts";
import { WEIGHT_DTYPES } from "../../src/base/dtypes.ts";
import { createBackend } from "../../src/backends/select.ts";
import { VQDiffusionPipeline } from "../../src/pipeline/vq_diffusion_pipeline.ts";
import { tinyFiles } from "../pipeline/golden_runs.ts";
import { temporaryFolder } from "../temporary_folder.ts";
import { runTask } from "./run_task.ts";

const TINY = new URL("../fixtures/pipeline/tiny/model", import.meta.url);

/** What does not depend on where the tiny model lies. */
async function tinyReport() {
  const { stdout } = await runTask("inspect", [TINY.href, "--json"], { cwd: "." });
  const { model: _, ...report } = JSON.parse(stdout);
  return report;
}

Deno.test("inspect tells what a pipeline consists of, and its size for each type", async () => {
  const report = await tinyReport();
  assertEquals(report.kind, "VQDiffusionPipeline");
  const [transformer, ...others] = report.components;
  const names = ["vqvae", "text_encoder", "learned_classifier_free_sampling_embeddings"];
  assertEquals(others.map(({ name }: { name: string }) => name), names);
  const { parameters, dtypes, bytes, memory } = transformer;
  assertEquals([dtypes, bytes], [["F32"], 4 * parameters]);
  assert(memory.q8 < memory.fp16 && memory.fp16 < memory.fp32 && memory.fp32 < bytes);
  assertEquals(report.facts, {
    "tokens": "64 of 8 × 8, 64 codes and the mask",
    "transformer": "3 layers of 4 × 16 columns",
    "image size": "32 × 32 pixels",
    "embeddings for no prompt": "learned",
    "timesteps": "100",
    "prompt length": '77 tokens, padded with "<|endoftext|>"',
  });
  const { code, stdout, stderr } = await runTask("inspect", [TINY.href], { cwd: "." });
  assertEquals([code, stderr], [0, ""]);
  assertMatch(
    stdout,
    /^transformer +[\d.]+ k +F32 +[\d.]+ \w+ +[\d.]+ \w+ +[\d.]+ \w+ +[\d.]+ \w+$/m,
  );
  assertMatch(stdout, /^total .* MiB/m);
  assertMatch(stdout, /^image size: +32 × 32 pixels$/m);
});

Deno.test("inspect tells what memory is held after a first image", async () => {
  const { firstImage } = await tinyReport();
  for (const dtype of WEIGHT_DTYPES) {
    // As many threads as it counts with: those that a backend has by default.
    await using backend = await createBackend({ device: "wasm" });
    await using pipe = await VQDiffusionPipeline.fromPretrained(TINY, { backend, dtype });
    await pipe.generate("a cat", { numInferenceSteps: 1 });
    assertEquals(firstImage.wasm[dtype], backend.memoryHeld().bytes);
    assertEquals(firstImage.threads, backend.device.threads);
    assert(firstImage.webgpu[dtype] < firstImage.wasm[dtype]);
  }
  const { stdout } = await runTask("inspect", [TINY.href], { cwd: "." });
  const { fp32 } = firstImage.wasm;
  assertStringIncludes(stdout, `  ${formatBytes(fp32)} `);
  assertMatch(stdout, /^first image, CPU of \d+ threads? +3\.\d MiB +\d\.\d MiB +\d\.\d MiB$/m);
  assertMatch(stdout, /^first image, GPU +3\.\d MiB +\d\.\d MiB +\d\.\d MiB$/m);
});

Deno.test("inspect tells no memory of a first image that cannot be made, and why", async () => {
  await using cwd = await temporaryFolder();
  const files = tinyFiles();
  delete files["tokenizer/vocab.json"];
  for (const [path, bytes] of Object.entries(files)) {
    await Deno.mkdir(new URL(".", `file://${cwd.path}/${path}`), { recursive: true });
    await Deno.writeFile(`${cwd.path}/${path}`, bytes);
  }
  const { stdout, stderr } = await runTask("inspect", [".", "--json"], { cwd: cwd.path });
  assertEquals(stderr, "");
  const { firstImage, facts } = JSON.parse(stdout);
  assertEquals(firstImage, undefined);
  assertMatch(facts.tokenizer, /^missing, so that the memory of a first image cannot be told$/);
});

Deno.test("inspect tells the same of a model on the hub, and how it wants to be drawn with", async () => {
  await using cwd = await temporaryFolder();
  const config = { num_inference_steps: 25, guidance_scale: 1.5, top_k: 3 };
  const files = { ...tinyFiles(), "generation_config.json": JSON.stringify(config) };
  await using hub = serveHub({ "owner/tiny": { revisions: { main: files } } });
  const env = { HF_ENDPOINT: hub.endpoint.href, HF_HOME: cwd.path };
  const args = ["owner/tiny", "--json"];
  const { code, stdout, stderr } = await runTask("inspect", args, { cwd: cwd.path, env });
  assertEquals(code, 0, stderr);
  const { model, ...report } = JSON.parse(stdout);
  assertStringIncludes(model, "owner/tiny");
  const tiny = await tinyReport();
  const facts = { ...tiny.facts, "draws best with": "steps 25, guidance 1.5" };
  assertEquals(report, { ...tiny, facts });
});

Deno.test("inspect tells of a component, and of a file", async () => {
  const { stdout } = await runTask("inspect", [`${TINY}/vqvae`, "--json"], { cwd: "." });
  const { kind, components } = JSON.parse(stdout);
  assertEquals([kind, components[0].name], ["VQModel", "vqvae"]);
  const weights = `${TINY}/vqvae/diffusion_pytorch_model.safetensors`;
  const file = JSON.parse((await runTask("inspect", [weights, "--json"], { cwd: "." })).stdout);
  assertEquals(file.components, []);
  const groups = ["decoder", "encoder", "post_quant_conv", "quant_conv", "quantize"];
  assertEquals(Object.keys(file.groups).toSorted(), groups);
  const parameters = Object.values<{ parameters: number }>(file.groups)
    .reduce((sum, group) => sum + group.parameters, 0);
  assertEquals(parameters, components[0].parameters);
});

Deno.test("inspect tells of original checkpoints, whole and in part", async () => {
  const model = originalModel();
  await using folder = await temporaryFolder();
  const { path: cwd } = folder;
  await Deno.writeFile(`${cwd}/model.pth`, await encodeTorchFile({ model: model.checkpoint }));
  await Deno.writeFile(`${cwd}/vqvae.pth`, await encodeTorchFile({ model: model.vqvae }));
  const whole = await runTask("inspect", ["model.pth"], { cwd });
  assertEquals([whole.code, whole.stderr], [0, ""]);
  assertMatch(whole.stdout, /^model\.pth: VQDiffusionPipeline$/m);
  assertMatch(whole.stdout, /^transformer: +2 layers of 16 × 2 columns$/m);
  assertMatch(whole.stdout, /^text_encoder .* F16 /m);
  const codec = await runTask("inspect", ["vqvae.pth"], { cwd });
  assertEquals([codec.code, codec.stderr], [0, ""]);
  assertMatch(codec.stdout, /^vqvae\.pth: VQModel$/m);
  const { "quant_conv.weight": _, ...rest } = model.vqvae;
  await Deno.writeFile(`${cwd}/part.pth`, await encodeTorchFile({ model: rest }));
  const part = await runTask("inspect", ["part.pth"], { cwd });
  assertEquals([part.code, part.stderr], [0, ""]);
  assertMatch(part.stdout, /^part\.pth: file of arrays$/m);
  assertMatch(part.stdout, /^as a pipeline: .*it holds no transformer of VQ-Diffusion/m);
});

Deno.test("inspect refuses wrong arguments in one line", async () => {
  await using cwd = await temporaryFolder();
  await Deno.writeTextFile(`${cwd.path}/config.json`, `{"_class_name":"UNet2DModel"}`);
  await Deno.mkdir(`${cwd.path}/empty`);
  const cases: [string[], number, string][] = [
    [[], 2, "Expected a model to inspect, such as weights or owner/name, got none"],
    [["a", "b"], 2, "Expected one model, got 2"],
    [["a", "--dtype", "q8"], 2, "--dtype"],
    [["./none"], 1, "Cannot find the folder ./none"],
    [["none.safetensors"], 1, "Cannot find none.safetensors"],
    [["none.pth"], 1, "Cannot find none.pth"],
    [["."], 1, "its config is that of UNet2DModel"],
    [["empty/"], 1, "Cannot find empty/config.json; a model is a folder with that file, or an"],
  ];
  for (const [args, code, message] of cases) {
    const result = await runTask("inspect", args, { cwd: cwd.path });
    assertEquals(result.code, code, result.stderr);
    assertEquals(result.stderr.trimEnd().split("\n").length, 1, result.stderr);
    assertStringIncludes(result.stderr, message);
    assertEquals(result.stdout, "");
  }
});
