// What the page asks of its server: /info and /generate.

/** A parameter of requests. */
export interface Parameter {
  readonly name: string;
  /** Its name in the library. */
  readonly option: string;
  /** `"integer"`, `"number"`, `"seed"`, `"text"`, `"texts"`, `"sampler"` or `"interval"`. */
  readonly type: string;
  readonly help: string;
  readonly min?: number;
  readonly max?: number;
  /** A number, or the model's styles. */
  readonly default?: number | readonly string[];
}

/** What computes, and why. */
export interface Device {
  readonly name: string;
  readonly reason: string;
}

/** What the server tells about itself. */
export interface Info {
  readonly model: string;
  readonly device: Device;
  /** How the page holds weights that draws by itself; undefined if it cannot. */
  readonly browser?: { readonly dtype?: "fp32" | "fp16" | "q8" };
  readonly width: number;
  readonly height: number;
  readonly maxPromptLength: number;
  readonly parameters: readonly Parameter[];
  readonly names: readonly string[];
  readonly styles: readonly string[];
  readonly grounds: readonly string[];
}

/** A picture to start from, and its part to repaint in white. */
export interface StartPicture {
  readonly image: Blob;
  readonly mask?: Blob;
}

/** What determines pictures; without a seed, a random one is drawn. */
export interface Settings {
  /** What to draw; empty for variations of a picture. */
  readonly prompt: string;
  readonly seed: string | undefined;
  /** Numbers and texts by the names of their parameters. */
  readonly values: Readonly<Record<string, number | string>>;
  readonly picture?: StartPicture;
}

/** How to draw. */
export interface DrawOptions {
  /** Bearer token for the server; empty for none. */
  readonly token: string;
  /** Steps from one preview to the next. */
  readonly previews: number;
  readonly signal: AbortSignal;
}

/** What is told about a drawing. Pictures are PNG files. */
export interface DrawEvents {
  notes: { readonly notes: readonly string[] };
  queued: { readonly ahead: number; readonly seconds: number };
  started: { readonly steps: number };
  step: { readonly step: number; readonly steps: number; readonly previews?: readonly Blob[] };
  result: { readonly seeds: readonly string[]; readonly images: readonly Blob[] };
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

/** Draws on the server, and tells how far it is. */
export async function* draw(
  settings: Settings,
  { token, previews, signal }: DrawOptions,
): AsyncGenerator<DrawEvent, void, void> {
  const [body, type] = bodyOf(settings, previews);
  const response = await fetch("/generate", {
    method: "POST",
    headers: {
      ...headersOf(token),
      ...(type && { "content-type": type }),
      "accept": "text/event-stream",
    },
    body,
    signal,
  });
  if (!response.ok) throw await errorOf(response);
  let text = "";
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    const blocks = (text + part.value).split("\n\n");
    text = blocks.pop()!;
    for (const block of blocks) {
      const [, name, data] = /^event: (\w+)\ndata: ([^\n]*)$/.exec(block) ?? [];
      if (name !== undefined) yield { name, data: JSON.parse(data!, reviveFiles) } as DrawEvent;
    }
  }
}

/** JSON or, with a picture, a form; and its media type, which a form has by itself. */
function bodyOf(
  { prompt, seed, values, picture }: Settings,
  previews: number,
): [BodyInit, string | undefined] {
  const fields = { prompt: prompt || undefined, seed, ...values, previews };
  if (picture === undefined) return [JSON.stringify(fields), "application/json"];
  const form = new FormData();
  for (const [name, value] of Object.entries(fields)) {
    if (value !== undefined) form.append(name, `${value}`);
  }
  form.append("image", picture.image, "image.png");
  if (picture.mask) form.append("mask", picture.mask, "mask.png");
  return [form, undefined];
}

/** Pictures come in base64. */
function reviveFiles(key: string, value: unknown): unknown {
  if (key !== "images" && key !== "previews") return value;
  return (value as string[]).map((file) => {
    const bytes = Uint8Array.from(atob(file), (character) => character.charCodeAt(0));
    return new Blob([bytes], { type: "image/png" });
  });
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
