/**
 * Opening an original checkpoint with what belongs to it.
 *
 * @module
 */

import { describeUrl, folderOfPath } from "../../files/paths.ts";
import type { FileSource, ModelFolder } from "../../files/source.ts";
import { openArrays } from "../weights.ts";
import { originalFolder } from "./original_folder.ts";

/**
 * What belongs to an original checkpoint of Microsoft's, such as `ithq_learnable.pth`: files by path or
 * URL, and folders by all that `openFolder` takes.
 */
export interface OriginalOptions {
  /**
   * The image autoencoder, such as `ithq_vqvae.pth`. Default: the one inside the checkpoint, or else the
   * file beside it that the config names.
   */
  readonly vqvae?: string | URL | undefined;
  /**
   * Which codes the tokens stand for, such as `taming_vqvae_2887.pt`: needed for models that were
   * trained on some of the codes only, as those of COCO, CUB-200, Conceptual Captions and ImageNet.
   * Default: the file beside the checkpoint that the config names.
   */
  readonly codes?: string | URL | undefined;
  /**
   * Config, such as `ithq.yaml`. Default: `config.yaml` beside the checkpoint; if there is none, it is
   * inferred, with 16 attention heads. Models that do not draw from text need one, as it alone tells how
   * many tokens an image has.
   */
  readonly config?: string | URL | undefined;
  /** Folder with CLIP's `vocab.json` and `merges.txt`. Default: `tokenizer` beside the checkpoint. */
  readonly tokenizer?: string | URL | ModelFolder | undefined;
  /** Text encoder in the layout of transformers. Default: the one inside the checkpoint. */
  readonly textEncoder?: string | URL | ModelFolder | undefined;
  /** Whether to take averaged weights where there are such. Default true, as in Microsoft's code. */
  readonly ema?: boolean | undefined;
}

/** How the parts are opened, wherever they lie. */
export interface PartOpeners {
  /**
   * Opens a file by path or URL.
   *
   * @param maxBytes Most bytes that are fetched at once where it cannot be read in parts.
   */
  file(source: string | URL, maxBytes?: number): Promise<FileSource>;
  /** Opens a folder. */
  folder(source: string | URL | ModelFolder): Promise<ModelFolder>;
}

/** Opens an original checkpoint as a folder in the layout of diffusers. */
export function openOriginal(
  source: string | URL,
  options: OriginalOptions | undefined,
  open: PartOpeners,
): ModelFolder {
  const { vqvae, codes, config, tokenizer, textEncoder, ema } = options ?? {};
  const opener = <S, T>(
    source: S | undefined,
    open: (source: S, maxBytes?: number) => Promise<T>,
  ) => source === undefined ? undefined : (maxBytes?: number) => open(source, maxBytes);
  const arrays = async (file: string | URL) => openArrays(await open.file(file));
  return originalFolder({
    description: source instanceof URL ? describeUrl(source) : source,
    checkpoint: () => arrays(source),
    beside: (name) => {
      const place = source instanceof URL ? encodeURIComponent(name) : name;
      return {
        file: (maxBytes) => open.file(beside(source, place), maxBytes),
        arrays: () => arrays(beside(source, place)),
      };
    },
    vqvae: opener(vqvae, arrays),
    codes: opener(codes, arrays),
    config: opener(config, open.file),
    tokenizer: () => open.folder(tokenizer ?? beside(source, "tokenizer")),
    textEncoder: opener(textEncoder, open.folder),
    ema,
  });
}

/** The path or URL of what lies in the same folder; a path never looks like an id of the hub. */
function beside(file: string | URL, name: string): string | URL {
  if (file instanceof URL) return new URL(name, file);
  const folder = folderOfPath(file);
  return `${/^([/\\]|\.\.?\/|[A-Za-z]:)/.test(folder) ? "" : "./"}${folder}${name}`;
}
