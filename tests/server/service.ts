// A service of the tiny model for tests.

import { VQDiffusionPipeline } from "../../src/pipeline/vq_diffusion_pipeline.ts";
import { type LogRecord, Service, type ServiceOptions } from "../../src/server/service.ts";
import { folderOf, tinyFiles } from "../pipeline/golden_runs.ts";
import { pausingPipeline } from "./support.ts";

/** Limits of the service. */
export const LIMITS = {
  maxSteps: 100,
  maxImages: 4,
  maxPromptLength: 100,
  maxBodyBytes: 1000,
  maxUploadBytes: 20_000,
  maxPixels: 10_000,
};

/** Loads the tiny model, on one thread. */
export async function loadTiny(): Promise<VQDiffusionPipeline> {
  return await VQDiffusionPipeline.fromPretrained(folderOf(tinyFiles()), {
    device: "wasm",
    threads: 1,
  });
}

/** Options of a service; with `pausing`, runs pause after the second step. */
export type TestOptions = Partial<ServiceOptions> & { readonly pausing?: boolean };

/** A service, also over HTTP, and its log. */
export async function startService({ pausing = false, ...options }: TestOptions = {}) {
  const pipe = await loadTiny();
  const pauses = pausingPipeline(pipe);
  const pipeline = Object.assign(pauses.pipeline, {
    device: pipe.device,
    knownNames: () => pipe.knownNames(),
    promptNotes: (prompt: string) => pipe.promptNotes(prompt),
  }) as VQDiffusionPipeline;
  const log: LogRecord[] = [];
  const service = new Service(pausing ? pipeline : pipe, {
    modelId: "tiny",
    limits: LIMITS,
    maxIdleSeconds: 1000,
    queue: { capacity: 8, capacityPerClient: 4 },
    log: (record) => log.push(record),
    ...options,
  });
  const server = Deno.serve(
    { port: 0, hostname: "127.0.0.1", onListen() {} },
    (request, { remoteAddr }) => service.fetch(request, remoteAddr.hostname),
  );
  return {
    pipe,
    service,
    log,
    paused: pauses.paused,
    stopped: pauses.stopped,
    resume: pauses.resume,
    /** Where it listens. */
    url: `http://127.0.0.1:${server.addr.port}`,
    /** Asks it without a connection. */
    ask: (path: string, init: RequestInit = {}, address = "client") =>
      service.fetch(new Request(`http://localhost${path}`, init), address),
    async [Symbol.asyncDispose]() {
      pauses.resume();
      service.close();
      await server.shutdown();
      await service.finished;
      await pipe.dispose();
    },
  };
}

/** A POST of JSON. */
export function post(body: unknown, init: RequestInit = {}): RequestInit {
  const headers = { "content-type": "application/json", ...init.headers as Record<string, string> };
  return { method: "POST", body: JSON.stringify(body), ...init, headers };
}

/** Waits until something is so. */
export async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await new Promise((resolve) => setTimeout(resolve, 5));
}
