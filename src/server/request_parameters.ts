/**
 * What a request asks for, read from its query or its JSON body, and checked.
 *
 * @module
 */

import { RequestError } from "./request_error.ts";

/** What requests may ask for at most. */
export interface RequestLimits {
  /** Denoising steps. */
  readonly maxSteps: number;
  /** Images. */
  readonly maxImages: number;
  /** UTF-16 code units of the prompt. */
  readonly maxPromptLength: number;
  /** Bytes of the body. */
  readonly maxBodyBytes: number;
}

/** What a request asks for. */
export interface RequestParameters {
  /** What to draw. */
  readonly prompt: string;
  /** Seed of the noise; undefined for a random one. */
  readonly seed: bigint | undefined;
  /** Denoising steps. */
  readonly steps: number | undefined;
  /** Scale of classifier-free guidance. */
  readonly guidance: number | undefined;
  /** Sum of probabilities up to which tokens are kept. */
  readonly truncation: number | undefined;
  /** Number of images. */
  readonly images: number;
  /** Steps from one preview to the next; 0 for none. */
  readonly previews: number;
}

const NAMES = ["prompt", "seed", "steps", "guidance", "truncation", "images", "previews"];

/**
 * Reads the parameters of a request: those of the query, and those of the body of a POST.
 *
 * @throws {RequestError} If one is missing, unknown or out of range, or the body is damaged or too big.
 */
export async function readParameters(
  request: Request,
  limits: RequestLimits,
): Promise<RequestParameters> {
  const values = { ...queryValues(request), ...await bodyValues(request, limits.maxBodyBytes) };
  const unknown = Object.keys(values).find((name) => !NAMES.includes(name));
  if (unknown !== undefined) {
    throw new RequestError(
      400,
      `Unknown parameter ${JSON.stringify(unknown.slice(0, 50))}, expected ${NAMES.join(", ")}`,
    );
  }
  const { maxSteps, maxImages } = limits;
  return {
    prompt: promptOf(values["prompt"], limits.maxPromptLength),
    seed: seedOf(values["seed"]),
    steps: numberOf("steps", values["steps"], { integer: true, min: 1, max: maxSteps }),
    guidance: numberOf("guidance", values["guidance"], { min: 0, max: 100 }),
    truncation: numberOf("truncation", values["truncation"], { min: 0, max: 1 }),
    images: numberOf("images", values["images"], { integer: true, min: 1, max: maxImages }) ?? 1,
    previews: numberOf("previews", values["previews"], { integer: true, min: 0, max: 1000 }) ?? 0,
  };
}

function queryValues(request: Request): Record<string, unknown> {
  const values: Record<string, unknown> = Object.create(null);
  for (const [name, text] of new URL(request.url).searchParams) {
    if (name in values) throw new RequestError(400, `The parameter ${name} is given twice`);
    // Numbers are the only other thing that a query can mean.
    const isNumber = name !== "prompt" && name !== "seed" &&
      /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text);
    values[name] = isNumber ? Number(text) : text;
  }
  return values;
}

async function bodyValues(request: Request, maxBytes: number): Promise<Record<string, unknown>> {
  if (request.method !== "POST") return {};
  const type = request.headers.get("content-type");
  if (type !== null && !/^application\/json\s*(;|$)/i.test(type)) {
    throw new RequestError(415, "The body is of another type, expected application/json");
  }
  const bytes = await readBody(request, maxBytes);
  if (bytes.length === 0) return {};
  let values: unknown;
  try {
    values = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch {
    throw new RequestError(400, "The body is not valid JSON");
  }
  if (typeof values !== "object" || values === null || Array.isArray(values)) {
    throw new RequestError(400, "The body is no JSON object");
  }
  return values as Record<string, unknown>;
}

async function readBody(request: Request, maxBytes: number): Promise<Uint8Array> {
  const tooLarge = () => new RequestError(413, `The body is longer than ${maxBytes} bytes`);
  if (Number(request.headers.get("content-length")) > maxBytes) throw tooLarge();
  const reader = request.body?.getReader();
  const chunks: Uint8Array[] = [];
  let length = 0;
  for (let part = await reader?.read(); part && !part.done; part = await reader?.read()) {
    chunks.push(part.value);
    length += part.value.length;
    if (length <= maxBytes) continue;
    await reader?.cancel();
    throw tooLarge();
  }
  const bytes = new Uint8Array(length);
  let at = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, at);
    at += chunk.length;
  }
  return bytes;
}

function promptOf(value: unknown, maxLength: number): string {
  if (typeof value !== "string") refuse("prompt", "a text", value);
  if (value.length > maxLength) {
    throw new RequestError(
      400,
      `prompt is ${value.length} characters long, expected at most ${maxLength}`,
    );
  }
  return value;
}

function seedOf(value: unknown): bigint | undefined {
  if (value === undefined) return undefined;
  const isInteger = typeof value === "string"
    ? /^\d{1,20}$/.test(value)
    : typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
  const seed = isInteger ? BigInt(value as string | number) : -1n;
  if (seed < 0n || seed >= 2n ** 64n) refuse("seed", "a whole number from 0 to 2^64 - 1", value);
  return seed;
}

function numberOf(
  name: string,
  value: unknown,
  { integer = false, min, max }: { integer?: boolean; min: number; max: number },
): number | undefined {
  if (value === undefined) return undefined;
  const isRight = typeof value === "number" && value >= min && value <= max &&
    (!integer || Number.isInteger(value));
  if (isRight) return value;
  return refuse(name, `a ${integer ? "whole " : ""}number from ${min} to ${max}`, value);
}

function refuse(name: string, expected: string, value: unknown): never {
  const got = value === undefined ? "missing" : JSON.stringify(value).slice(0, 50);
  throw new RequestError(400, `${name} is ${got}, expected ${expected}`);
}
