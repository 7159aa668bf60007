// Stores a model in the way that the package embeds it: see `USAGE`.

import { createWasmBackend } from "../src/backends/wasm/wasm_backend.ts";
import { openFolder } from "../src/checkpoints/folders.ts";
import { quantizationConfig } from "../src/checkpoints/quantization_config.ts";
import { saveWeights } from "../src/checkpoints/save_weights.ts";
import { openWeights } from "../src/checkpoints/weights.ts";
import { UsageError } from "../src/cli/arguments.ts";
import { type FolderWriter, writeFolder } from "../src/files/folder_writer.ts";
import type { ModelFolder } from "../src/files/source.ts";
import { DIFFUSERS_WEIGHTS } from "../src/files/weight_names.ts";
import { readKnownNames } from "../src/conditioning/known_names.ts";
import { disposeComponents } from "../src/pipeline/components.ts";
import { loadComponents } from "../src/pipeline/load_components.ts";
import { savePipeline } from "../src/pipeline/save_pipeline.ts";
import { runScript } from "../tools/script.ts";

const USAGE =
  `Stores a model in the way that the package embeds it: small, and with its pictures kept.

    deno run --allow-all evaluation/embed_model.ts <folder> [options]

<folder>       a model in float16, in the layout of diffusers
--out folder   default: weights`;

/**
 * The linear layer of the transformer that stays in float16, since the tokens are drawn from its result.
 * Those of the adaptive norms become int8, other than in `convert`: they are computed once, while
 * loading, and always in float32.
 */
const PRECISE = "out";

/** Where the list of names lies: it is no result of the training. */
const WEIGHTS = new URL("../weights/", import.meta.url);

async function embed(source: string, out: string): Promise<void> {
  const folder = await openFolder(source);
  await using backend = await createWasmBackend({ threads: 1 });
  const components = await loadComponents(folder, backend, { load: false });
  try {
    const names = await readKnownNames(await openFolder(WEIGHTS));
    await savePipeline({ components, names }, out, { dtype: "q8" });
    await using target = await writeFolder(out);
    await saveAutoencoder(folder.folder("vqvae"), target.folder("vqvae"));
    await saveTransformer(folder.folder("transformer"), target.folder("transformer"));
    await target.commit();
  } finally {
    await disposeComponents(components);
  }
}

/** The encoder's convolutions in int8, since only the nearest code of its result counts; the rest as it is. */
async function saveAutoencoder(source: ModelFolder, target: FolderWriter): Promise<void> {
  const config = JSON.parse(await source.readText("config.json"));
  await target.writeText("config.json", `${JSON.stringify(config, null, 2)}\n`);
  await using weights = await openWeights(source, DIFFUSERS_WEIGHTS);
  const quantize = (name: string) => {
    return name.startsWith("encoder.") && weights.shape(name)?.length === 4;
  };
  await saveWeights(weights, target, DIFFUSERS_WEIGHTS[0]!, { dtype: "q8", quantize });
}

async function saveTransformer(source: ModelFolder, target: FolderWriter): Promise<void> {
  const config = JSON.parse(await source.readText("config.json"));
  const quantization = { quantization_config: quantizationConfig([PRECISE]) };
  await target.writeText(
    "config.json",
    `${JSON.stringify({ ...config, ...quantization }, null, 2)}\n`,
  );
  await using weights = await openWeights(source, DIFFUSERS_WEIGHTS);
  const quantize = (name: string) => {
    const isLinear = name.endsWith(".weight") && weights.shape(name)?.length === 2;
    return isLinear && !/emb(edding)?\./.test(name) && name !== `${PRECISE}.weight`;
  };
  await saveWeights(weights, target, DIFFUSERS_WEIGHTS[0]!, { dtype: "q8", quantize });
}

await runScript({
  usage: USAGE,
  options: { out: { type: "string", default: "weights" } },
  positionals: true,
  async run({ values, positionals }) {
    if (positionals.length !== 1) throw new UsageError("Expected one folder of a model");
    await embed(positionals[0]!, values.out);
  },
});
