/**
 * Prompts to the embeddings that the transformer attends to.
 *
 * @module
 */

import type { Tensor } from "../backends/backend.ts";
import { refuseRange, refuseType } from "../base/check.ts";
import { formatShape } from "../base/format.ts";
import { elementCount } from "../base/shapes.ts";
import type { CLIPTextModel } from "../models/clip_text_model.ts";
import type { LearnedClassifierFreeSamplingEmbeddings } from "../models/learned_embeddings.ts";
import type { CLIPTokenizer } from "../tokenizers/clip_tokenizer.ts";
import { needComponent } from "./needed_component.ts";

/**
 * Embeddings of texts (texts, length, columns), as `VQDiffusionPipeline.encodePrompt` makes them: each token
 * divided by its L2 norm. A tensor stays the caller's and is read when the generation begins.
 */
export type PromptEmbeds = Tensor | {
  /** The elements, row-major. */
  readonly data: Float32Array;
  /** Their shape. */
  readonly shape: readonly [texts: number, length: number, columns: number];
};

/** The components that turn text into embeddings. Each is needed only where something asks for it. */
export interface TextComponents {
  /** Turns prompts into token ids. */
  readonly tokenizer?: CLIPTokenizer | undefined;
  /** Encodes token ids. */
  readonly textEncoder?: CLIPTextModel | undefined;
  /** What stands for no prompt. */
  readonly learnedClassifierFreeSamplingEmbeddings?:
    | LearnedClassifierFreeSamplingEmbeddings
    | undefined;
}

/** What to draw images from. */
export interface TextRequest {
  /** The prompts; none where embeddings are given. */
  readonly prompts: readonly string[];
  /** Whether the prompts are empty because there are none: what is learned for that takes their place. */
  readonly unprompted?: boolean | undefined;
  /** Embeddings in place of those of prompts, (prompts, length, columns). */
  readonly promptEmbeds?: PromptEmbeds | undefined;
  /** Texts in place of no prompt, for which an empty one stands: one, or one for each prompt. */
  readonly negativePrompts?: readonly string[] | undefined;
  /** Embeddings in place of those of `negativePrompts`, (1 or prompts, length, columns). */
  readonly negativePromptEmbeds?: PromptEmbeds | undefined;
  /** The prompt of each image, if those of one prompt differ. */
  readonly imagePrompts?: readonly string[] | undefined;
  /** Images for each prompt: its embeddings are repeated as often. */
  readonly numImagesPerPrompt: number;
  /** Whether to put as many unconditional embeddings before them. */
  readonly guided: boolean;
  /** Stops the encoding. */
  readonly signal?: AbortSignal | undefined;
}

/** Embeddings on the host. */
export interface TextConditioning {
  /** (batch, length, columns); with guidance all unconditional ones, then all conditional ones. */
  readonly data: Float32Array;
  /** The shape of `data`. */
  readonly shape: readonly [batch: number, length: number, columns: number];
}

/**
 * Checks embeddings that a caller gives.
 *
 * @param name Name of the option.
 * @param columns Columns that the transformer takes.
 * @returns The embeddings; what lies on the host is copied.
 * @throws {TypeError} If it is of the wrong type.
 * @throws {RangeError} If it is of the wrong shape.
 */
export function checkPromptEmbeds(
  name: string,
  value: PromptEmbeds | undefined,
  columns: number,
): PromptEmbeds | undefined {
  if (value === undefined) return undefined;
  const subject = { task: "generate", name };
  const isTensor = typeof value === "object" && value !== null && "backend" in value;
  const fits = isTensor ? value.dtype === "f32" : value?.data instanceof Float32Array;
  if (!fits || !Array.isArray(value.shape)) {
    refuseType(subject, value, "a tensor of floats, or a Float32Array as data with its shape");
  }
  const { shape } = value;
  const count = elementCount(shape);
  if (shape.length !== 3 || shape[2] !== columns || !(count > 0)) {
    throw new RangeError(
      `Cannot generate: ${name} is of shape ${
        formatShape(shape)
      }, expected (prompts, length, ${columns})`,
    );
  }
  if (isTensor) return value;
  if (value.data.length !== count) {
    throw new RangeError(
      `Cannot generate: ${name} is of ${value.data.length} numbers, expected ${count} for the shape ` +
        formatShape(shape),
    );
  }
  return { data: value.data.slice(), shape: value.shape };
}

/**
 * Checks prompts that a caller gives.
 *
 * @param task What they are for, for error messages.
 * @throws {TypeError} If it is neither a string nor an array of strings.
 * @throws {RangeError} If the array is empty.
 */
export function checkPrompts(task: string, prompt: unknown): readonly string[] {
  const subject = { task, name: "prompt" };
  if (typeof prompt === "string") return [prompt];
  if (!Array.isArray(prompt)) refuseType(subject, prompt, "a string or an array of strings");
  if (prompt.length === 0) refuseRange(subject, prompt, "at least one string");
  const other = prompt.findIndex((text) => typeof text !== "string");
  if (other >= 0) refuseType({ task, name: `prompt[${other}]` }, prompt[other], "a string");
  return [...prompt];
}

/** Number of prompts, given as text or as embeddings. */
export function promptCount(
  { prompts, promptEmbeds }: Pick<TextRequest, "prompts" | "promptEmbeds">,
): number {
  return promptEmbeds?.shape[0] ?? prompts.length;
}

/**
 * Checks that the components are there which a request needs, and that its embeddings fit each other.
 *
 * @throws {TypeError} If a component is missing.
 * @throws {RangeError} If numbers or lengths of embeddings differ.
 */
export function checkTextRequest(components: TextComponents, request: TextRequest): void {
  const { promptEmbeds, negativePromptEmbeds, guided } = request;
  const needsText = (reason: string) => {
    needComponent(components.tokenizer, "tokenizer", reason);
    needComponent(components.textEncoder, "textEncoder", reason);
    return components.tokenizer!.modelMaxLength;
  };
  const length = promptEmbeds?.shape[1] ?? learnedPrompt(components, request)?.config.length ??
    needsText("a prompt");
  if (!guided) return;
  if (negativePromptEmbeds !== undefined) {
    const [texts, ownLength] = negativePromptEmbeds.shape as [number, number, number];
    const count = promptCount(request);
    if (texts !== 1 && texts !== count) {
      const expected = count === 1 ? "1" : `1 or ${count}, one for each prompt`;
      throw new RangeError(
        `Cannot generate: negativePromptEmbeds is of ${texts} texts, expected ${expected}`,
      );
    }
    return checkLength("negativePromptEmbeds", ownLength, length);
  }
  const negatives = negativesOf(request);
  if (negatives.some((text) => text !== "")) {
    checkLength("negativePrompt", needsText("a negativePrompt"), length);
  }
  if (!negatives.includes("")) return;
  const { config } = needLearned(components);
  const unconditional = config.learnable
    ? config.length!
    : needsText("guidance by the empty prompt");
  checkLength("the unconditional embedding", unconditional, length);
}

/** Texts that guidance leads away from; an empty one is no prompt. */
function negativesOf(
  { guided, negativePrompts = [""], negativePromptEmbeds }: TextRequest,
): readonly string[] {
  return guided && negativePromptEmbeds === undefined ? negativePrompts : [];
}

function checkLength(name: string, length: number, expected: number): void {
  if (length === expected) return;
  throw new RangeError(
    `Cannot generate: ${name} is of ${length} tokens, expected ${expected} as the prompt's`,
  );
}

/**
 * Encodes prompts as diffusers' `_encode_prompt`: the text encoder's last hidden state, each token
 * divided by its L2 norm. Learned unconditional embeddings are taken as stored, and so are those that
 * the request gives.
 *
 * @throws {TypeError} If a component that the request needs is missing.
 */
export async function encodePrompt(
  components: TextComponents,
  request: TextRequest,
): Promise<TextConditioning> {
  const { prompts, promptEmbeds, negativePromptEmbeds, numImagesPerPrompt, guided } = request;
  const negatives = negativesOf(request);
  const learned = negatives.includes("") ? needLearned(components).embeddings : undefined;
  // They are encoded with the prompts, as the first; among them the empty one if nothing was learned.
  const encodedNegatives = negatives.filter((text) => text !== "" || learned === undefined);
  const inPlace = promptEmbeds ?? learnedPrompt(components, request)?.embeddings;
  const own = request.imagePrompts ?? prompts;
  const texts = [...encodedNegatives, ...inPlace === undefined ? own : []];
  const encoded = await encodeTexts(components, texts, request.signal);
  const [empty] = learned === undefined ? [] : await readSequences(learned);
  const ofNegatives = negatives.map((text) => {
    return text === "" && empty !== undefined ? empty : encoded.shift()!;
  });

  const conditional = inPlace === undefined ? encoded : await readSequences(inPlace);
  const copies = promptCount(request) * numImagesPerPrompt / conditional.length;
  const sequences = repeatEach(conditional, copies);
  if (guided) {
    const unconditional = negativePromptEmbeds === undefined
      ? ofNegatives
      : await readSequences(negativePromptEmbeds);
    const copies = sequences.length / unconditional.length;
    sequences.unshift(...repeatEach(unconditional, copies));
  }
  return join(sequences);
}

/** Token ids of prompts, cut at the tokenizer's length: a long one loses its end token, as in diffusers. */
export function promptIds(tokenizer: CLIPTokenizer, prompts: readonly string[]): Int32Array {
  const maxLength = tokenizer.modelMaxLength;
  const { inputIds } = tokenizer.call([...prompts], { padding: "maxLength", maxLength });
  return Int32Array.from(inputIds.flatMap((ids) => ids.slice(0, maxLength)));
}

function needLearned(components: TextComponents): LearnedClassifierFreeSamplingEmbeddings {
  const name = "learnedClassifierFreeSamplingEmbeddings";
  return needComponent(components[name], name, "guidance without negativePromptEmbeds");
}

/** What stands for no prompt, if that is asked for and has been learned. */
function learnedPrompt(
  components: TextComponents,
  { unprompted }: TextRequest,
): LearnedClassifierFreeSamplingEmbeddings | undefined {
  const learned = components.learnedClassifierFreeSamplingEmbeddings;
  return unprompted && learned?.config.learnable ? learned : undefined;
}

/** Embeddings of one text. */
interface Sequence {
  /** (length, columns). */
  readonly data: Float32Array;
  readonly length: number;
}

async function encodeTexts(
  components: TextComponents,
  texts: readonly string[],
  signal: AbortSignal | undefined,
): Promise<Sequence[]> {
  if (texts.length === 0) return [];
  const tokenizer = needComponent(components.tokenizer, "tokenizer", "a prompt");
  const textEncoder = needComponent(components.textEncoder, "textEncoder", "a prompt");
  // Of many images of a prompt there are few different texts.
  const different = [...new Set(texts)];
  using frame = textEncoder.backend.frame();
  const ids = frame.empty([different.length, tokenizer.modelMaxLength], "i32");
  ids.write(promptIds(tokenizer, different));
  const embeddings = frame.normalizeRows(textEncoder.record(frame, ids));
  await frame.run({ signal });
  const sequences = await readSequences(embeddings);
  return texts.map((text) => sequences[different.indexOf(text)]!);
}

/** Divides (texts, length, columns), or (length, columns) of one text. */
async function readSequences(embeddings: PromptEmbeds): Promise<Sequence[]> {
  const values = "backend" in embeddings ? await embeddings.data() : embeddings.data;
  const [length, columns] = embeddings.shape.slice(-2) as [number, number];
  const size = length * columns;
  return Array.from({ length: values.length / size }, (_, i) => {
    return { data: values.subarray(i * size, (i + 1) * size), length };
  });
}

/** Each sequence `times` times, before the next. */
function repeatEach(sequences: readonly Sequence[], times: number): Sequence[] {
  return sequences.flatMap((sequence) => new Array<Sequence>(times).fill(sequence));
}

function join(sequences: readonly Sequence[]): TextConditioning {
  const { data: first, length } = sequences[0]!;
  const data = new Float32Array(sequences.length * first.length);
  sequences.forEach((sequence, i) => data.set(sequence.data, i * first.length));
  return { data, shape: [sequences.length, length, first.length / length] };
}
