/**
 * CLIP's tokenizer: text to ids and back, and tokenizers of its kind for one's own texts.
 *
 * @module
 */

export {
  CLIPTokenizer,
  type DecodeOptions,
  type TokenizedTexts,
  type TokenizeOptions,
  type TokenizerFromPretrainedOptions,
} from "./clip_tokenizer.ts";
export type { TokenizerFiles } from "./tokenizer_files.ts";
export { trainTokenizer, type TrainTokenizerOptions } from "./train_tokenizer.ts";
