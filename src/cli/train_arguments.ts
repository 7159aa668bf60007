/**
 * Arguments of `train`.
 *
 * @module
 */

import type { DeviceType } from "../backends/backend.ts";
import { WEIGHT_DTYPES, type WeightDType } from "../base/dtypes.ts";
import { parseSeed, SEEDS } from "../random/seed.ts";
import type { AnewOptions } from "../training/anew.ts";
import type { TrainerOptions } from "../training/trainer.ts";
import {
  choiceOption,
  integerOption,
  numberOption,
  parseArguments,
  UsageError,
  wrongValue,
} from "./arguments.ts";

/** What `train --help` says. */
export const TRAIN_HELP = `Fine-tunes a model on pictures with captions, or trains one anew.

Usage:
  deno task train <pictures> --out <folder> [options]

<pictures> is a folder of PNG and JPEG files, with those in its folders. Their captions are, the first
of these that is there:
  metadata.jsonl       {"file_name": "a.png", "text": "a red apple"} on each line, as Hugging Face's
                       imagefolder has it
  a.txt                A text file beside each picture
  red-apple_2.png      Names of the files: "red apple"
Of each picture the largest square in the middle is taken, in the size of the model.

Files:
  --out <folder>       Where to write the model: a new folder, or that of a training that was stopped,
                       which goes on with the same result. In its folder training/ are the state,
                       loss.csv, and samples
  --dtype <type>       Type of the weights of the model: fp32, fp16 or q8 (default: fp32)
  --sample-every <n>   Steps after which the model and samples are written (default: a tenth of all)
  --prompt <text>      What to draw as a sample; may be given several times (default: up to eight
                       captions)
  --save-every <s>     Seconds after which the state is saved (default: 50)

Training:
  --from <source>      Model to start from: folder, URL or hub id (default: the embedded model)
  --revision <name>    Branch, tag or commit of a model on the hub (default: main)
  --steps <n>          Steps in all (default: 600)
  --batch <n>          Pictures of a batch (default: 32)
  --accumulate <n>     Batches of a step, for more pictures than fit into memory (default: 1)
  --recompute          Keep of each block the result only, and compute the rest again for gradients: less
                       memory, more time, the same result
  --lr <x>             Greatest learning rate (default: 0.0015)
  --warm-up <n>        Steps in which it rises to that; then it falls to 0 as a cosine (default: a
                       twentieth of all, at most 100)
  --train-text         Train the text encoder along, for words that it does not know (default: with
                       --new)
  --optimizer <name>   muon or adamw (default: muon)
  --dropout <x>        Share of captions that are dropped, for guidance (default: 0.1)
  --auxiliary <x>      Weight of -log p(x0) beside the variational bound (default: 0.05)
  --ema <x>            Share of the old in the average of parameters that is saved (default: 0.99)
  --seed <n>           Seed of all random numbers (default: 0)

Anew:
  --new                Begin with a model of its own: tokenizer, image autoencoder and transformer
  --size <n>           Side of its pictures in pixels, a multiple of 8 (default: 64)
  --codes <n>          Codes that its pictures consist of (default: 256)
  --layers <n>         Blocks of its transformer (default: 6)
  --vq-steps <n>       Steps of the autoencoder, which is trained first (default: 2000)
  --vq-critic <x>      Weight of a critic in the second half of them: 0.1 makes pictures crisper
                       (default: 0)

  --device <device>    auto, wasm (CPU) or webgpu (GPU) (default: auto)
  --threads <n>        Threads on the CPU (default: one for each processor)
  --quiet              Say nothing unless something goes wrong
  --help               Say this

Ctrl-C ends the training after the step that it is in, and saves its state. The same command goes on.
--steps and --lr may be others then, as after a loss that is not finite.

Examples:
  deno task train pictures --out my-model
  deno task train pictures --out my-model --steps 2000 --prompt "a cat" --prompt "a dog"
  deno task train pictures --out my-model --new --vq-steps 10000 --steps 20000
  deno task generate "a cat" --model my-model
`;

const OPTIONS = {
  out: { type: "string", short: "o" },
  dtype: { type: "string" },
  "sample-every": { type: "string" },
  prompt: { type: "string", multiple: true },
  "save-every": { type: "string" },
  from: { type: "string" },
  revision: { type: "string" },
  steps: { type: "string" },
  batch: { type: "string" },
  accumulate: { type: "string" },
  recompute: { type: "boolean" },
  lr: { type: "string" },
  "warm-up": { type: "string" },
  "train-text": { type: "boolean" },
  optimizer: { type: "string" },
  dropout: { type: "string" },
  auxiliary: { type: "string" },
  ema: { type: "string" },
  seed: { type: "string" },
  new: { type: "boolean" },
  size: { type: "string" },
  codes: { type: "string" },
  layers: { type: "string" },
  "vq-steps": { type: "string" },
  "vq-critic": { type: "string" },
  device: { type: "string" },
  threads: { type: "string" },
  quiet: { type: "boolean", short: "q" },
  help: { type: "boolean", short: "h" },
} as const;

/** Names of options elsewhere. */
const ALIASES = {
  model: "from",
  output: "out",
  "learning-rate": "lr",
  "batch-size": "batch",
  warmup: "warm-up",
  optimiser: "optimizer",
} as const;

/** What is to be done. */
export interface TrainArguments {
  readonly pictures: string;
  readonly out: string;
  readonly dtype: WeightDType | undefined;
  readonly sampleEvery: number | undefined;
  readonly prompts: readonly string[] | undefined;
  readonly saveSeconds: number | undefined;
  readonly from: string | undefined;
  readonly revision: string | undefined;
  readonly trainTextEncoder: boolean | undefined;
  readonly anew: AnewOptions | undefined;
  readonly trainer: TrainerOptions;
  readonly device: DeviceType | "auto";
  readonly threads: number | undefined;
  readonly quiet: boolean;
}

/**
 * Reads the arguments of `train`.
 *
 * @returns What to do, or undefined if help was asked for.
 * @throws {UsageError} If an argument is wrong.
 */
export function readTrainArguments(args: readonly string[]): TrainArguments | undefined {
  const { values, positionals } = parseArguments(args, OPTIONS, ALIASES);
  if (values.help) return undefined;
  const [pictures, ...others] = positionals;
  if (pictures === undefined) throw new UsageError("Expected a folder of pictures, got none");
  if (others.length > 0) throw new UsageError(`Expected one folder, got ${positionals.length}`);
  const { out, from, revision, prompt: prompts } = values;
  if (!out) throw new UsageError("Expected --out and a folder to write to");
  if (from === "") throw wrongValue("from", "a folder, a URL or a hub id", "");
  if (revision !== undefined && from === undefined) {
    throw new UsageError("--revision is given without --from, expected a model on the hub");
  }
  const share = { min: 0, max: 1 };
  const seed = values.seed === undefined ? undefined : parseSeed(values.seed);
  if (values.seed !== undefined && seed === undefined) throw wrongValue("seed", SEEDS, values.seed);
  return {
    pictures,
    out,
    dtype: choiceOption("dtype", values.dtype, WEIGHT_DTYPES),
    sampleEvery: integerOption("sample-every", values["sample-every"]),
    prompts,
    saveSeconds: numberOption("save-every", values["save-every"], { min: 0 }),
    from,
    revision,
    trainTextEncoder: values["train-text"],
    anew: readAnew(values),
    trainer: {
      steps: integerOption("steps", values.steps),
      batch: integerOption("batch", values.batch),
      accumulate: integerOption("accumulate", values.accumulate),
      recompute: values.recompute,
      learningRate: numberOption("lr", values.lr, { min: 0 }),
      warmUp: integerOption("warm-up", values["warm-up"], { min: 0 }),
      optimizer: choiceOption("optimizer", values.optimizer, ["muon", "adamw"]),
      captionDropout: numberOption("dropout", values.dropout, share),
      auxiliaryLossWeight: numberOption("auxiliary", values.auxiliary, { min: 0 }),
      emaDecay: numberOption("ema", values.ema, share),
      seed,
    },
    device: choiceOption("device", values.device, ["auto", "wasm", "webgpu"]) ?? "auto",
    threads: integerOption("threads", values.threads, { max: 256 }),
    quiet: values.quiet ?? false,
  };
}

/** Sizes of a new model, by the names of their options. */
interface AnewTexts {
  readonly new?: boolean | undefined;
  readonly from?: string | undefined;
  readonly size?: string | undefined;
  readonly codes?: string | undefined;
  readonly layers?: string | undefined;
  readonly "vq-steps"?: string | undefined;
  readonly "vq-critic"?: string | undefined;
}

/** How to begin anew, if that is asked for. */
function readAnew(values: AnewTexts): AnewOptions | undefined {
  if (values.new !== true) {
    const sizes = ["size", "codes", "layers", "vq-steps", "vq-critic"] as const;
    const misplaced = sizes.find((name) => values[name] !== undefined);
    if (misplaced === undefined) return undefined;
    throw new UsageError(`--${misplaced} is given without --new, whose model it is about`);
  }
  if (values.from !== undefined) {
    throw new UsageError("--from is given with --new, expected one of them");
  }
  const imageSize = integerOption("size", values.size, { min: 8, max: 1024 });
  if (imageSize !== undefined && imageSize % 8 !== 0) {
    throw wrongValue("size", "a multiple of 8", values.size!);
  }
  return {
    imageSize,
    codes: integerOption("codes", values.codes, { min: 2, max: 2 ** 16 }),
    layers: integerOption("layers", values.layers, { max: 1000 }),
    vqvae: {
      steps: integerOption("vq-steps", values["vq-steps"]),
      criticWeight: numberOption("vq-critic", values["vq-critic"], { min: 0 }),
    },
  };
}
