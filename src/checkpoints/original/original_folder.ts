/**
 * Original checkpoints of VQ-Diffusion as folders in the layout of diffusers.
 *
 * Microsoft published training checkpoints: `ithq_learnable.pth` and others of the improved paper (Tang
 * et al., arXiv 2205.16007), and those of COCO, CUB-200 and Conceptual Captions of the first (Gu et al.,
 * arXiv 2111.14822). Names and shapes here follow Microsoft's code and the conversion script of
 * diffusers; they were tried on small checkpoints of the same structure, never on the published files.
 *
 * @module
 */

import type { ArraySource } from "../arrays.ts";
import { type FileTree, treeFolder } from "../../files/file_tree.ts";
import { joinPath, missingFile, readTextOf } from "../../files/paths.ts";
import type { FileSource, ModelFolder } from "../../files/source.ts";
import { memoryFile } from "../../files/memory_folder.ts";
import {
  hasLearnedEmbeddings,
  learnedEmbeddings,
  learnedEmbeddingsConfig,
} from "./learned_embeddings.ts";
import { type OriginalConfig, parseOriginalConfig } from "./original_config.ts";
import { safetensorsView } from "./safetensors_view.ts";
import { type ConvertedArray, StateDict } from "./state_dict.ts";
import { textEncoderArrays, textEncoderConfig } from "./text_encoder.ts";
import { tokenizerFiles } from "./tokenizer.ts";
import { transformerArrays, transformerConfig } from "./transformer.ts";
import { codebookRows, readCodes, vqArrays, vqConfig, vqStateDict } from "./vq_model.ts";

/** Opens a file or folder; it is called whenever one is needed, and what it gives is then closed. */
type Opener<T> = () => Promise<T>;

/** The parts of an original checkpoint. */
export interface OriginalParts {
  /** What it is, for error messages: a path or URL. */
  readonly description: string;
  /** The checkpoint of the whole model, such as `ithq_learnable.pth`. */
  readonly checkpoint: Opener<ArraySource>;
  /** The image autoencoder, such as `ithq_vqvae.pth`. Default: the one in the checkpoint. */
  readonly vqvae?: Opener<ArraySource> | undefined;
  /** The numbering of the tokens, such as `taming_vqvae_2887.pt`, if not all codes have a token. */
  readonly codes?: Opener<ArraySource> | undefined;
  /** Config of the model, such as `ithq.yaml`. Default: it is inferred, with 16 attention heads. */
  readonly config?: Opener<FileSource> | undefined;
  /** A folder with `vocab.json` and `merges.txt` of CLIP. */
  readonly tokenizer: Opener<ModelFolder>;
  /** A text encoder in the layout of transformers. Default: the one in the checkpoint. */
  readonly textEncoder?: Opener<ModelFolder> | undefined;
  /** Whether to take averaged weights where there are such, as Microsoft's code does. Default true. */
  readonly ema?: boolean | undefined;
}

/** What is known once the checkpoint has been looked at. */
interface Plan {
  /** Texts of the config files, by path. */
  readonly texts: ReadonlyMap<string, string>;
  /** The codes of the tokens, if they are numbered anew. */
  readonly codes: Int32Array | undefined;
  /** Whether the embeddings of "no text" were learned. */
  readonly learnable: boolean;
}

const WEIGHTS = "diffusion_pytorch_model.safetensors";
const EMBEDDINGS = "learned_classifier_free_sampling_embeddings";

/** Where the modules lie in Microsoft's model. */
const TRANSFORMER = "transformer.transformer.";
const TEXT_ENCODER = "transformer.condition_emb.";

/**
 * A view of an original checkpoint as a folder in the layout of diffusers. Its arrays are converted one
 * at a time, as they are read.
 */
export function originalFolder(parts: OriginalParts): ModelFolder {
  return treeFolder(new Conversion(parts));
}

class Conversion implements FileTree {
  readonly #parts: OriginalParts;
  #plan: Promise<Plan> | undefined;
  #tokenizer: Promise<Map<string, string>> | undefined;

  constructor(parts: OriginalParts) {
    this.#parts = parts;
  }

  get description(): string {
    return this.#parts.description;
  }

  async has(path: string): Promise<boolean> {
    const folder = await this.#textEncoderFolder(path);
    if (folder) return await folder.has(path.slice("text_encoder/".length));
    return this.#weights(path) !== undefined || (await this.#texts(path)).has(path);
  }

  async open(path: string): Promise<FileSource> {
    const folder = await this.#textEncoderFolder(path);
    if (folder) return await folder.open(path.slice("text_encoder/".length));
    const description = joinPath(this.description, path);
    const weights = this.#weights(path);
    if (weights) {
      const plan = await this.#planned();
      return await openView(description, weights.from, (source) => weights.of(source, plan));
    }
    const text = (await this.#texts(path)).get(path);
    if (text === undefined) throw missingFile(description);
    return memoryFile(description, new TextEncoder().encode(text));
  }

  /** Where the arrays of a file come from, and what they are. */
  #weights(path: string): ConvertedWeights | undefined {
    const from = this.#parts.checkpoint;
    const within = (source: ArraySource, module: string) =>
      modelStateDict(source, this.#parts.ema).within(module);
    switch (path) {
      case `transformer/${WEIGHTS}`:
        return { from, of: (source) => transformerArrays(within(source, TRANSFORMER)) };
      case "text_encoder/model.safetensors":
        return { from, of: (source) => textEncoderArrays(within(source, TEXT_ENCODER)) };
      case `${EMBEDDINGS}/${WEIGHTS}`:
        return {
          from,
          of: (source, { learnable }) => {
            const weights = modelStateDict(source, this.#parts.ema);
            return learnedEmbeddings(weights, learnable);
          },
        };
      case `vqvae/${WEIGHTS}`:
        return {
          from: this.#parts.vqvae ?? from,
          of: (source, { codes }) => vqArrays(vqStateDict(source), codes),
        };
    }
    return undefined;
  }

  async #textEncoderFolder(path: string): Promise<ModelFolder | undefined> {
    return path.startsWith("text_encoder/") ? await this.#parts.textEncoder?.() : undefined;
  }

  /** The text files by path, with the one that is asked for if there is such. */
  async #texts(path: string): Promise<ReadonlyMap<string, string>> {
    if (!path.startsWith("tokenizer/")) return (await this.#planned()).texts;
    this.#tokenizer ??= tokenizerFiles(this.#parts.tokenizer);
    const files = [...await this.#tokenizer];
    return new Map(files.map(([name, text]) => [`tokenizer/${name}`, text]));
  }

  #planned(): Promise<Plan> {
    this.#plan ??= this.#makePlan();
    return this.#plan;
  }

  async #makePlan(): Promise<Plan> {
    const { ema, vqvae, textEncoder } = this.#parts;
    await using source = await this.#parts.checkpoint();
    const weights = modelStateDict(source, ema);
    const config = await this.#config();
    const transformer = transformerConfig(weights.within(TRANSFORMER), { heads: config?.heads });
    checkConfig(config, transformer);
    const learnable = config?.learnable ?? hasLearnedEmbeddings(weights);
    const encoder = textEncoder ? undefined : weights.within(TEXT_ENCODER);
    await using vqSource = await vqvae?.();
    const vqWeights = vqStateDict(vqSource ?? source);
    const classes = Number(transformer["num_vector_embeds"]);
    const codes = await this.#codes(classes - 1, codebookRows(vqWeights));
    const configs: Record<string, unknown> = {
      "model_index.json": MODEL_INDEX,
      "transformer/config.json": transformer,
      "vqvae/config.json": vqConfig(vqWeights, codes),
      [`${EMBEDDINGS}/config.json`]: learnedEmbeddingsConfig(weights, learnable),
      "scheduler/scheduler_config.json": alpha1Config(
        classes,
        transformer["num_embeds_ada_norm"],
      ),
      ...(encoder && { "text_encoder/config.json": textEncoderConfig(encoder) }),
    };
    const texts = Object.entries(configs)
      .map(([path, config]) => [path, `${JSON.stringify(config, null, 2)}\n`] as const);
    return { texts: new Map(texts), codes, learnable };
  }

  async #config(): Promise<OriginalConfig | undefined> {
    const file = await this.#parts.config?.();
    return file && parseOriginalConfig(await readTextOf(file), file.description);
  }

  async #codes(tokens: number, codebookLength: number): Promise<Int32Array | undefined> {
    await using source = await this.#parts.codes?.();
    if (source) return await readCodes(source, tokens, codebookLength);
    if (tokens === codebookLength) return undefined;
    throw new RangeError(
      `Cannot convert ${this.description}: its transformer knows ${tokens} tokens, the image ` +
        `autoencoder has ${codebookLength} codes; give the file that lists which codes they stand ` +
        `for, such as taming_vqvae_2887.pt`,
    );
  }
}

/** How a file of weights is made. */
interface ConvertedWeights {
  readonly from: Opener<ArraySource>;
  readonly of: (source: ArraySource, plan: Plan) => ConvertedArray[];
}

async function openView(
  description: string,
  open: Opener<ArraySource>,
  arraysOf: (source: ArraySource) => ConvertedArray[],
): Promise<FileSource> {
  const source = await open();
  try {
    return safetensorsView(description, arraysOf(source), source);
  } catch (error) {
    await source[Symbol.asyncDispose]();
    throw error;
  }
}

/**
 * The arrays of the whole model. A training checkpoint has them under `model`, and averages of those of
 * its `transformer` under `ema`.
 *
 * @throws {TypeError} If there is no transformer among them.
 */
function modelStateDict(source: ArraySource, ema = true): StateDict {
  const names = source.names();
  const nested = names.some((name) => name.startsWith("model."));
  const prefix = nested ? "model." : "";
  const found = new Map(
    names.filter((name) => name.startsWith(prefix)).map((
      name,
    ) => [name.slice(prefix.length), name]),
  );
  if (nested && ema) {
    for (const name of names) {
      if (name.startsWith("ema.")) found.set(`transformer.${name.slice("ema.".length)}`, name);
    }
  }
  if (!found.has(`${TRANSFORMER}content_emb.emb.weight`)) {
    throw new TypeError(
      `Cannot convert ${source.description}: it holds no transformer of VQ-Diffusion, under the ` +
        `names of Microsoft's code`,
    );
  }
  return new StateDict(source, found);
}

function checkConfig(
  config: OriginalConfig | undefined,
  transformer: Readonly<Record<string, unknown>>,
): void {
  if (!config) return;
  const columns = config.heads * Number(transformer["attention_head_dim"]);
  const facts = [
    ["n_layer", config.layers, transformer["num_layers"]],
    ["n_embd", config.columns, columns],
  ] as const;
  for (const [name, said, found] of facts) {
    if (said === found) continue;
    throw new RangeError(
      `Cannot use ${config.description}: ${name} is ${said}, in the checkpoint it is ${found}`,
    );
  }
}

/** The schedule `alpha1` of Microsoft's code, which is the default of diffusers. */
function alpha1Config(classes: number, timesteps: unknown): Record<string, unknown> {
  return {
    _class_name: "VQDiffusionScheduler",
    _diffusers_version: "0.9.0",
    alpha_cum_end: 0.000009,
    alpha_cum_start: 0.99999,
    gamma_cum_end: 0.99999,
    gamma_cum_start: 0.000009,
    num_train_timesteps: timesteps,
    num_vec_classes: classes,
  };
}

const MODEL_INDEX = {
  _class_name: "VQDiffusionPipeline",
  _diffusers_version: "0.9.0",
  learned_classifier_free_sampling_embeddings: [
    "vq_diffusion",
    "LearnedClassifierFreeSamplingEmbeddings",
  ],
  scheduler: ["diffusers", "VQDiffusionScheduler"],
  text_encoder: ["transformers", "CLIPTextModel"],
  tokenizer: ["transformers", "CLIPTokenizer"],
  transformer: ["diffusers", "Transformer2DModel"],
  vqvae: ["diffusers", "VQModel"],
};
