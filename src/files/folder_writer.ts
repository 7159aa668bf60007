/**
 * Writing the files of a model so that nothing half-written is ever seen. Needs `Deno`.
 *
 * @module
 */

import { requireDeno } from "./require_deno.ts";

/** Takes the next bytes of a file. They are not used again after the promise is fulfilled. */
export type ByteSink = (bytes: Uint8Array) => void | Promise<void>;

/** A folder that files are written to. */
export interface FolderWriter {
  /** What it is, for error messages: a path. */
  readonly description: string;
  /** Writes a file of text. */
  writeText(path: string, text: string): Promise<void>;
  /** Writes a file bit by bit: `write` gives its bytes to a sink. */
  writeFile(path: string, write: (sink: ByteSink) => Promise<void>): Promise<void>;
  /** The folder below this one, such as `transformer`. */
  folder(path: string): FolderWriter;
}

/** A folder whose files appear all at once, when they are complete. */
export interface FolderTransaction extends FolderWriter, AsyncDisposable {
  /** Gives all files their names. Files of the same names are replaced, others are left alone. */
  commit(): Promise<void>;
}

/**
 * Begins to write a folder, which is made if it does not exist. Files are written under temporary names
 * until {@linkcode FolderTransaction.commit}; disposing without it removes them. Needs permission to
 * read and write the folder.
 *
 * @example
 * ```ts ignore
 * await using folder = await writeFolder("model");
 * await folder.writeText("transformer/config.json", "{}");
 * await folder.commit();
 * ```
 *
 * @throws {TypeError} If this is not Deno.
 */
export async function writeFolder(path: string): Promise<FolderTransaction> {
  requireDeno(`write ${path}`);
  const { DiskTransaction } = await import("./disk_writer.ts");
  const transaction = new DiskTransaction(path);
  await transaction.begin();
  return transaction;
}
