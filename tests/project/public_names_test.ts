// What users can import: the names of every entry point, so that they change only on purpose, and that
// whatever type is public can be made with what is public.

import { assert, assertEquals } from "@std/assert";
import { createBackend, evaluate } from "../../src/backends/mod.ts";
import {
  type ArraySource,
  DIFFUSERS_WEIGHTS,
  encodeSafetensors,
  openArrays,
  openFile,
  openFolder,
  openWeights,
  parseSafetensors,
  readConfig,
  TRANSFORMERS_WEIGHTS,
  writeFolder,
} from "../../src/checkpoints/mod.ts";
import {
  CLIPTextModel,
  LearnedClassifierFreeSamplingEmbeddings,
  Transformer2DModel,
  VQModel,
} from "../../src/models/mod.ts";
import { VQDiffusionScheduler } from "../../src/schedulers/mod.ts";
import { CLIPTokenizer } from "../../src/tokenizers/mod.ts";
import { VQDiffusionPipeline } from "../../mod.ts";
import { temporaryFolder } from "../temporary_folder.ts";

const ROOT = new URL("../../", import.meta.url);
const MODEL = new URL("../fixtures/pipeline/tiny/model/", import.meta.url);

const NAMES: Readonly<Record<string, readonly string[]>> = JSON.parse(
  Deno.readTextFileSync(new URL("public_names.json", import.meta.url)),
);

/** Names that an entry point exports. */
async function namesOf(path: string): Promise<string[]> {
  const command = new Deno.Command(Deno.execPath(), {
    args: ["doc", "--json", new URL(path, ROOT).pathname],
    stderr: "inherit",
  });
  const { nodes } = JSON.parse(new TextDecoder().decode((await command.output()).stdout));
  const symbols: { name: string }[] = Object.values(nodes as Record<string, { symbols: [] }>)
    .flatMap((module) => module.symbols);
  return [...new Set(symbols.map(({ name }) => name))].sort();
}

Deno.test("entry points export the names in public_names.json, and no others", async () => {
  const { exports }: { exports: Record<string, string> } = JSON.parse(
    Deno.readTextFileSync(new URL("deno.json", ROOT)),
  );
  const found = Object.entries(exports).map(async ([entry, path]) => [entry, await namesOf(path)]);
  assertEquals(Object.fromEntries(await Promise.all(found)), NAMES);
});

Deno.test("mod.ts has what most programs need, and the rest has entries of its own", () => {
  assert(NAMES["."]!.length <= 50, `mod.ts exports ${NAMES["."]!.length} names`);
});

Deno.test("a pipeline can be made of public parts alone", async () => {
  await using backend = await createBackend({ device: "wasm", threads: 1 });
  const root = await openFolder(MODEL);
  const parts = async (
    folder: string,
    names: readonly string[],
  ): Promise<[Awaited<ReturnType<typeof readConfig>>, ArraySource]> => {
    const component = root.folder(folder);
    return [await readConfig(component, "config.json"), await openWeights(component, names)];
  };
  const learned = "learned_classifier_free_sampling_embeddings";
  await using vqvae = await VQModel.create(backend, ...await parts("vqvae", DIFFUSERS_WEIGHTS));
  await using textEncoder = await CLIPTextModel.create(
    backend,
    ...await parts("text_encoder", TRANSFORMERS_WEIGHTS),
  );
  await using transformer = await Transformer2DModel.create(
    backend,
    ...await parts("transformer", DIFFUSERS_WEIGHTS),
  );
  await using embeddings = await LearnedClassifierFreeSamplingEmbeddings.create(
    backend,
    ...await parts(learned, DIFFUSERS_WEIGHTS),
  );
  const { values } = await readConfig(root.folder("scheduler"), "scheduler_config.json");
  await using made = new VQDiffusionPipeline({
    vqvae,
    textEncoder,
    transformer,
    learnedClassifierFreeSamplingEmbeddings: embeddings,
    scheduler: VQDiffusionScheduler.fromConfig(values),
    tokenizer: await CLIPTokenizer.fromPretrained(MODEL, { subfolder: "tokenizer" }),
  });
  await using loaded = await VQDiffusionPipeline.fromPretrained(MODEL, { backend });
  const options = { seed: 1, numInferenceSteps: 3, outputType: "tokens" } as const;
  assertEquals(await made.generate("a cat", options), await loaded.generate("a cat", options));
});

Deno.test("checkpoints can be written, read and computed with by public names alone", async () => {
  await using folder = await temporaryFolder();
  const bytes = new Uint8Array(Float32Array.of(3, 4).buffer);
  const stored = encodeSafetensors([["x", { dtype: "F32", shape: [1, 2], bytes }]]);
  await using writer = await writeFolder(folder.path);
  await writer.writeFile("x.safetensors", async (sink) => await sink(stored));
  await writer.commit();
  const path = `${folder.path}/x.safetensors`;
  assertEquals(parseSafetensors(await Deno.readFile(path)).get("x")?.shape, [1, 2]);
  await using arrays = await openArrays(await openFile(path));
  await using backend = await createBackend({ device: "wasm", threads: 1 });
  using x = backend.upload(await arrays.load("x"));
  using unit = evaluate(backend, (frame) => frame.keep(frame.normalizeRows(x)));
  assertEquals([...await unit.data()], [Math.fround(0.6), Math.fround(0.8)]);
});
