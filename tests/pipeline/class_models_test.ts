// Microsoft's models from their original checkpoints, against whole runs of Microsoft's code.

import { assertEquals } from "@std/assert";
import { memoryFolder } from "../../src/files/memory_folder.ts";
import { VQDiffusionPipeline } from "../../src/pipeline/vq_diffusion_pipeline.ts";
import { VQDiffusionFastScheduler } from "../../src/schedulers/vq_diffusion_fast_scheduler.ts";
import { VQDiffusionScheduler } from "../../src/schedulers/vq_diffusion_scheduler.ts";
import { createWasmBackend } from "../../src/backends/wasm/wasm_backend.ts";
import { RUN_BACKENDS } from "../schedulers/microsoft_runs.ts";
import { inTemporaryFolder } from "../temporary_folder.ts";
import {
  checkClassRun,
  checkpointOf1000Classes,
  CLASS_MODELS,
  classModelData,
  type ClassRun,
  loadClassModel,
} from "./class_models.ts";

const FFHQ = classModelData("ffhq");
const IMAGENET = classModelData("imagenet");
const ITHQ = classModelData("ithq");

for (const { name, slow, make, ignore } of RUN_BACKENDS) {
  Deno.test({
    name: `${name}: VQDiffusionPipeline.generate() draws classes as Microsoft's code`,
    ignore: ignore ?? false,
    fn: async () => {
      await using backend = await make();
      await using pipe = await loadClassModel("imagenet", backend);
      const numImagesPerPrompt = 2;
      await checkClassRun(pipe, IMAGENET, "cf", { classLabel: 407 }, { numImagesPerPrompt });
      await checkClassRun(pipe, IMAGENET, "cf", { classLabel: [407, 407] });
      await checkClassRun(pipe, IMAGENET, "cf_unguided", { classLabel: 3 });
    },
  });

  Deno.test({
    name: `${name}: VQDiffusionPipeline.generate() draws without condition as Microsoft's code`,
    ignore: ignore ?? false,
    fn: async () => {
      await using backend = await make();
      await using pipe = await loadClassModel("ffhq", backend);
      await checkClassRun(pipe, FFHQ, "run", undefined, { numImagesPerPrompt: 2 });
    },
  });

  Deno.test({
    name: `${name}: VQDiffusionPipeline.generate() draws from text as Microsoft's code`,
    ignore: ignore ?? false,
    fn: async () => {
      await using backend = await make();
      await using pipe = await loadClassModel("ithq", backend);
      for (const [name, run] of Object.entries(ITHQ.runs)) {
        if (slow && run.calls > 50) continue;
        const scheduler = textScheduler(pipe, run);
        const other = new VQDiffusionPipeline({ ...pipe.components, scheduler });
        await checkClassRun(other, ITHQ, name, undefined, {
          promptEmbeds: embeddings(run.prompt === "one" ? 0 : 1),
          // Without learned embeddings an empty prompt takes their place.
          ...(run.learnable_cf === false && { negativePromptEmbeds: embeddings(2) }),
          numImagesPerPrompt: run.batch_size,
        });
      }
    },
  });
}

function textScheduler({ components }: VQDiffusionPipeline, { infer_speed: inferSpeed }: ClassRun) {
  const { config } = components.scheduler;
  return inferSpeed === undefined
    ? new VQDiffusionScheduler({ ...config, samplingReference: "microsoft" })
    : VQDiffusionFastScheduler.fromConfig(config, { inferSpeed });
}

/** Embeddings as the original's text encoder gives them, in float16. */
function embeddings(index: number) {
  const [, length, columns] = ITHQ.shape("text_embeddings") as [number, number, number];
  const size = length * columns;
  const data = ITHQ.floats("text_embeddings").slice(index * size, (index + 1) * size);
  return { data, shape: [1, length, columns] as const };
}

Deno.test("VQDiffusionPipeline.generate() guides by the mean of all classes where none is for no class", async () => {
  const imagenet = new URL(".", CLASS_MODELS.imagenet);
  await inTemporaryFolder(async (path) => {
    await Deno.writeFile(`${path}/mean.pth`, await checkpointOf1000Classes());
    for (const file of ["config.yaml", "taming_vqvae_12.pt"]) {
      await Deno.copyFile(new URL(file, imagenet), `${path}/${file}`);
    }
    await using backend = await createWasmBackend({ threads: 1 });
    await using pipe = await VQDiffusionPipeline.fromPretrained(`${path}/mean.pth`, { backend });
    const { numClassEmbeds, unconditionalClass } = pipe.components.transformer.config;
    assertEquals([numClassEmbeds, unconditionalClass], [1001, 1000]);
    await checkClassRun(pipe, IMAGENET, "mean", { classLabel: 407 }, { numImagesPerPrompt: 2 });
  });
});

Deno.test("VQDiffusionPipeline.savePretrained() saves models that do not draw from text", async () => {
  await using backend = await createWasmBackend({ threads: 1 });
  await inTemporaryFolder(async (path) => {
    for (const name of ["imagenet", "ffhq"] as const) {
      await using pipe = await loadClassModel(name, backend);
      await pipe.savePretrained(`${path}/${name}`);
      const index = JSON.parse(await Deno.readTextFile(`${path}/${name}/model_index.json`));
      assertEquals(index.tokenizer, [null, null]);
      assertEquals([...Deno.readDirSync(`${path}/${name}`)].map(({ name }) => name).sort(), [
        ...["model_index.json", "scheduler", "transformer", "vqvae"],
      ]);
      await using saved = await VQDiffusionPipeline.fromPretrained(`${path}/${name}`, { backend });
      assertEquals(saved.components.scheduler.config.samplingReference, "microsoft");
      const [data, run] = name === "ffhq" ? [FFHQ, "run"] as const : [IMAGENET, "cf"] as const;
      const input = name === "ffhq" ? undefined : { classLabel: 407 };
      await checkClassRun(saved, data, run, input, { numImagesPerPrompt: 2 });
    }
  });
});

Deno.test("VQDiffusionPipeline.savePretrained() saves in float16 what draws the same there", async () => {
  await using backend = await createWasmBackend({ threads: 1 });
  await inTemporaryFolder(async (path) => {
    await using pipe = await loadClassModel("imagenet", backend);
    await pipe.savePretrained(path, { dtype: "fp16" });
    const options = { seed: 1, outputType: "tokens" } as const;
    const load = () => VQDiffusionPipeline.fromPretrained(path, { backend });
    await using first = await load();
    const { images } = await first.generate({ classLabel: 7 }, options);
    await first.savePretrained(path);
    await using second = await load();
    assertEquals((await second.generate({ classLabel: 7 }, options)).images, images);
  });
});

Deno.test("VQDiffusionPipeline.fromPretrained() refuses a folder whose components do not fit its kind", async () => {
  await using backend = await createWasmBackend({ threads: 1 });
  await inTemporaryFolder(async (path) => {
    await using pipe = await loadClassModel("ffhq", backend);
    await pipe.savePretrained(path);
    const files: Record<string, string | Uint8Array<ArrayBuffer>> = {};
    for (const name of ["model_index.json", "scheduler/scheduler_config.json"]) {
      files[name] = await Deno.readTextFile(`${path}/${name}`);
    }
    for (const name of ["transformer", "vqvae"]) {
      files[`${name}/config.json`] = await Deno.readTextFile(`${path}/${name}/config.json`);
      const weights = `${name}/diffusion_pytorch_model.safetensors`;
      files[weights] = await Deno.readFile(`${path}/${weights}`);
    }
    const load = async (changes: Record<string, unknown>, of = "transformer/config.json") => {
      const config = { ...JSON.parse(files[of] as string), ...changes };
      const folder = memoryFolder({ ...files, [of]: JSON.stringify(config) });
      try {
        await (await VQDiffusionPipeline.fromPretrained(folder, { backend })).dispose();
      } catch (error) {
        return (error as Error).message;
      }
      return "";
    };
    const { bytes } = backend.memoryUse();
    const cases: [string, string][] = [
      [await load({ condition_type: "class" }), "num_class_embeds is missing"],
      [await load({ condition_type: "pose" }), 'condition_type is "pose", expected "text"'],
      [
        await load({ condition_type: "class", num_class_embeds: 3 }),
        "missing transformer_blocks.0.norm3.emb",
      ],
      [await load({ feed_forward_type: "linear" }), "ff.net.0.proj.weight has shape"],
      [await load({ feed_forward_type: "cubic" }), 'feed_forward_type is "cubic"'],
      [
        await load({ activation_fn: "geglu" }),
        'activation_fn is "geglu", expected "geglu-approximate"',
      ],
      [await load({ position_grid: [3, 5] }), "position_grid is (3, 5), expected rows and columns"],
      [await load({ position_grid: [8] }), "position_grid is (8), expected rows and columns"],
      [await load({ position_grid: [4, 4] }), "height_emb.weight has shape"],
      [
        await load({ tokenizer: null }, "model_index.json"),
        "tokenizer is null, expected a CLIPTokenizer",
      ],
      [
        await load({ transformer: [null, null] }, "model_index.json"),
        "expected a Transformer2DModel",
      ],
    ];
    for (const [message, expected] of cases) {
      assertEquals(message.includes(expected), true, `${expected}: ${message}`);
      assertEquals(message.startsWith("Cannot "), true, message);
    }
    assertEquals(backend.memoryUse().bytes, bytes);
  });
});
