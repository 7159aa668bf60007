/**
 * A progress bar in text.
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

const WIDTH = 24;

/** The standard error output, or the console where there is none. */
export function standardError(): ProgressOutput {
  const { process } = globalThis as {
    process?: { stderr?: { isTTY?: boolean; write(text: string): unknown } };
  };
  const stderr = process?.stderr;
  return {
    isTerminal: stderr?.isTTY === true,
    write: (text) => stderr ? void stderr.write(text) : console.log(text.trimEnd()),
  };
}

/** Draws a bar with the time left on a terminal, and a line every tenth of the way elsewhere. */
export class ProgressBar {
  readonly #output: ProgressOutput;
  readonly #label: string;
  readonly #start = performance.now();
  #tenth = 0;

  /** @param label What goes on, such as `Denoising`. */
  constructor(label: string, output: ProgressOutput = standardError()) {
    this.#label = label;
    this.#output = output;
  }

  /** Shows that `done` of `total` parts are done. */
  update(done: number, total: number): void {
    const share = total > 0 ? done / total : 1;
    const seconds = (performance.now() - this.#start) / 1000;
    const left = done > 0 ? seconds / done * (total - done) : undefined;
    if (this.#output.isTerminal) {
      const full = Math.round(share * WIDTH);
      const bar = "█".repeat(full) + "░".repeat(WIDTH - full);
      this.#output.write(`\r\x1b[K${this.#label} ${bar} ${done}/${total}${timeText(left)}`);
      return;
    }
    const tenth = Math.floor(share * 10);
    if (tenth <= this.#tenth) return;
    this.#tenth = tenth;
    this.#output.write(`${this.#label} ${done}/${total}${timeText(left)}\n`);
  }

  /** Clears the bar. */
  end(): void {
    if (this.#output.isTerminal) this.#output.write("\r\x1b[K");
  }
}

function timeText(seconds: number | undefined): string {
  if (seconds === undefined) return "";
  if (seconds < 60) return `, ${Math.ceil(seconds)} s left`;
  const minutes = Math.floor(seconds / 60);
  return minutes < 60
    ? `, ${minutes} min ${Math.ceil(seconds % 60)} s left`
    : `, ${Math.floor(minutes / 60)} h ${minutes % 60} min left`;
}
