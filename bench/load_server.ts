// A service in a process of its own, and the memory of processes.

/** A service that is measured. */
export interface Served extends AsyncDisposable {
  /** Where it listens, without a slash at the end. */
  readonly url: string;
  /** Its processes, as far as they are known. */
  readonly pids: readonly number[];
}

const MAIN = new URL("../src/cli/main.ts", import.meta.url).pathname;

/** Of one address, which is what all requests come from, as many may wait as of all. */
const ARGUMENTS = ["--port", "0", "--quiet", "--max-queue", "32", "--max-queue-per-client", "32"];

/** Starts a service at a free port, with more options of `serve`. */
export async function startServer(args: readonly string[]): Promise<Served> {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "--unstable-no-legacy-abort", "--allow-all", MAIN, "serve"]
      .concat(ARGUMENTS, args),
    stdin: "null",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const reader = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  while (!text.includes("\n")) {
    const { done, value } = await reader.read();
    if (done) throw new Error("Cannot measure the service: it did not start");
    text += value;
  }
  const url = /http:\/\/[\w.:[\]-]+/.exec(text)?.[0];
  if (url === undefined) throw new Error(`Cannot measure the service: it says ${text}`);
  return {
    url,
    pids: [child.pid],
    async [Symbol.asyncDispose]() {
      child.kill("SIGTERM");
      await reader.cancel();
      await child.status;
    },
  };
}

/** The most bytes that processes have held so far, together; undefined where that is not told. */
export function memoryOf(pids: readonly number[]): number | undefined {
  if (pids.length === 0) return undefined;
  try {
    return pids.reduce((sum, pid) => {
      const [, kilobytes] = /^VmHWM:\s*(\d+)/m.exec(Deno.readTextFileSync(`/proc/${pid}/status`))!;
      return sum + Number(kilobytes) * 1024;
    }, 0);
  } catch {
    return undefined;
  }
}
