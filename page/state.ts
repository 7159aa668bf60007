// What the page knows, and what it does.

import { computed, signal } from "npm:@preact/signals@2.11.4";
import { AnswerError, draw, type DrawEvent, fetchInfo, type Info, type Settings } from "./api.ts";
import { drawInBrowser } from "./browser.ts";
import { readPicture, withSettings } from "./settings.ts";
import { startPicture, startPictureOf, useStartPicture } from "./start_picture.ts";
import { openStore, type Picture, type PictureStore } from "./store.ts";
import { drawnPrompt } from "./values.ts";

/** Previews of a drawing, about. */
const PREVIEWS = 10;

/** Where the bearer token is kept until the window is closed. */
const TOKEN_KEY = "vq-diffusion-token";

/** Where the choice is kept of what draws. */
const PLACE_KEY = "vq-diffusion-place";

/** What draws: the server, or this browser. */
export type Place = "server" | "browser";

/** Pictures that wait to be drawn. */
export interface Task {
  readonly id: number;
  readonly settings: Settings;
}

/** What is being drawn. */
export interface Drawing extends Task {
  /** How far it is, for people. */
  readonly text: string;
  readonly step: number;
  readonly steps: number;
  /** Newest previews. */
  readonly previews: readonly Blob[];
}

export const info = signal<Info | undefined>(undefined);
export const token = signal(sessionStorage.getItem(TOKEN_KEY) ?? "");
/** Whether this browser is to draw, if it can. */
const wantsBrowser = signal(localStorage.getItem(PLACE_KEY) === "browser");
export const needsToken = signal(false);
export const prompt = signal("");
export const seed = signal("");
export const isSeedRandom = signal(true);
export const values = signal<Settings["values"]>({});
export const waiting = signal<readonly Task[]>([]);
export const drawing = signal<Drawing | undefined>(undefined);
export const pictures = signal<readonly Picture[]>([]);
/** What was said last, for screen readers too. */
export const status = signal("");
export const notes = signal<readonly string[]>([]);
export const error = signal("");

/** What draws. */
export const place = computed<Place>(() =>
  wantsBrowser.value && info.value?.browser ? "browser" : "server"
);

/** Numbers that have a default, in the order of the form. */
export const common = computed(() =>
  info.value?.parameters.filter(({ default: value }) => typeof value === "number") ?? []
);

/** Parameters that may be left out; the seed and the picture's strength have fields of their own. */
export const others = computed(() =>
  info.value?.parameters.filter(({ name, type, default: value }) =>
    typeof value !== "number" && type !== "seed" && name !== "strength"
  ) ?? []
);

/** Defaults by the names of the parameters. */
const defaults = computed<Settings["values"]>(() =>
  Object.fromEntries(common.value.map(({ name, default: value }) => [name, value as number]))
);

let store: PictureStore | undefined;
let stopDrawing: AbortController | undefined;
let nextId = 1;

/** Loads what the server and the browser hold. */
export async function start(): Promise<void> {
  const opening = openStore().then(async (opened) => {
    store = opened;
    pictures.value = await opened.all();
  }).catch((reason) => {
    error.value = `Pictures will be lost when the page is closed: ${messageOf(reason)}`;
  });
  await loadInfo();
  await opening;
}

/** Takes a bearer token. */
export async function useToken(text: string): Promise<void> {
  token.value = text.trim();
  sessionStorage.setItem(TOKEN_KEY, token.value);
  await loadInfo();
}

async function loadInfo(): Promise<void> {
  try {
    error.value = "";
    info.value = await fetchInfo(token.value);
    needsToken.value = false;
    values.value = defaults.value;
  } catch (reason) {
    needsToken.value = reason instanceof AnswerError && reason.status === 401;
    if (!needsToken.value || token.value !== "") error.value = messageOf(reason);
  }
}

/** Chooses what draws from now on. */
export function choosePlace(chosen: Place): void {
  wantsBrowser.value = chosen === "browser";
  localStorage.setItem(PLACE_KEY, chosen);
}

/** Sets the value of a parameter, or leaves it to the model. */
export function setValue(name: string, value: number | string | undefined): void {
  const { [name]: _, ...rest } = values.value;
  values.value = value === undefined ? rest : { ...rest, [name]: value };
}

/** Puts what the form says into the queue. Without a prompt, a picture is varied. */
export async function submit(): Promise<void> {
  const text = prompt.value.trim();
  if (text === "" && startPicture.value === undefined) return;
  const all = withoutOwnSteps(trimmed(values.value));
  const { strength: _, ...rest } = all;
  const own = seed.value.trim();
  const given = {
    prompt: text,
    seed: isSeedRandom.value || own === "" ? undefined : own,
    values: startPicture.value ? all : rest,
  };
  const picture = await startPictureOf();
  const settings: Settings = picture ? { ...given, picture } : given;
  waiting.value = [...waiting.value, { id: nextId++, settings }];
  if (drawing.value === undefined) drawAll();
}

/** Values without steps where they follow from the sampler. */
function withoutOwnSteps(given: Settings["values"]): Settings["values"] {
  const { steps: _, ...rest } = given;
  return String(given["sampler"] ?? "").startsWith("fast") ? rest : given;
}

/** Values without the spaces around texts, which may still be written: cut at once, none could be between words. */
function trimmed(given: Settings["values"]): Settings["values"] {
  const cut = Object.entries(given).map(([name, value]) => {
    return [name, typeof value === "string" ? value.trim() : value] as const;
  });
  return Object.fromEntries(cut.filter(([, value]) => value !== ""));
}

/** Stops what is being drawn; the next in the queue begins. */
export function stop(): void {
  stopDrawing?.abort();
}

/** Takes something out of the queue. */
export function removeTask(id: number): void {
  waiting.value = waiting.value.filter((task) => task.id !== id);
}

/** Brings the settings of a picture back into the form. */
export async function reuse({ settings }: Picture): Promise<void> {
  fill(settings);
  await startFrom(settings.picture?.image, settings.picture?.mask);
  status.value = "The settings of the picture are in the form";
}

/** Takes a file of a picture: its settings, if it was drawn here or by the command line, else the picture. */
export async function takeFile(file: File): Promise<void> {
  error.value = "";
  try {
    const settings = await readPicture(file, info.value?.parameters ?? []);
    if (settings === undefined) {
      await useStartPicture(file);
      status.value = `${file.name} is the picture to start from`;
      return;
    }
    fill(settings);
    status.value = `The settings of ${file.name} are in the form`;
  } catch (reason) {
    error.value = messageOf(reason);
  }
}

/** Takes a picture to start from, and the part of it to repaint; undefined for none. */
export async function startFrom(file: Blob | undefined, mask?: Blob): Promise<void> {
  error.value = "";
  await useStartPicture(file, mask).catch((reason) => error.value = messageOf(reason));
}

function fill(settings: Settings): void {
  prompt.value = settings.prompt;
  values.value = { ...defaults.value, ...settings.values, images: 1 };
  if (settings.seed !== undefined) keepSeed(settings.seed);
}

/** Puts a seed into the form, to be drawn with from now on. */
export function keepSeed(text: string): void {
  seed.value = text;
  isSeedRandom.value = false;
}

/** Removes a picture from the gallery. */
export async function removePicture(id: number): Promise<void> {
  pictures.value = pictures.value.filter((picture) => picture.id !== id);
  await store?.remove(id);
}

/** Draws what waits, until nothing does or the server cannot be reached. */
export async function drawAll(): Promise<void> {
  error.value = "";
  for (let task = waiting.value[0]; task; task = waiting.value[0]) {
    waiting.value = waiting.value.slice(1);
    drawing.value = { ...task, text: "Preparing", step: 0, steps: 1, previews: [] };
    status.value = `Drawing ${titleOf(task.settings)}`;
    notes.value = [];
    stopDrawing = new AbortController();
    try {
      await drawPatiently(task, stopDrawing.signal);
    } catch (reason) {
      if (stopDrawing.signal.aborted) status.value = "Stopped";
      else if (!refuse(task, reason)) break;
    }
  }
  drawing.value = undefined;
}

/** Says what went wrong. If it was not the fault of the task, it waits again, and the answer is false. */
function refuse(task: Task, reason: unknown): boolean {
  error.value = messageOf(reason);
  const code = reason instanceof AnswerError ? reason.status : 500;
  status.value = code === 400 ? "Not drawn" : "Not drawn yet";
  if (code === 400) {
    // The next in the queue is drawn while this is read.
    error.value = `${titleOf(task.settings)}: ${error.value}`;
    return true;
  }
  waiting.value = [task, ...waiting.value];
  needsToken.value = code === 401;
  return false;
}

/** Draws, as soon as the server has a place for it. */
async function drawPatiently({ settings }: Task, signal: AbortSignal): Promise<void> {
  for (;;) {
    try {
      return await drawOne(settings, signal);
    } catch (reason) {
      const seconds = reason instanceof AnswerError ? reason.retryAfter : undefined;
      if (seconds === undefined) throw reason;
      report({ text: `The server is busy, the next try is in ${seconds} s` });
      await delay(seconds, signal);
    }
  }
}

async function drawOne(settings: Settings, signal: AbortSignal): Promise<void> {
  const previews = Math.max(1, Math.floor(Number(settings.values["steps"] ?? 100) / PREVIEWS));
  const options = { token: token.value, previews, signal };
  const events = place.value === "browser" && info.value
    ? drawInBrowser(settings, options, info.value)
    : draw(settings, options);
  let begin = performance.now();
  let isDrawn = false;
  for await (const event of events) {
    if (event.name === "started") begin = performance.now();
    if (event.name === "result") isDrawn = true;
    await take(event, settings, begin);
  }
  if (!isDrawn) throw new Error("The drawing broke off");
}

async function take(event: DrawEvent, settings: Settings, begin: number): Promise<void> {
  switch (event.name) {
    case "notes":
      notes.value = event.data.notes;
      break;
    case "queued": {
      const { ahead, seconds } = event.data;
      report({ text: `In the queue, ${ahead} before it, ${about(seconds)} to go` });
      break;
    }
    case "started":
      report({ text: "Drawing", step: 0, steps: event.data.steps });
      break;
    case "step": {
      const { step, steps, previews } = event.data;
      const left = (performance.now() - begin) / 1000 / step * (steps - step);
      report({
        text: `Step ${step} of ${steps}, ${about(left)} left`,
        step,
        steps,
        ...(previews && { previews }),
      });
      break;
    }
    case "result":
      await keep(event.data, settings);
      break;
    case "error":
      throw new Error(event.data.error);
  }
}

async function keep(
  { images, seeds }: { readonly images: readonly Blob[]; readonly seeds: readonly string[] },
  settings: Settings,
): Promise<void> {
  for (const [i, file] of images.entries()) {
    const own = { ...settings, seed: seeds[i]! };
    const id = Math.max(Date.now(), (pictures.value[0]?.id ?? 0) + 1);
    const picture: Picture = {
      id,
      settings: own,
      drawn: drawnPrompt(own, info.value!.parameters),
      png: await withSettings(file, own, info.value!),
    };
    pictures.value = [picture, ...pictures.value];
    await store?.add(picture).catch((reason) => {
      error.value = `The picture will be lost when the page is closed: ${messageOf(reason)}`;
    });
  }
  if (isSeedRandom.value) seed.value = seeds[0]!;
  status.value = `${titleOf(settings)} is drawn, ${
    seeds.length === 1 ? `seed ${seeds[0]}` : `seeds ${seeds.join(", ")}`
  }`;
}

/** What pictures show, for people. */
export function titleOf({ prompt }: Settings): string {
  return prompt || "a variation";
}

function report(news: Partial<Drawing>): void {
  if (drawing.value) drawing.value = { ...drawing.value, ...news };
}

/** A time for people. */
function about(seconds: number): string {
  if (seconds < 1) return "less than a second";
  return seconds < 100 ? `about ${Math.ceil(seconds)} s` : `about ${Math.ceil(seconds / 60)} min`;
}

function messageOf(reason: unknown): string {
  return reason instanceof Error ? reason.message : String(reason);
}

function delay(seconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, seconds * 1000);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(signal.reason);
    }, { once: true });
  });
}
