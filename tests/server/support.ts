// What the tests of the server share.

import type { VQDiffusionPipeline } from "../../src/pipeline/vq_diffusion_pipeline.ts";

/** An event as the handler sends it. */
export interface ServerEvent {
  readonly name: string;
  readonly data: {
    readonly step?: number;
    readonly steps?: number;
    readonly timestep?: number;
    readonly previews?: string[];
    readonly seed?: string;
    readonly error?: string;
    readonly images?: string[];
  };
}

/** Parses a `text/event-stream`. */
export function parseEvents(text: string): ServerEvent[] {
  return text.split("\n\n").filter((block) => block !== "").map((block) => {
    const match = block.match(/^event: (\w+)\ndata: (.*)$/);
    if (!match) throw new TypeError(`Not an event: ${block}`);
    return { name: match[1]!, data: JSON.parse(match[2]!) };
  });
}

/**
 * A pipeline whose runs of several steps pause after the second until they are aborted, or `resume` is
 * called.
 */
export function pausingPipeline(pipe: VQDiffusionPipeline) {
  const pauses = new Channel();
  const stops = new Channel();
  const resumed = Promise.withResolvers<void>();
  const pause = async (signal: AbortSignal) => {
    pauses.send();
    const aborted = new Promise((resolve) => signal.addEventListener("abort", resolve));
    await Promise.race([aborted, resumed.promise]);
    if (signal.aborted) stops.send();
  };
  const pipeline = {
    components: pipe.components,
    generate: (prompt: string, options: { signal: AbortSignal }) =>
      pipe.generate(prompt, {
        ...options,
        callback: async (step) => {
          if (step === 1) await pause(options.signal);
        },
      }),
    stream: async function* (prompt: string, options: { signal: AbortSignal }) {
      for await (const event of pipe.stream(prompt, options)) {
        if (event.timestep === event.steps - 2) await pause(options.signal);
        options.signal.throwIfAborted();
        yield event;
      }
    },
  };
  return {
    /** Stands for the pipeline. */
    pipeline: pipeline as unknown as VQDiffusionPipeline,
    /** Waits until one more run has paused. */
    paused: () => pauses.receive(),
    /** Waits until one more paused run has been aborted. */
    stopped: () => stops.receive(),
    /** Lets all runs go on. */
    resume: () => resumed.resolve(),
  };
}

/** Signals that are waited for one by one, whichever comes first. */
class Channel {
  #sent = 0;
  readonly #waiting: (() => void)[] = [];

  send(): void {
    const next = this.#waiting.shift();
    if (next) next();
    else this.#sent++;
  }

  receive(): Promise<void> {
    if (this.#sent > 0) {
      this.#sent--;
      return Promise.resolve();
    }
    return new Promise((resolve) => this.#waiting.push(resolve));
  }
}
