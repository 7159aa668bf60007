// A peer as a process: it is told in lines on standard input what to do, and answers each with a line on
// standard output:
//
//     turn 200 → the shortest time of a run, in milliseconds, of runs for 200 ms
//     output   → "done", once the result of the last run is in a file
//
// Before the first line it says "ready". It ends with its input.

import type { Contestant } from "../timing.ts";
import { lines } from "./lines.ts";
import { TaskFile } from "./task_folder.ts";

/** A running peer. */
export class PeerProcess implements Contestant, AsyncDisposable {
  readonly #name: string;
  readonly #folder: string;
  readonly #process: Deno.ChildProcess;
  readonly #input: WritableStreamDefaultWriter<Uint8Array>;
  readonly #lines: AsyncGenerator<string>;

  private constructor(name: string, process: Deno.ChildProcess, folder: string) {
    this.#name = name;
    this.#folder = folder;
    this.#process = process;
    this.#input = process.stdin.getWriter();
    this.#lines = lines(process.stdout);
  }

  /** Starts a command and waits until it has loaded its model. */
  static async start(
    name: string,
    [program, ...args]: readonly string[],
    folder: string,
  ): Promise<PeerProcess> {
    const options = { args, stdin: "piped", stdout: "piped", stderr: "inherit" } as const;
    const peer = new PeerProcess(name, new Deno.Command(program!, options).spawn(), folder);
    await peer.#answer();
    return peer;
  }

  async turn(milliseconds: number): Promise<number> {
    return Number(await this.#ask(`turn ${milliseconds}`));
  }

  readonly output = async (): Promise<Float32Array> => {
    await this.#ask("output");
    const { buffer } = await Deno.readFile(`${this.#folder}/${TaskFile.output}`);
    return new Float32Array(buffer);
  };

  /** From Linux, which alone tells it of another process. */
  readonly peakMemory = async (): Promise<number | undefined> => {
    if (Deno.build.os !== "linux") return undefined;
    const status = await Deno.readTextFile(`/proc/${this.#process.pid}/status`);
    return Number(/^VmHWM:\s*(\d+) kB$/m.exec(status)![1]) * 1024;
  };

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#input.close().catch(() => {});
    await this.#process.status;
  }

  async #ask(line: string): Promise<string> {
    await this.#input.write(new TextEncoder().encode(`${line}\n`));
    return await this.#answer();
  }

  async #answer(): Promise<string> {
    const { value, done } = await this.#lines.next();
    if (!done) return value;
    const { code } = await this.#process.status;
    throw new Error(`${this.#name} ended with code ${code} without an answer`);
  }
}
