/**
 * Original checkpoints of VQ-Diffusion as folders in the layout of diffusers.
 *
 * Microsoft published training checkpoints: `ithq_learnable.pth` and others of the improved paper (Tang
 * et al., arXiv 2205.16007), and those of COCO, CUB-200, Conceptual Captions, ImageNet and FFHQ of the
 * first (Gu et al., arXiv 2111.14822). Names and shapes here follow Microsoft's code and the conversion
 * script of diffusers; they were tried on small checkpoints of the same structure, never on the published
 * files.
 *
 * @module
 */

import type { ArraySource } from "../arrays.ts";
import { modelIndex } from "../model_index.ts";
import { type FileTree, treeFolder } from "../../files/file_tree.ts";
import {
  joinPath,
  MAX_TEXT_BYTES,
  meansAbsence,
  missingFile,
  readTextOf,
} from "../../files/paths.ts";
import type { FileSource, ModelFolder } from "../../files/source.ts";
import { memoryFile } from "../../files/memory_folder.ts";
import {
  hasLearnedEmbeddings,
  learnedEmbeddings,
  learnedEmbeddingsConfig,
} from "./learned_embeddings.ts";
import { holdsModel, modelStateDict, TEXT_ENCODER, TRANSFORMER } from "./model_state_dict.ts";
import { type OriginalConfig, type OriginalKind, parseOriginalConfig } from "./original_config.ts";
import { safetensorsView } from "./safetensors_view.ts";
import { schedulerConfig } from "./scheduler_config.ts";
import type { ConvertedArray, StateDict } from "./state_dict.ts";
import { textEncoderArrays, textEncoderConfig } from "./text_encoder.ts";
import { tokenizerFiles } from "./tokenizer.ts";
import { transformerArrays, transformerConfig, transformerKind } from "./transformer.ts";
import {
  codebookRows,
  holdsVq,
  readCodes,
  type TokenCodes,
  vqArrays,
  vqConfig,
  vqStateDict,
} from "./vq_model.ts";

/**
 * Opens a file or folder; it is called whenever one is needed, and what it gives is then closed.
 *
 * @param maxBytes Most bytes that are fetched at once where a file cannot be read in parts.
 */
type Opener<T> = (maxBytes?: number) => Promise<T>;

/** The parts of an original checkpoint. */
export interface OriginalParts {
  /** What it is, for error messages: a path or URL. */
  readonly description: string;
  /** The checkpoint of the whole model, such as `ithq_learnable.pth`, or of an image autoencoder alone. */
  readonly checkpoint: Opener<ArraySource>;
  /** Opens a file beside the checkpoint: the config names files. */
  readonly beside: (name: string) => FilesOpener;
  /** The image autoencoder, such as `ithq_vqvae.pth`. Default: the one in the checkpoint, or beside it. */
  readonly vqvae?: Opener<ArraySource> | undefined;
  /** The numbering of the tokens, such as `taming_vqvae_2887.pt`, if not all codes have a token. */
  readonly codes?: Opener<ArraySource> | undefined;
  /**
   * Config of the model, such as `ithq.yaml`. Default: `config.yaml` beside the checkpoint; if there is
   * none, it is inferred, with 16 attention heads.
   */
  readonly config?: Opener<FileSource> | undefined;
  /** A folder with `vocab.json` and `merges.txt` of CLIP. */
  readonly tokenizer: Opener<ModelFolder>;
  /** A text encoder in the layout of transformers. Default: the one in the checkpoint. */
  readonly textEncoder?: Opener<ModelFolder> | undefined;
  /** Whether to take averaged weights where there are such, as Microsoft's code does. Default true. */
  readonly ema?: boolean | undefined;
}

/** A file that can be read in two ways. */
export interface FilesOpener {
  /** As it is. */
  readonly file: Opener<FileSource>;
  /** As arrays. */
  readonly arrays: Opener<ArraySource>;
}

/** What is known once the checkpoint has been looked at. */
interface Plan {
  /** What the model draws from; undefined for an image autoencoder alone. */
  readonly kind: OriginalKind | undefined;
  /** Texts of the config files, by path. */
  readonly texts: ReadonlyMap<string, string>;
  /** Where the image autoencoder is read from. */
  readonly vqvae: Opener<ArraySource>;
  /** The codes of the tokens, if they are numbered anew. */
  readonly codes: TokenCodes | undefined;
  /** Whether the embeddings of "no text" were learned. */
  readonly learnable: boolean;
}

const WEIGHTS = "diffusion_pytorch_model.safetensors";
const EMBEDDINGS = "learned_classifier_free_sampling_embeddings";

/** Name of the config beside a checkpoint. */
const CONFIG = "config.yaml";

/**
 * A view of an original checkpoint as a folder in the layout of diffusers: of a whole model that of a
 * pipeline, of an image autoencoder alone that of a `VQModel`. Its arrays are converted one at a time, as
 * they are read.
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
    const weights = this.#weights(path, await this.#planned());
    return weights !== undefined || (await this.#texts(path)).has(path);
  }

  async open(path: string): Promise<FileSource> {
    const folder = await this.#textEncoderFolder(path);
    if (folder) return await folder.open(path.slice("text_encoder/".length));
    const description = joinPath(this.description, path);
    const plan = await this.#planned();
    const weights = this.#weights(path, plan);
    if (weights) return await openView(description, weights.from, weights.of);
    const text = (await this.#texts(path)).get(path);
    if (text !== undefined) return memoryFile(description, new TextEncoder().encode(text));
    // Whoever wants a pipeline is told what is missing.
    if (plan.kind === undefined) {
      await using source = await this.#parts.checkpoint();
      modelStateDict(source);
    }
    throw missingFile(description);
  }

  /** Where the arrays of a file come from, and what they are. */
  #weights(path: string, { kind, vqvae, codes, learnable }: Plan): ConvertedWeights | undefined {
    const from = this.#parts.checkpoint;
    const model = (source: ArraySource) => modelStateDict(source, this.#parts.ema);
    const ofVq = { from: vqvae, of: (source: ArraySource) => vqArrays(vqStateDict(source), codes) };
    if (kind === undefined) return path === WEIGHTS ? ofVq : undefined;
    if (path === `vqvae/${WEIGHTS}`) return ofVq;
    if (path === `transformer/${WEIGHTS}`) {
      return { from, of: (source) => transformerArrays(model(source).within(TRANSFORMER)) };
    }
    if (kind !== "text") return undefined;
    if (path === "text_encoder/model.safetensors") {
      return { from, of: (source) => textEncoderArrays(model(source).within(TEXT_ENCODER)) };
    }
    if (path !== `${EMBEDDINGS}/${WEIGHTS}`) return undefined;
    return { from, of: (source) => learnedEmbeddings(model(source), learnable) };
  }

  async #textEncoderFolder(path: string): Promise<ModelFolder | undefined> {
    return path.startsWith("text_encoder/") ? await this.#parts.textEncoder?.() : undefined;
  }

  /** The text files by path, with the one that is asked for if there is such. */
  async #texts(path: string): Promise<ReadonlyMap<string, string>> {
    const { kind, texts } = await this.#planned();
    if (kind !== "text" || !path.startsWith("tokenizer/")) return texts;
    if (!this.#tokenizer) {
      this.#tokenizer = tokenizerFiles(this.#parts.tokenizer);
      this.#tokenizer.catch(() => this.#tokenizer = undefined);
    }
    const files = [...await this.#tokenizer];
    return new Map(files.map(([name, text]) => [`tokenizer/${name}`, text]));
  }

  #planned(): Promise<Plan> {
    if (!this.#plan) {
      this.#plan = this.#makePlan();
      // What failed once, such as reading from a server, may be tried again.
      this.#plan.catch(() => this.#plan = undefined);
    }
    return this.#plan;
  }

  async #makePlan(): Promise<Plan> {
    await using source = await this.#parts.checkpoint();
    if (!holdsModel(source) && holdsVq(source)) return await this.#planVq(source);
    const weights = modelStateDict(source, this.#parts.ema);
    const modules = weights.within(TRANSFORMER);
    const kind = transformerKind(modules);
    const config = await this.#config();
    const transformer = transformerConfig(modules, { ...config });
    checkConfig(config, kind, transformer);
    const classes = Number(transformer["num_vector_embeds"]);
    const vqvae = this.#vqvae(source, config);
    await using vqSource = await vqvae();
    const vqWeights = vqStateDict(vqSource);
    const codes = await this.#codes(classes - 1, codebookRows(vqWeights), config);
    const learnable = config?.learnable ?? hasLearnedEmbeddings(weights);
    const configs: Record<string, unknown> = {
      "model_index.json": modelIndex(kind === "text"),
      "transformer/config.json": transformer,
      "vqvae/config.json": vqConfig(vqWeights, codes),
      "scheduler/scheduler_config.json": schedulerConfig(
        classes,
        transformer["num_embeds_ada_norm"],
        kind,
      ),
      ...(kind === "text" && this.#textConfigs(weights, learnable)),
    };
    return { kind, texts: textsOf(configs), vqvae, codes, learnable };
  }

  /** An image autoencoder alone. */
  async #planVq(source: ArraySource): Promise<Plan> {
    const weights = vqStateDict(source);
    const codes = await this.#givenCodes(undefined, codebookRows(weights));
    const texts = textsOf({ "config.json": vqConfig(weights, codes) });
    const vqvae = this.#parts.checkpoint;
    return { kind: undefined, texts, vqvae, codes, learnable: false };
  }

  #textConfigs(weights: StateDict, learnable: boolean): Record<string, unknown> {
    const encoder = this.#parts.textEncoder ? undefined : weights.within(TEXT_ENCODER);
    return {
      [`${EMBEDDINGS}/config.json`]: learnedEmbeddingsConfig(weights, learnable),
      ...(encoder && { "text_encoder/config.json": textEncoderConfig(encoder) }),
    };
  }

  async #config(): Promise<OriginalConfig | undefined> {
    const { config, beside } = this.#parts;
    const read = async (open: Opener<FileSource>) => {
      const file = await open(MAX_TEXT_BYTES);
      return { text: await readTextOf(file), description: file.description };
    };
    const byDefault = () => read(beside(CONFIG).file);
    // Some servers send a page in place of what they do not have.
    const found = config
      ? await read(config)
      : await optional(byDefault, (error) => error instanceof SyntaxError)();
    return found && parseOriginalConfig(found.text, found.description);
  }

  /** Where the image autoencoder is: in a file that was given, in the checkpoint, or beside it. */
  #vqvae(source: ArraySource, config: OriginalConfig | undefined): Opener<ArraySource> {
    const { vqvae, checkpoint, beside } = this.#parts;
    if (vqvae !== undefined) return vqvae;
    const name = config?.vqvaeFile;
    return holdsVq(source) || name === undefined ? checkpoint : beside(name).arrays;
  }

  async #codes(
    tokens: number,
    codebookLength: number,
    config: OriginalConfig | undefined,
  ): Promise<TokenCodes | undefined> {
    const given = await this.#givenCodes(tokens, codebookLength);
    if (given !== undefined || tokens === codebookLength) return given;
    const name = config?.codesFile;
    await using source = name === undefined
      ? undefined
      : await optional(this.#parts.beside(name).arrays)();
    if (source) return await readCodes(source, tokens, codebookLength);
    throw new RangeError(
      `Cannot convert ${this.description}: its transformer knows ${tokens} tokens, the image ` +
        `autoencoder has ${codebookLength} codes; give the file that lists which codes they stand ` +
        `for, such as ${name ?? "taming_vqvae_2887.pt"}`,
    );
  }

  async #givenCodes(
    tokens: number | undefined,
    codebookLength: number,
  ): Promise<TokenCodes | undefined> {
    await using source = await this.#parts.codes?.();
    return source && await readCodes(source, tokens, codebookLength);
  }
}

/** How a file of weights is made. */
interface ConvertedWeights {
  readonly from: Opener<ArraySource>;
  readonly of: (source: ArraySource) => ConvertedArray[];
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

/** Opens what may not be there, or not be for us to read, or fail in another way that means so. */
function optional<T>(
  open: Opener<T>,
  meansSo: (error: unknown) => boolean = () => false,
): Opener<T | undefined> {
  return async () => {
    try {
      return await open();
    } catch (error) {
      const isRefused = error instanceof Error &&
        /^(NotCapable|PermissionDenied)$/.test(error.name);
      if (isRefused || meansAbsence(error) || meansSo(error)) return undefined;
      throw error;
    }
  };
}

/** Config files as they are written. */
function textsOf(configs: Readonly<Record<string, unknown>>): Map<string, string> {
  return new Map(
    Object.entries(configs)
      .map(([path, config]) => [path, `${JSON.stringify(config, null, 2)}\n`]),
  );
}

/** What models are called in errors. */
const KINDS: Readonly<Record<OriginalKind, string>> = {
  text: "that of a text-to-image model",
  class: "that of a class-conditional model",
  none: "that of an unconditional model",
};

function checkConfig(
  config: OriginalConfig | undefined,
  kind: OriginalKind,
  transformer: Readonly<Record<string, unknown>>,
): void {
  if (!config) return;
  const columns = config.heads * Number(transformer["attention_head_dim"]);
  const facts = [
    ["the model", KINDS[config.kind], KINDS[kind]],
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
