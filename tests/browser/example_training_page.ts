// Trains on the page of examples/training_page/ as a person would.

import type { Browser } from "./browsers.ts";
import { usePage } from "./example_page.ts";

/** What the page shows in the end. */
export interface TrainedPage {
  /** Captions of the pictures, as it made them of the names of files. */
  readonly captions: readonly string[];
  /** All that it said, in order. */
  readonly texts: readonly string[];
  /** The samples: RGBA bytes. */
  readonly samples: readonly number[][];
  /** What the trained model draws of the prompt: RGBA bytes. */
  readonly drawn: readonly number[];
  /** What it offers for downloading. */
  readonly archive: Uint8Array;
}

/** What is drawn. */
export const PROMPT = "red square";

/** Trains two steps on two pictures, draws with the result, and posts what came of it. */
const VISITOR = `
const find = (selector) => [...document.querySelectorAll(selector)];
const [status] = find("#status");
const texts = [];

const until = (isThere) => new Promise((resolve) => {
  const look = () => isThere() && (observer.disconnect(), resolve());
  const observer = new MutationObserver(look);
  observer.observe(document.body, { subtree: true, childList: true, attributes: true });
  look();
});
const pixels = (canvas) =>
  [...canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data];

async function picture(name, colour) {
  const canvas = new OffscreenCanvas(20, 20);
  const context = canvas.getContext("2d");
  context.fillStyle = colour;
  context.fillRect(5, 5, 10, 10);
  return new File([await canvas.convertToBlob()], name, { type: "image/png" });
}

let archive;
const { createObjectURL } = URL;
URL.createObjectURL = (blob) => createObjectURL.call(URL, archive = blob);
new MutationObserver(() => texts.push(status.textContent)).observe(status, { childList: true });

const files = new DataTransfer();
files.items.add(await picture("red-square_1.png", "red"));
files.items.add(await picture("blue square (2).png", "blue"));
files.items.add(new File(["text"], "notes.txt", { type: "text/plain" }));
dispatchEvent(new DragEvent("drop", { dataTransfer: files }));
await until(() => find("#pictures li").length === 2 && /notes/.test(status.textContent));

const [training, drawing] = find("form");
training.elements.steps.value = 2;
training.elements.batch.value = 2;
training.elements.prompt.value = ${JSON.stringify(PROMPT)};
const [start] = find("#training > button");
training.requestSubmit();
await until(() => !start.disabled);

if (archive) {
  drawing.elements.prompt.value = ${JSON.stringify(PROMPT)};
  drawing.requestSubmit();
  await until(() => !start.disabled);
}
const shown = {
  captions: find("#pictures input").map(({ value }) => value),
  texts,
  samples: find("#samples canvas").map(pixels),
  drawn: find("#drawn canvas").flatMap(pixels),
};
const form = new FormData();
form.set("shown", JSON.stringify(shown));
form.set("archive", archive ?? new Blob());
await fetch("/result", { method: "POST", body: form });
`;

/** @param answer Serves the page. */
export async function trainOnPage(
  browser: Browser,
  answer: (request: Request) => Promise<Response>,
): Promise<TrainedPage> {
  const form = await (await usePage(browser, answer, VISITOR)).formData();
  const archive = form.get("archive") as File;
  return { ...JSON.parse(form.get("shown") as string), archive: await archive.bytes() };
}
