/**
 * CLIP's tokenizer: text to ids and back.
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
