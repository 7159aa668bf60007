/**
 * Events that report the loading of a model.
 *
 * @module
 */

/**
 * A moment in the loading of a model; the names are those of transformers.js.
 *
 * - `initiate`: a file was found and is about to be read.
 * - `download`: the first bytes of a file arrive over the network.
 * - `progress`: `loaded` of `total` bytes of a file have been read.
 * - `done`: all that was wanted of a file has been read.
 * - `total`: `loaded` of `total` bytes of all files known so far have been read.
 * - `notice`: something the user should know, such as a cache that cannot be written.
 * - `ready`: the model can be used.
 *
 * Files are named by their paths in the model's folder. `total` is undefined where a server does
 * not report it.
 */
export type LoadEvent =
  | { readonly type: "initiate"; readonly file: string }
  | { readonly type: "download"; readonly file: string; readonly total: number | undefined }
  | {
    readonly type: "progress";
    readonly file: string;
    readonly loaded: number;
    readonly total: number | undefined;
  }
  | { readonly type: "done"; readonly file: string }
  | { readonly type: "total"; readonly loaded: number; readonly total: number }
  | { readonly type: "notice"; readonly message: string }
  | { readonly type: "ready" };

/** Takes the events of a loading model. */
export type OnProgress = (event: LoadEvent) => void;

/** Counts the bytes read of one file and reports them. */
export class FileProgress {
  readonly #file: string;
  readonly #onProgress: OnProgress | undefined;
  #total: number | undefined;
  #loaded = 0;
  #done = false;

  /**
   * Reports nothing yet.
   *
   * @param file Path of the file in the model's folder.
   */
  constructor(file: string, onProgress: OnProgress | undefined) {
    this.#file = file;
    this.#onProgress = onProgress;
  }

  /**
   * Reports that the file was found and is about to be read.
   *
   * @param total Length of the file, if it is known.
   */
  begin(total: number | undefined): void {
    this.#total = total;
    this.#loaded = 0;
    this.#done = false;
    this.#onProgress?.({ type: "initiate", file: this.#file });
  }

  /** Reports that bytes begin to arrive over the network. */
  download(): void {
    this.#onProgress?.({ type: "download", file: this.#file, total: this.#total });
  }

  /** Counts more bytes. Bytes that are read again do not lead beyond the length of the file. */
  add(bytes: number): void {
    this.set(this.#loaded + bytes);
  }

  /** Sets the number of bytes that have been read, also back after a failure. */
  set(loaded: number): void {
    this.#loaded = Math.min(loaded, this.#total ?? Infinity);
    this.#onProgress?.({
      type: "progress",
      file: this.#file,
      loaded: this.#loaded,
      total: this.#total,
    });
  }

  /** Reports a file that is there as a whole, as one that was kept. */
  whole(size: number): void {
    this.begin(size);
    this.set(size);
    this.done();
  }

  /** Reports that nothing more is wanted of the file. */
  done(): void {
    if (this.#done) return;
    this.#done = true;
    this.#onProgress?.({ type: "done", file: this.#file });
  }
}
