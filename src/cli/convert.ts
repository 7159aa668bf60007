/**
 * The command `convert`: a model in the layout of diffusers, as safetensors, of a model in another form.
 *
 * @module
 */

import { WEIGHT_DTYPES, type WeightDType } from "../base/dtypes.ts";
import { createDryBackend } from "../backends/select.ts";
import { readConfig } from "../checkpoints/config.ts";
import { isOriginal, openFolder, type OriginalOptions } from "../checkpoints/folders.ts";
import { readKnownNames } from "../conditioning/known_names.ts";
import type { ModelFolder } from "../files/source.ts";
import { VQModel } from "../models/vq_model.ts";
import { disposeComponents } from "../pipeline/components.ts";
import { loadComponents } from "../pipeline/load_components.ts";
import { savePipeline } from "../pipeline/save_pipeline.ts";
import { choiceOption, parseArguments, UsageError } from "./arguments.ts";
import { hubOptions } from "./environment.ts";
import { abortOnInterrupt } from "./interrupt.ts";
import { LoadDisplay } from "./load_display.ts";
import { explained } from "./model_source.ts";
import { print, printMessage } from "./terminal.ts";

const HELP = `Turn a model into a folder in the layout of diffusers, with safetensors

Usage:
  deno task convert <model> --out <folder> [options]

<model> is a folder of diffusers (.bin or .safetensors), its URL, a model of the hub (owner/name), or
an original checkpoint of Microsoft's, of a whole model or of an image autoencoder (.pth, .pt or .ckpt).
It is converted array by array: memory for the largest array is enough.

Options:
  --out <folder>           Where to write; files of the same names are replaced when all are complete
  --dtype <type>           Type of the weights: fp32, fp16 or q8 (default: as stored)
  --revision <name>        Branch, tag or commit of a model of the hub
  --quiet                  Say nothing but what is wrong
  -h, --help               Show this text

For original checkpoints:
  --tokenizer <folder>     Folder, URL or hub id with CLIP's vocab.json and merges.txt, such as
                           openai/clip-vit-base-patch32 (default: tokenizer beside the checkpoint)
  --vqvae <file>           The image autoencoder, such as ithq_vqvae.pth (default: the one inside, or
                           beside the checkpoint as the config names it)
  --codes <file>           The codes behind the tokens, such as taming_vqvae_2887.pt: COCO, CUB-200,
                           Conceptual Captions and ImageNet need it (default: beside the checkpoint as
                           the config names it)
  --config <file>          Config in YAML or JSON, such as ithq.yaml (default: config.yaml beside the
                           checkpoint, or as the arrays say, with 16 attention heads). ImageNet and
                           FFHQ need one: only that says how many tokens an image has
  --text-encoder <folder>  CLIP's text encoder as transformers saves it (default: the one inside)
  --no-ema                 Take the weights themselves and not their averages

Original checkpoints of all of Microsoft's models are read: ithq_learnable.pth; those of COCO, CUB-200
and Conceptual Captions, whose autoencoder is taming_f8_8192_openimages_last.pth; those of ImageNet,
which draw from classes, and FFHQ, which is unconditional. These two have no counterpart in diffusers:
what is written for them loads here only. The names follow Microsoft's code; all of it was tried on
small checkpoints of the same structure, and none on the published files.
`;

const OPTIONS = {
  out: { type: "string" },
  dtype: { type: "string" },
  revision: { type: "string" },
  quiet: { type: "boolean" },
  help: { type: "boolean", short: "h" },
  tokenizer: { type: "string" },
  vqvae: { type: "string" },
  codes: { type: "string" },
  config: { type: "string" },
  "text-encoder": { type: "string" },
  "no-ema": { type: "boolean" },
} as const;

/** What is to be done. */
interface ConvertArguments {
  readonly source: string;
  readonly out: string;
  readonly dtype: WeightDType | undefined;
  readonly revision: string | undefined;
  readonly quiet: boolean;
  readonly original: OriginalOptions;
}

/**
 * Runs the command.
 *
 * @returns The exit code.
 * @throws {UsageError} If an argument is wrong.
 */
export async function convert(args: string[]): Promise<number> {
  const request = readArguments(args);
  if (!request) {
    print(HELP);
    return 0;
  }
  using interrupt = abortOnInterrupt();
  try {
    await explained(request.source, run(request, interrupt.signal));
  } catch (error) {
    if (interrupt.exitCode === undefined) throw error;
    if (!request.quiet) printMessage("Stopped");
    return interrupt.exitCode;
  }
  if (!request.quiet) print(`Wrote ${request.out}`);
  return 0;
}

async function run(request: ConvertArguments, signal: AbortSignal): Promise<void> {
  const { source, out, dtype, revision, quiet, original } = request;
  using display = new LoadDisplay();
  const folder = await openFolder(source, {
    ...hubOptions(),
    revision,
    signal,
    original,
    onProgress: quiet ? undefined : display.onProgress,
  });
  // Nothing is computed: the models only say what may become int8, and where it is.
  await using backend = await createDryBackend();
  if (!await folder.has("model_index.json") && await isVq(folder)) {
    await using vqvae = await VQModel.fromPretrained(folder, { backend, load: false });
    return await vqvae.savePretrained(out, { dtype, signal });
  }
  const components = await loadComponents(folder, backend, { signal, load: false });
  try {
    const names = await readKnownNames(folder);
    await savePipeline({ components, names }, out, { dtype, signal });
  } finally {
    await disposeComponents(components);
  }
}

/** Whether a folder is that of an image autoencoder alone. */
async function isVq(folder: ModelFolder): Promise<boolean> {
  if (!await folder.has("config.json")) return false;
  const { values } = await readConfig(folder, "config.json");
  return values["_class_name"] === "VQModel";
}

function readArguments(args: string[]): ConvertArguments | undefined {
  const { values, positionals } = parseArguments(args, OPTIONS);
  if (values.help) return undefined;
  const [source, ...others] = positionals;
  if (source === undefined) throw new UsageError("Expected a model to convert, got none");
  if (others.length > 0) throw new UsageError(`Expected one model, got ${positionals.length}`);
  const { out, tokenizer, vqvae, codes, config } = values;
  if (!out) throw new UsageError("Expected --out and a folder to write to");
  const forOriginals = ["tokenizer", "vqvae", "codes", "config", "text-encoder", "no-ema"] as const;
  const misplaced = forOriginals.find((name) => values[name] !== undefined);
  if (misplaced && !isOriginal(source)) {
    throw new UsageError(
      `--${misplaced} is for original checkpoints, which end in .pth, .pt or .ckpt; got ${source}`,
    );
  }
  const textEncoder = values["text-encoder"];
  const ema = values["no-ema"] !== true;
  return {
    source,
    out,
    dtype: choiceOption("dtype", values.dtype, WEIGHT_DTYPES),
    revision: values.revision,
    quiet: values.quiet ?? false,
    original: { tokenizer, vqvae, codes, config, textEncoder, ema },
  };
}
