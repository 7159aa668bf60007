/**
 * The command `serve`: pictures over HTTP.
 *
 * @module
 */

import { openFolder } from "../checkpoints/folders.ts";
import { MissingFileError } from "../files/paths.ts";
import { workOf } from "../jobs/speed.ts";
import type { RemoteQueue } from "../jobs/served_queue.ts";
import { embeddedModelUrl } from "../pipeline/embedded_model.ts";
import { VQDiffusionPipeline } from "../pipeline/vq_diffusion_pipeline.ts";
import { type BrowserParts, Service } from "../server/service.ts";
import { UsageError } from "./arguments.ts";
import { hubOptions, quietDisplayServer } from "./environment.ts";
import { abortOnInterrupt } from "./interrupt.ts";
import { LoadDisplay } from "./load_display.ts";
import { explained } from "./model_source.ts";
import { readServeArguments, SERVE_HELP, type ServeArguments } from "./serve_arguments.ts";
import { print, printRecord } from "./terminal.ts";

/** Name of the embedded model in requests. */
const EMBEDDED_ID = "vq-diffusion";

/** Where `deno task bundle` puts the library for browsers. */
const LIBRARY = new URL("../../out/browser/", import.meta.url);

/**
 * Runs the command, until it is interrupted.
 *
 * @returns The exit code.
 * @throws {UsageError} If an argument is wrong.
 */
export async function serve(args: string[]): Promise<number> {
  const given = readServeArguments(args);
  if (!given) {
    print(SERVE_HELP);
    return 0;
  }
  const tokens = given.tokensFile === undefined ? undefined : await readTokens(given.tokensFile);
  using interrupt = abortOnInterrupt();
  quietDisplayServer();
  const stopped = Promise.withResolvers<void>();
  interrupt.signal.addEventListener("abort", () => stopped.resolve());
  await using owned = new AsyncDisposableStack();
  const { pipe, queue } = await load(given, interrupt.signal, owned);
  const service = serviceOf(pipe, given, { tokens, browser: await browserParts(given), queue });
  const server = listen(service, given);
  await stopped.promise;
  print("Stopping: pictures that are being drawn are finished");
  service.close();
  await server.shutdown();
  await service.finished;
  return 0;
}

/** Loads the model; and opens the queue of those who draw by it, if it is not to be done here. */
async function load(
  given: ServeArguments,
  signal: AbortSignal,
  owned: AsyncDisposableStack,
): Promise<{ readonly pipe: VQDiffusionPipeline; readonly queue?: RemoteQueue }> {
  const { queue } = given;
  if (queue === undefined) return { pipe: owned.use(await loadPipeline(given, signal)) };
  const { loadIdentified, openQueue } = await import("./queue.ts");
  const { NatsQueue } = await import("../jobs/nats/nats_queue.ts");
  // It only checks requests.
  const model = await loadIdentified({ ...given, device: "wasm", threads: 1 }, signal);
  owned.use(model.pipe);
  const { keepSeconds } = given;
  const options = { name: "vq-diffusion serve", keepSeconds };
  const { exchange } = owned.use(await openQueue({ ...given, queue }, model, options));
  const { pipe } = model;
  const queued = await NatsQueue.open(exchange, given, (request) => workOf(pipe, request));
  return { pipe, queue: queued };
}

async function loadPipeline(
  { model, revision, dtype, device, threads }: ServeArguments,
  signal: AbortSignal,
): Promise<VQDiffusionPipeline> {
  using display = new LoadDisplay();
  const loading = VQDiffusionPipeline.fromPretrained(model, {
    ...(model !== undefined && hubOptions()),
    device,
    revision,
    dtype,
    threads,
    signal,
    onProgress: display.onProgress,
  });
  return await explained(model, loading);
}

/** What the page draws with by itself, if the library was bundled for it. */
async function browserParts(
  { model, revision, dtype }: ServeArguments,
): Promise<BrowserParts | undefined> {
  if (LIBRARY.protocol !== "file:") return undefined;
  try {
    return {
      library: await openFolder(LIBRARY),
      model: await openFolder(model ?? embeddedModelUrl(), {
        ...(model !== undefined && hubOptions()),
        revision,
      }),
      // The embedded model is computed in float32, though it is stored as int8.
      dtype: dtype ?? (model === undefined ? "fp32" : undefined),
    };
  } catch (error) {
    if (error instanceof MissingFileError) return undefined;
    throw error;
  }
}

function serviceOf(
  pipe: VQDiffusionPipeline,
  { model, quiet, allowOrigin, maxIdleSeconds, ...limits }: ServeArguments,
  { queue, ...others }: {
    readonly tokens: readonly string[] | undefined;
    readonly browser: BrowserParts | undefined;
    readonly queue?: RemoteQueue | undefined;
  },
): Service {
  const { capacity, capacityPerClient } = limits;
  return new Service(pipe, {
    modelId: model === undefined ? EMBEDDED_ID : idOf(model),
    limits,
    maxIdleSeconds,
    queue: queue ?? { capacity, capacityPerClient },
    allowOrigin,
    ...others,
    log: (record) => {
      if (!quiet || record.level === "error") printRecord(record);
    },
  });
}

function listen(service: Service, { host, port }: ServeArguments): Deno.HttpServer {
  try {
    return Deno.serve({
      hostname: host,
      port,
      onListen: ({ hostname, port }) => {
        const name = hostname.includes(":") ? `[${hostname}]` : hostname;
        print(`Listening on http://${name}:${port}/`);
      },
    }, (request, { remoteAddr }) => service.fetch(request, addressOf(remoteAddr)));
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    const advice = error instanceof Deno.errors.AddrInUse ? "; --port takes another one" : "";
    throw new Error(`Cannot listen at ${host}, port ${port}: ${reason}${advice}`, { cause: error });
  }
}

function addressOf(address: Deno.Addr): string {
  return "hostname" in address ? address.hostname : "local";
}

/** The name of a model in requests: its id on the hub, or the last part of its path. */
function idOf(model: string): string {
  if (/^[\w.-]+\/[\w.-]+$/.test(model)) return model;
  return model.replace(/[?#].*$/, "").split(/[/\\]/).findLast((part) => part !== "") ?? model;
}

async function readTokens(path: string): Promise<string[]> {
  const text = await Deno.readTextFile(path).catch((error: Error) => {
    throw new UsageError(`Cannot read ${path}: ${error.message}`, { cause: error });
  });
  const lines = text.split("\n").map((line) => line.trim());
  const tokens = lines.filter((line) => line !== "" && !line.startsWith("#"));
  if (tokens.length === 0) {
    throw new UsageError(`There is no token in ${path}, expected one a line`);
  }
  if (tokens.some((token) => /\s/.test(token))) {
    throw new UsageError(`A token in ${path} has a space in it, expected one a line`);
  }
  return tokens;
}
