/**
 * The queue that `serve` and `worker` share on a NATS server, and the model whose jobs are in it.
 *
 * @module
 */

import type { DeviceType } from "../backends/backend.ts";
import type { WeightDType } from "../base/dtypes.ts";
import { openFolder } from "../checkpoints/folders.ts";
import type { Exchange } from "../jobs/nats/exchange.ts";
import { sideOf } from "../pipeline/components.ts";
import { embeddedModelUrl } from "../pipeline/embedded_model.ts";
import { VQDiffusionPipeline } from "../pipeline/vq_diffusion_pipeline.ts";
import { UsageError } from "./arguments.ts";
import { hubOptions } from "./environment.ts";
import { LoadDisplay } from "./load_display.ts";
import { modelIdentity, WatchedFolder } from "./model_identity.ts";
import { explained } from "./model_source.ts";
import { print } from "./terminal.ts";

/** Which model to load, and how. */
export interface ModelArguments {
  readonly model: string | undefined;
  readonly revision: string | undefined;
  readonly dtype: WeightDType | undefined;
  readonly device: DeviceType | "auto";
  readonly threads: number | undefined;
}

/** Where the queue is. */
export interface QueueArguments {
  readonly queue: string;
  readonly credentialsFile: string | undefined;
  readonly certificatesFile: string | undefined;
}

/** A model and its identity. */
export interface IdentifiedModel {
  readonly pipe: VQDiffusionPipeline;
  readonly identity: string;
}

/** Loads a model, and finds out which it is. */
export async function loadIdentified(
  { model, revision, dtype, device, threads }: ModelArguments,
  signal: AbortSignal,
): Promise<IdentifiedModel> {
  using display = new LoadDisplay();
  // The embedded model is computed in float32, though it is stored as int8.
  const held = dtype ?? (model === undefined ? "fp32" : undefined);
  const loading = async () => {
    const folder = await openFolder(model ?? embeddedModelUrl(), {
      ...(model !== undefined && hubOptions()),
      revision,
      signal,
      onProgress: display.onProgress,
    });
    const watched = new WatchedFolder(folder);
    const options = { device, dtype: held, threads, signal };
    const pipe = await VQDiffusionPipeline.fromPretrained(watched, options);
    try {
      return { pipe, identity: await modelIdentity(folder, watched.paths, held) };
    } catch (error) {
      await pipe.dispose();
      throw error;
    }
  };
  return await explained(model, loading());
}

/** A queue that is open. Disposing of it ends the connection. */
export interface OpenQueue extends AsyncDisposable {
  readonly exchange: Exchange;
}

/**
 * Connects to the queue.
 *
 * @param ackSeconds Seconds without a sign of a worker after which its job is given to another.
 * @throws {UsageError} If credentials or certificates cannot be read.
 * @throws {Error} If the server cannot be reached, or refuses.
 */
export async function openQueue(
  { queue: url, credentialsFile, certificatesFile }: QueueArguments,
  { pipe, identity: model }: IdentifiedModel,
  options: { readonly name: string; readonly ackSeconds?: number; readonly keepSeconds?: number },
): Promise<OpenQueue> {
  const { name, ...times } = options;
  const { connectToQueue } = await import("../jobs/nats/connect.ts");
  const { Exchange } = await import("../jobs/nats/exchange.ts");
  const credentials = await readGiven(credentialsFile);
  const pem = await readGiven(certificatesFile);
  const certificates = pem && new TextDecoder().decode(pem);
  const connection = await connectToQueue({ url, credentials, certificates }, name);
  try {
    const side = sideOf(pipe.components);
    const exchange = await Exchange.open(connection, { model, side, ...times });
    print(`Connected to the queue at ${connection.getServer()}, for model ${model.slice(0, 12)}`);
    return { exchange, [Symbol.asyncDispose]: () => connection.close() };
  } catch (error) {
    await connection.close();
    throw error;
  }
}

/** Reads a file, if one is given. */
async function readGiven(path: string | undefined): Promise<Uint8Array | undefined> {
  if (path === undefined) return undefined;
  return await Deno.readFile(path).catch((error: Error) => {
    throw new UsageError(`Cannot read ${path}: ${error.message}`, { cause: error });
  });
}
