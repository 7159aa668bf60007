/**
 * A server with far more requests than it can answer, some of whose clients leave.
 *
 * @module
 */

import { VQDiffusionPipeline } from "../../src/pipeline/vq_diffusion_pipeline.ts";
import { createHandler } from "../../src/server/handler.ts";
import { folderOf, tinyFiles } from "../pipeline/golden_runs.ts";
import type { TrialResult } from "./main.ts";

/** Pictures that the server draws at once. */
const CAPACITY = 2;
/** Requests at once, as a multiple of that. */
const LOAD = 20;

/** What became of a request. */
type Fate = "drawn" | "refused" | "left" | "wrong";

/** 20 times 20 times the load: each picture is right, and what is too much is refused with status 503. */
export async function busyServer(scale: number): Promise<TrialResult[]> {
  const rounds = Math.ceil(20 * scale);
  const folder = folderOf(tinyFiles());
  await using pipe = await VQDiffusionPipeline.fromPretrained(folder, {
    ...{ device: "wasm", threads: 1 },
  });
  const unexpected: unknown[] = [];
  const handler = createHandler(pipe, {
    maxConcurrent: CAPACITY,
    onError: (error) => unexpected.push(error),
  });
  const options = { port: 0, hostname: "127.0.0.1", onListen() {} };
  await using server = Deno.serve(options, (request) => handler(request));
  const url = `http://127.0.0.1:${server.addr.port}/generate?prompt=a+cat&steps=6&seed=1`;
  const draw = async () => (await (await fetch(url)).bytes()).join();
  const expected = await draw();
  const counts: Record<Fate, number> = { drawn: 0, refused: 0, left: 0, wrong: 0 };
  const ask = async (leaves: boolean): Promise<Fate> => {
    const signal = leaves ? AbortSignal.timeout(Math.ceil(Math.random() * 200)) : undefined;
    try {
      const response = await fetch(url, signal && { signal });
      const bytes = await response.bytes();
      if (response.status === 503) return "refused";
      return response.status === 200 && bytes.join() === expected ? "drawn" : "wrong";
    } catch (error) {
      return signal?.aborted ? "left" : (unexpected.push(error), "wrong");
    }
  };
  for (let round = 0; round < rounds; round++) {
    const requests = Array.from({ length: LOAD * CAPACITY }, (_, i) => ask(i % 3 === 0));
    for (const fate of await Promise.all(requests)) counts[fate]++;
    if (await draw() !== expected) counts.wrong++;
  }
  const { drawn, refused, left, wrong } = counts;
  const found = `${drawn} drawn, ${refused} refused, ${left} left, ${wrong} wrong, ` +
    `${unexpected.length} errors`;
  const passed = wrong === 0 && unexpected.length === 0 && drawn > 0;
  return [{ trial: "requests, 20 × load", count: rounds * LOAD * CAPACITY, found, passed }];
}
