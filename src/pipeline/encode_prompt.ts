/**
 * Prompts to the embeddings that the transformer attends to.
 *
 * @module
 */

import { evaluate } from "../backends/evaluate.ts";
import type { PipelineComponents } from "./components.ts";

/** Embeddings of the texts of a batch. */
export interface PromptEmbeddings {
  /** (batch, length, columns); with guidance all unconditional ones, then all conditional ones. */
  readonly data: Float32Array;
  /** The shape of `data`. */
  readonly shape: readonly [batch: number, length: number, columns: number];
}

/** What to encode. */
export interface EncodePromptRequest {
  /** The prompts. */
  readonly prompts: readonly string[];
  /** Images for each prompt: its embeddings are repeated as often. */
  readonly numImagesPerPrompt: number;
  /** Whether to put as many unconditional embeddings before them. */
  readonly guided: boolean;
  /** Stops the encoding. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * Encodes prompts as diffusers' `_encode_prompt`: the text encoder's last hidden state, each token
 * divided by its L2 norm. Learned unconditional embeddings are taken as stored.
 */
export async function encodePrompt(
  components: PipelineComponents,
  { prompts, numImagesPerPrompt, guided, signal }: EncodePromptRequest,
): Promise<PromptEmbeddings> {
  const learned = components.learnedClassifierFreeSamplingEmbeddings.embeddings;
  const emptyIsNeeded = guided && learned === undefined;
  const texts = emptyIsNeeded ? ["", ...prompts] : prompts;
  const encoded = await encodeTexts(components, texts, signal);
  const length = components.tokenizer.modelMaxLength;
  const columns = components.textEncoder.config.hiddenSize;
  const size = length * columns;

  const images = prompts.length * numImagesPerPrompt;
  const data = new Float32Array((guided ? 2 : 1) * images * size);
  let at = 0;
  const append = (embeddings: Float32Array) => {
    data.set(embeddings, at);
    at += size;
  };
  if (guided) {
    const unconditional = learned ? await learned.data() : encoded.subarray(0, size);
    for (let i = 0; i < images; i++) append(unconditional);
  }
  const first = emptyIsNeeded ? 1 : 0;
  for (let i = 0; i < prompts.length; i++) {
    const conditional = encoded.subarray((first + i) * size, (first + i + 1) * size);
    for (let j = 0; j < numImagesPerPrompt; j++) append(conditional);
  }
  return { data, shape: [data.length / size, length, columns] };
}

/** Token ids of prompts, cut at the tokenizer's length: a long one loses its end token, as in diffusers. */
export function promptIds(
  { tokenizer }: Pick<PipelineComponents, "tokenizer">,
  prompts: readonly string[],
): Int32Array {
  const maxLength = tokenizer.modelMaxLength;
  const { inputIds } = tokenizer.call([...prompts], { padding: "maxLength", maxLength });
  return Int32Array.from(inputIds.flatMap((ids) => ids.slice(0, maxLength)));
}

async function encodeTexts(
  components: PipelineComponents,
  texts: readonly string[],
  signal: AbortSignal | undefined,
): Promise<Float32Array> {
  const { textEncoder, tokenizer } = components;
  using embeddings = evaluate(textEncoder.backend, (frame) => {
    const ids = frame.empty([texts.length, tokenizer.modelMaxLength], "i32");
    ids.write(promptIds(components, texts));
    return frame.keep(frame.normalizeRows(textEncoder.record(frame, ids)));
  }, { signal });
  return await embeddings.data();
}
