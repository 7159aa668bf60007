// Clients of the service: as many as it can take, and more.

import { TorchGenerator } from "../src/random/torch_generator.ts";

/** What is asked for. */
export interface LoadRequest {
  /** Where the service is, without a slash at the end. */
  readonly url: string;
  /** Steps of a picture. Default: those of the model. */
  readonly steps: number | undefined;
}

/** What came of a load. */
export interface Load {
  /** Requests a second that were sent. */
  readonly offered: number;
  /** Pictures a second that came while requests were sent. */
  readonly drawn: number;
  /** Share of the requests that were told to come again later, 0 … 1. */
  readonly refused: number;
  /** Requests that were neither answered nor told to come again. */
  readonly failed: number;
  /** Seconds within which a share of the pictures came, each from its request on. */
  latency(share: number): number | undefined;
  /** Seconds within which 99 of 100 questions for the health of the service were answered. */
  readonly health: number;
}

/** Clients that come again as soon as they have a picture. */
const CLIENTS = 4;

/** Milliseconds from one question for the health of the service to the next. */
const HEALTH_MILLISECONDS = 100;

/** How many pictures a second the service draws. */
export async function measureCapacity(request: LoadRequest, seconds: number): Promise<number> {
  // The first picture takes longer.
  for (let i = 0; i < 3; i++) await draw(request);
  const start = performance.now();
  const isOpen = () => performance.now() - start < seconds * 1000;
  let count = 0;
  const client = async () => {
    while (isOpen()) {
      const status = await draw(request);
      if (status !== 200) throw new Error(`Cannot measure the service: it answers ${status}`);
      if (isOpen()) count++;
    }
  };
  await Promise.all(Array.from({ length: CLIENTS }, client));
  return count / seconds;
}

/**
 * Sends requests at a rate, whether or not those before were answered: the times between them are
 * exponentially distributed, as of clients that know nothing of each other, and the same in each run.
 */
export async function offerLoad(
  request: LoadRequest,
  { rate, seconds }: { readonly rate: number; readonly seconds: number },
): Promise<Load> {
  const times = arrivals(rate, seconds);
  const start = performance.now();
  const sinceStart = () => (performance.now() - start) / 1000;
  const latencies: number[] = [];
  let [drawn, refused, failed] = [0, 0, 0];
  const send = async () => {
    const sent = sinceStart();
    const status = await draw(request).catch(() => 0);
    if (status === 200) {
      latencies.push(sinceStart() - sent);
      if (sinceStart() < seconds) drawn++;
    } else if (status === 429) refused++;
    else failed++;
  };
  const watch = new AbortController();
  const health = watchHealth(request.url, watch.signal);
  const answers: Promise<void>[] = [];
  for (const time of times) {
    const early = time - sinceStart();
    if (early > 0) await new Promise((resolve) => setTimeout(resolve, 1000 * early));
    answers.push(send());
  }
  await Promise.all(answers);
  watch.abort();
  return {
    offered: times.length / seconds,
    drawn: drawn / seconds,
    refused: refused / times.length,
    failed,
    latency: (share) => quantile(latencies, share),
    health: quantile(await health, 0.99) ?? 0,
  };
}

/** Seconds at which requests are sent. */
function arrivals(rate: number, seconds: number): number[] {
  const noise = new Float32Array(Math.ceil(2 * rate * seconds) + 100);
  new TorchGenerator(1).fill(noise);
  const times: number[] = [];
  let time = 0;
  for (const value of noise) {
    time -= Math.log1p(-value) / rate;
    if (time >= seconds) break;
    times.push(time);
  }
  return times;
}

/** Asks for a picture, reads it, and tells the status of the answer. No seed is given: it is another picture each time. */
async function draw({ url, steps }: LoadRequest): Promise<number> {
  const response = await fetch(`${url}/v1/images/generations`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ prompt: "a red apple", steps }),
  });
  await response.text();
  return response.status;
}

/** Asks for the health of a service again and again; how many seconds each answer took. */
async function watchHealth(url: string, signal: AbortSignal): Promise<number[]> {
  const seconds: number[] = [];
  while (!signal.aborted) {
    const start = performance.now();
    await (await fetch(`${url}/healthz`)).text();
    seconds.push((performance.now() - start) / 1000);
    await new Promise((resolve) => setTimeout(resolve, HEALTH_MILLISECONDS));
  }
  return seconds;
}

/** The value that a share of some numbers is not above; undefined of none. */
function quantile(numbers: readonly number[], share: number): number | undefined {
  const sorted = numbers.toSorted((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)];
}
