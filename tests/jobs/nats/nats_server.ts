// A NATS server for tests, which can be killed and started again.

import { connectToQueue } from "../../../src/jobs/nats/connect.ts";
import { Exchange } from "../../../src/jobs/nats/exchange.ts";
import { NatsQueue } from "../../../src/jobs/nats/nats_queue.ts";
import type { ExchangeOptions } from "../../../src/jobs/nats/stores.ts";
import { plainWork } from "../jobs.ts";
import { temporaryFolder } from "../../temporary_folder.ts";

/** Identity of the model in tests. */
export const MODEL = "5".repeat(64);

/** Whether there is a server to start; tests are skipped where there is none. */
export const hasNatsServer: boolean = (() => {
  try {
    return new Deno.Command("nats-server", { args: ["--version"] }).outputSync().success;
  } catch {
    return false;
  }
})();

/** Starts a server at a free port, with a folder of its own. */
export async function startNatsServer(args: readonly string[] = []) {
  const folder = await temporaryFolder();
  const start = async (port: number) => {
    const process = new Deno.Command("nats-server", {
      args: ["-js", "-sd", folder.path, "-a", "127.0.0.1", "-p", `${port}`, ...args],
      stdin: "null",
      stdout: "null",
      stderr: "piped",
    }).spawn();
    return { process, port: await portOf(process) };
  };
  // It takes a free port by itself.
  let { process, port } = await start(-1);
  const kill = async () => {
    process.kill("SIGKILL");
    await process.status;
  };
  return {
    url: `nats://127.0.0.1:${port}`,
    /** Kills it, as `kill -9` does. */
    kill,
    /** Starts it again, at the same port and with what it has stored. */
    async restart() {
      ({ process } = await start(port));
    },
    /** Removes what it has stored. */
    async empty() {
      await Deno.remove(`${folder.path}/jetstream`, { recursive: true });
    },
    async [Symbol.asyncDispose]() {
      await kill();
      await folder[Symbol.asyncDispose]();
    },
  };
}

/** Waits until the server listens; the rest of what it says is thrown away. */
async function portOf(process: Deno.ChildProcess): Promise<number> {
  const reader = process.stderr.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  while (!/Server is ready/.test(text)) {
    const { done, value } = await reader.read();
    if (done) throw new Error(text);
    text += value;
  }
  const rest = (async () => {
    while (!(await reader.read()).done);
  })();
  rest.catch(() => {});
  return Number(/client connections on 127\.0\.0\.1:(\d+)/.exec(text)![1]);
}

/** A test that needs a NATS server, and has one of its own. */
export function natsTest(
  name: string,
  test: (url: string, server: NatsServer) => Promise<void>,
): void {
  Deno.test({
    name,
    ignore: !hasNatsServer,
    async fn() {
      await using server = await startNatsServer();
      await test(server.url, server);
    },
  });
}

/** A server that was started. */
export type NatsServer = Awaited<ReturnType<typeof startNatsServer>>;

/** The queue with a connection of its own. */
export async function openExchange(url: string, options: Partial<ExchangeOptions> = {}) {
  const connection = await connectToQueue({ url }, "test");
  const exchange = await Exchange.open(connection, {
    model: MODEL,
    side: 32,
    ackSeconds: 2,
    ...options,
  });
  return { exchange, connection, [Symbol.asyncDispose]: () => connection.close() };
}

/** A service's view of the queue, with a connection of its own. */
export async function openNatsQueue(
  url: string,
  { capacity = 100, capacityPerClient = 100, ...options }:
    & Partial<ExchangeOptions>
    & { readonly capacity?: number; readonly capacityPerClient?: number } = {},
) {
  const opened = await openExchange(url, options);
  const queue = await NatsQueue.open(opened.exchange, { capacity, capacityPerClient }, plainWork);
  return {
    queue,
    exchange: opened.exchange,
    connection: opened.connection,
    async [Symbol.asyncDispose]() {
      queue.close();
      await queue.finished;
      await opened[Symbol.asyncDispose]();
    },
  };
}
