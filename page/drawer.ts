// The Web Worker that draws in the browser, with the same library and model as the server.

import type * as Library from "../mod.ts";
import type { Device, DrawEvent, Settings } from "./api.ts";
import { libraryValue } from "./values.ts";

/** Where the server has the library and the model. */
const LIBRARY = "/lib/mod.js";
const MODEL = "/model/";

/** What the page asks for. */
export type DrawerRequest =
  | {
    readonly type: "draw";
    readonly id: number;
    readonly settings: Settings;
    /** Steps from one preview to the next. */
    readonly previews: number;
    /** Names in the library of the parameters. */
    readonly options: Readonly<Record<string, string>>;
    /** Bearer token for the server; empty for none. */
    readonly token: string;
    /** How weights are held. */
    readonly dtype: "fp32" | "fp16" | "q8" | undefined;
  }
  | { readonly type: "stop"; readonly id: number };

type DrawRequest = Extract<DrawerRequest, { readonly type: "draw" }>;

/** What the page is told about a drawing. */
export type DrawingMessage =
  | { readonly type: "event"; readonly id: number; readonly event: DrawEvent }
  | {
    readonly type: "end";
    readonly id: number;
    readonly error?: string;
    /** Whether the error is the fault of the settings, so that the same would be refused again. */
    readonly isRefusal?: boolean;
  };

/** What the page is told. */
export type DrawerMessage =
  | { readonly type: "loading"; readonly loaded: number; readonly total: number }
  | { readonly type: "device"; readonly device: Device }
  | DrawingMessage;

const running = new Map<number, AbortController>();
let pipeline: Promise<Library.VQDiffusionPipeline> | undefined;
let last: Promise<void> = Promise.resolve();

function post(message: DrawerMessage): void {
  postMessage(message);
}

async function load({ token, dtype }: DrawRequest): Promise<Library.VQDiffusionPipeline> {
  const { VQDiffusionPipeline }: typeof Library = await import(LIBRARY);
  const pipe = await VQDiffusionPipeline.fromPretrained(new URL(MODEL, import.meta.url), {
    dtype,
    fetch(input, init) {
      const headers = new Headers(init?.headers);
      if (token !== "") headers.set("authorization", `Bearer ${token}`);
      return fetch(input, { ...init, headers });
    },
    onProgress(event) {
      if (event.type !== "total") return;
      post({ type: "loading", loaded: event.loaded, total: event.total });
    },
  });
  const { name, reason } = pipe.device;
  post({ type: "device", device: { name, reason } });
  return pipe;
}

/** Waits for what others wait for, too, until the signal is aborted: then it throws the reason. */
async function unlessAborted<T>(shared: Promise<T>, signal: AbortSignal): Promise<T> {
  signal.throwIfAborted();
  const { promise, reject } = Promise.withResolvers<never>();
  const end = () => reject(signal.reason);
  signal.addEventListener("abort", end);
  try {
    return await Promise.race([shared, promise]);
  } finally {
    signal.removeEventListener("abort", end);
  }
}

/** Values as the library takes them. */
function optionsOf({ settings: { values }, options }: DrawRequest): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(values).map(([name, value]) => {
      return [options[name]!, libraryValue(options[name]!, value)];
    }),
  );
}

async function picturesOf({ picture }: Settings): Promise<Record<string, Library.RasterImage>> {
  if (picture === undefined) return {};
  const { RasterImage }: typeof Library = await import(LIBRARY);
  const decode = async (file: Blob) =>
    await RasterImage.decode(new Uint8Array(await file.arrayBuffer()));
  const image = await decode(picture.image);
  return picture.mask ? { image, maskImage: await decode(picture.mask) } : { image };
}

async function pngs(images: readonly Library.RasterImage[]): Promise<Blob[]> {
  return await Promise.all(
    images.map(async (image) => new Blob([await image.toPng()], { type: "image/png" })),
  );
}

async function* drawing(request: DrawRequest, signal: AbortSignal): AsyncGenerator<DrawEvent> {
  const { settings, previews } = request;
  // What failed is tried again with the next drawing.
  pipeline ??= load(request);
  pipeline.catch(() => pipeline = undefined);
  const pipe = await unlessAborted(pipeline, signal);
  const prompt = settings.prompt || undefined;
  const notes = await pipe.promptNotes(prompt ?? []);
  yield { name: "notes", data: { notes: notes.map(({ message }) => message) } };
  const seed = BigInt(settings.seed ?? crypto.getRandomValues(new Uint32Array(1))[0]!);
  const options = { ...optionsOf(request), ...await picturesOf(settings), seed, signal };
  yield { name: "started", data: { steps: Number(settings.values["steps"] ?? 1) } };
  let images: readonly Library.RasterImage[] | undefined;
  for await (const { step, steps, preview } of pipe.stream(prompt, options)) {
    if (step === steps) images = await preview();
    const isShown = step < steps && step % previews === 0;
    const shown = isShown ? { previews: await pngs(await preview()) } : {};
    yield { name: "step", data: { step, steps, ...shown } };
  }
  // At strength 0 there are no steps.
  images ??= (await pipe.generate(prompt, options)).images;
  const seeds = images.map((_, i) => `${BigInt.asUintN(64, seed + BigInt(i))}`);
  yield { name: "result", data: { seeds, images: await pngs(images) } };
}

async function draw(request: DrawRequest, signal: AbortSignal): Promise<void> {
  const { id } = request;
  try {
    signal.throwIfAborted();
    for await (const event of drawing(request, signal)) post({ type: "event", id, event });
    post({ type: "end", id });
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    const isRefusal = message.startsWith("Cannot generate: ");
    post({ type: "end", id, error: message, isRefusal });
  } finally {
    running.delete(id);
  }
}

addEventListener("message", ({ data }: MessageEvent<DrawerRequest>) => {
  if (data.type === "stop") return running.get(data.id)?.abort();
  const controller = new AbortController();
  running.set(data.id, controller);
  last = last.then(() => draw(data, controller.signal));
});
