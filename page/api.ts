// What the page asks of its server: /info and /generate.

/** A parameter of requests. */
export interface Parameter {
  readonly name: string;
  readonly type: string;
  readonly help: string;
  readonly min?: number;
  readonly max?: number;
  readonly default?: number;
}

/** What the server tells about itself. */
export interface Info {
  readonly model: string;
  readonly device: { readonly name: string; readonly reason: string };
  readonly width: number;
  readonly height: number;
  readonly maxPromptLength: number;
  readonly parameters: readonly Parameter[];
  readonly names: readonly string[];
  readonly styles: readonly string[];
  readonly grounds: readonly string[];
}

/** What determines pictures; without a seed, a random one is drawn. */
export interface Settings {
  readonly prompt: string;
  readonly seed: string | undefined;
  /** Numbers by the names of their parameters. */
  readonly values: Readonly<Record<string, number>>;
}

/** What the server tells about a drawing. Pictures are PNG files in base64. */
export interface DrawEvents {
  notes: { readonly notes: readonly string[] };
  queued: { readonly ahead: number; readonly seconds: number };
  started: { readonly steps: number };
  step: { readonly step: number; readonly steps: number; readonly previews?: readonly string[] };
  result: { readonly seeds: readonly string[]; readonly images: readonly string[] };
  error: { readonly error: string };
}

/** One of these, by its name. */
export type DrawEvent = {
  [N in keyof DrawEvents]: { readonly name: N; readonly data: DrawEvents[N] };
}[keyof DrawEvents];

/** An answer other than wanted. */
export class AnswerError extends Error {
  override readonly name = "AnswerError";

  constructor(
    message: string,
    readonly status: number,
    /** Seconds after which to come again, if that helps. */
    readonly retryAfter: number | undefined,
  ) {
    super(message);
  }
}

/** Asks what is served. */
export async function fetchInfo(token: string): Promise<Info> {
  const response = await fetch("/info", { headers: headersOf(token) });
  if (!response.ok) throw await errorOf(response);
  return await response.json();
}

/** Draws, and tells how far it is. */
export async function* draw(
  { prompt, seed, values }: Settings,
  { token, previews, signal }: { token: string; previews: number; signal: AbortSignal },
): AsyncGenerator<DrawEvent, void, void> {
  const response = await fetch("/generate", {
    method: "POST",
    headers: {
      ...headersOf(token),
      "content-type": "application/json",
      "accept": "text/event-stream",
    },
    body: JSON.stringify({ prompt, seed, ...values, previews }),
    signal,
  });
  if (!response.ok) throw await errorOf(response);
  let text = "";
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    const blocks = (text + part.value).split("\n\n");
    text = blocks.pop()!;
    for (const block of blocks) {
      const [, name, data] = /^event: (\w+)\ndata: (.*)$/.exec(block) ?? [];
      if (name !== undefined) yield { name, data: JSON.parse(data!) } as DrawEvent;
    }
  }
}

function headersOf(token: string): Record<string, string> {
  return token === "" ? {} : { authorization: `Bearer ${token}` };
}

async function errorOf(response: Response): Promise<AnswerError> {
  const text = await response.text();
  const seconds = response.headers.get("retry-after");
  let message = `The server answered with status ${response.status}`;
  try {
    message = JSON.parse(text).error;
  } catch {
    // It is not from our server.
  }
  return new AnswerError(message, response.status, seconds === null ? undefined : Number(seconds));
}
