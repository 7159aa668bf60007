/**
 * The command `convert`: a model in the layout of diffusers, as safetensors, of a model in another form.
 *
 * @module
 */

import { WEIGHT_DTYPES, type WeightDType } from "../base/dtypes.ts";
import { createDryBackend } from "../backends/select.ts";
import { isOriginal, openFolder, type OriginalOptions } from "../checkpoints/folders.ts";
import { readKnownNames } from "../conditioning/known_names.ts";
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
an original checkpoint of Microsoft's (.pth, .pt or .ckpt). It is converted array by array: memory for
the largest array is enough.

Options:
  --out <folder>           Where to write; files of the same names are replaced when all are complete
  --dtype <type>           Type of the weights: fp32, fp16 or q8 (default: as stored)
  --revision <name>        Branch, tag or commit of a model of the hub
  --quiet                  Say nothing but what is wrong
  -h, --help               Show this text

For original checkpoints:
  --tokenizer <folder>     Folder, URL or hub id with CLIP's vocab.json and merges.txt, such as
                           openai/clip-vit-base-patch32 (default: tokenizer beside the checkpoint)
  --vqvae <file>           The image autoencoder, such as ithq_vqvae.pth (default: the one inside)
  --codes <file>           The codes behind the tokens, such as taming_vqvae_2887.pt: COCO, CUB-200
                           and Conceptual Captions need it
  --config <file>          Config in YAML or JSON, such as ithq.yaml (default: as the arrays say, with
                           16 attention heads)
  --text-encoder <folder>  CLIP's text encoder as transformers saves it (default: the one inside)
  --no-ema                 Take the weights themselves and not their averages

Original checkpoints of text-to-image models are read: ithq_learnable.pth, and those of COCO, CUB-200
and Conceptual Captions, whose autoencoder (taming_f8_8192_openimages_last.pth) is inside or given with
--vqvae. The names follow Microsoft's code; all of it was tried on small checkpoints of the same
structure, and none on the published files. The models of ImageNet (class-conditional) and FFHQ
(unconditional) have no counterpart in diffusers and are refused.
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
  const components = await loadComponents(folder, backend, { signal, load: false });
  try {
    const names = await readKnownNames(folder);
    await savePipeline({ components, names }, out, { dtype, signal });
  } finally {
    await disposeComponents(components);
  }
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
