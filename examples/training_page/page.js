// The page: pictures with captions, and samples while the model learns them. A Web Worker trains and draws.

/** Side of the pictures that are shown. */
const SIDE = 128;

const training = document.querySelector("#training");
const drawing = document.querySelector("#drawing");
const start = training.querySelector("button");
const stop = document.querySelector("#stop");
const status = document.querySelector("#status");
const link = document.querySelector("a[download]");
const worker = new Worker(new URL("./worker.js", import.meta.url), { type: "module" });

/** What is trained on: files, by the fields of their captions. */
const pictures = new Map();

let hasModel = false;

/** Says whether the worker is busy, and whether that is training, which can be stopped. */
function setBusy(busy, isTraining = false) {
  start.disabled = busy;
  stop.disabled = !isTraining;
  drawing.querySelector("fieldset").disabled = busy || !hasModel;
}

/** Adds a picture, which `draw` draws, to a list; a canvas needs no content security policy to allow it. */
function show(list, { width, height }, draw, ...texts) {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [width, height];
  draw(canvas.getContext("2d"));
  const item = document.createElement("li");
  item.append(canvas, ...texts);
  document.querySelector(list).append(item);
  return item;
}

/** Shows what the model has drawn. */
function showDrawn(list, { name, image }) {
  const { width, height, data } = image;
  const pixels = new ImageData(data, width, height);
  show(list, image, (context) => context.putImageData(pixels, 0, 0), name);
}

/** The caption in the name of a file: "red-apple_2.png" is "red apple", as in folders of pictures. */
function captionOf({ name }) {
  const words = name.replace(/\.\w+$/, "").replaceAll(/[-_\s]+/g, " ").trim();
  return words.replace(/\s*\(?\d+\)?$/, "") || words;
}

async function addFile(file) {
  if (!/^image\/(png|jpeg)$/.test(file.type)) {
    throw new TypeError(`it is ${file.type || "of an unknown type"}, expected PNG or JPEG`);
  }
  const bitmap = await createImageBitmap(file);
  const caption = document.createElement("input");
  caption.value = captionOf(file);
  caption.required = true;
  caption.pattern = ".*\\S.*";
  caption.ariaLabel = `Caption of ${file.name}`;
  const remove = document.createElement("button");
  remove.type = "button";
  remove.textContent = "Remove";
  // The square that is trained on.
  const square = Math.min(bitmap.width, bitmap.height);
  const [left, top] = [(bitmap.width - square) / 2, (bitmap.height - square) / 2];
  const item = show(
    "#pictures",
    { width: SIDE, height: SIDE },
    (context) => {
      context.drawImage(bitmap, left, top, square, square, 0, 0, SIDE, SIDE);
    },
    caption,
    remove,
  );
  bitmap.close();
  pictures.set(caption, file);
  remove.addEventListener("click", () => {
    pictures.delete(caption);
    item.remove();
  });
}

/** Takes pictures that were chosen or dropped. */
async function addFiles(files) {
  for (const file of files) {
    try {
      await addFile(file);
    } catch (error) {
      status.textContent = `Cannot read ${file.name}: ${error.message}`;
    }
  }
}

training.elements.files.addEventListener("change", async ({ target }) => {
  await addFiles([...target.files]);
  target.value = "";
});

addEventListener("dragover", (event) => event.preventDefault());
addEventListener("drop", async (event) => {
  event.preventDefault();
  await addFiles([...event.dataTransfer.files]);
});

training.addEventListener("submit", (event) => {
  event.preventDefault();
  if (pictures.size === 0) {
    status.textContent = "Choose pictures first";
    return;
  }
  const { steps, batch, prompt } = training.elements;
  const captioned = Array.from(pictures, ([{ value }, file]) => ({ file, caption: value }));
  document.querySelector("#samples").replaceChildren();
  setBusy(true, true);
  worker.postMessage({
    task: "train",
    model: new URL("weights/", location.href).href,
    pictures: captioned,
    steps: steps.valueAsNumber,
    batch: batch.valueAsNumber,
    prompt: prompt.value || captioned[0].caption,
  });
});

stop.addEventListener("click", () => {
  stop.disabled = true;
  worker.postMessage({ task: "stop" });
});

drawing.addEventListener("submit", (event) => {
  event.preventDefault();
  setBusy(true);
  worker.postMessage({ task: "draw", prompt: drawing.elements.prompt.value });
});

/** Offers the trained model as a file, in place of the one before. */
function offer(archive) {
  URL.revokeObjectURL(link.href);
  link.href = URL.createObjectURL(archive);
  link.hidden = false;
  hasModel = true;
}

worker.addEventListener("message", ({ data: { text, sample, drawn, archive, done } }) => {
  if (sample) showDrawn("#samples", sample);
  if (drawn) showDrawn("#drawn", drawn);
  if (archive) offer(archive);
  if (text !== undefined) status.textContent = text;
  if (done) setBusy(false);
});

worker.addEventListener("error", (event) => {
  status.textContent = `The worker cannot run: ${event.message}`;
  setBusy(false);
});
