/**
 * A progress bar in text. Pipelines and commands draw it, so it lies below both.
 *
 * @module
 */

/** Where a progress bar is written. */
export interface ProgressOutput {
  /** Whether it is a terminal, where a line can be overwritten. */
  readonly isTerminal: boolean;
  /** Writes text. */
  write(text: string): void;
}

/** Options of a {@linkcode ProgressBar}. */
export interface ProgressBarOptions {
  /** Where to draw it. Default: the standard error output. */
  readonly output?: ProgressOutput | undefined;
  /** Parts that were done before; the time left is estimated from the others. Default 0. */
  readonly done?: number | undefined;
  /** Says how much is done. Default: `done/total`. */
  readonly format?: ((done: number, total: number) => string) | undefined;
}

const WIDTH = 24;

/** The standard error output, or the console where there is none. */
export function standardError(): ProgressOutput {
  const { process } = globalThis as {
    process?: { stderr?: { isTTY?: boolean; write(text: string): unknown } };
  };
  const stderr = process?.stderr;
  return {
    isTerminal: stderr?.isTTY === true,
    write: (text) => stderr ? void stderr.write(text) : console.error(text.trimEnd()),
  };
}

/** Draws a bar with the time left on a terminal, and a line every tenth of the way elsewhere. */
export class ProgressBar {
  readonly #label: string;
  readonly #output: ProgressOutput;
  readonly #before: number;
  readonly #format: (done: number, total: number) => string;
  readonly #start = performance.now();
  #tenth = 0;

  /** @param label What goes on, such as `Denoising`. */
  constructor(label: string, options: ProgressBarOptions = {}) {
    this.#label = label;
    this.#output = options.output ?? standardError();
    this.#before = options.done ?? 0;
    this.#format = options.format ?? ((done, total) => `${done}/${total}`);
  }

  /** Shows that `done` of `total` parts are done. */
  update(done: number, total: number): void {
    const share = total > 0 ? done / total : 1;
    const text = this.#format(done, total) + timeText(this.#secondsLeft(done, total));
    if (this.#output.isTerminal) {
      const full = Math.round(share * WIDTH);
      const bar = "█".repeat(full) + "░".repeat(WIDTH - full);
      this.#output.write(`\r\x1b[K${this.#label} ${bar} ${text}`);
      return;
    }
    const tenth = Math.floor(share * 10);
    if (tenth <= this.#tenth) return;
    this.#tenth = tenth;
    this.#output.write(`${this.#label} ${text}\n`);
  }

  /** Clears the bar. */
  end(): void {
    if (this.#output.isTerminal) this.#output.write("\r\x1b[K");
  }

  #secondsLeft(done: number, total: number): number | undefined {
    const advance = done - this.#before;
    if (advance <= 0 || done >= total) return undefined;
    return (performance.now() - this.#start) / 1000 / advance * (total - done);
  }
}

function timeText(seconds: number | undefined): string {
  if (seconds === undefined) return "";
  const whole = Math.ceil(seconds);
  if (whole < 60) return `, ${whole} s left`;
  const minutes = Math.floor(whole / 60);
  return minutes < 60
    ? `, ${minutes} min ${whole % 60} s left`
    : `, ${Math.floor(minutes / 60)} h ${minutes % 60} min left`;
}
