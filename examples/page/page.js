// The page: a form, and the picture while it appears. A Web Worker draws, so that the page stays free.

const form = document.querySelector("form");
const button = form.querySelector("button");
const canvas = document.querySelector("canvas");
const output = document.querySelector("output");
const worker = new Worker(new URL("./worker.js", import.meta.url), { type: "module" });

form.addEventListener("submit", (event) => {
  event.preventDefault();
  const data = new FormData(form);
  button.disabled = true;
  worker.postMessage({
    prompt: data.get("prompt"),
    steps: Number(data.get("steps")) || undefined,
    model: new URL("weights/", location.href).href,
  });
});

worker.addEventListener("message", ({ data: { text, image, done } }) => {
  output.textContent = text;
  if (done) button.disabled = false;
  if (image === undefined) return;
  const { width, height, data } = image;
  [canvas.width, canvas.height] = [width, height];
  canvas.getContext("2d").putImageData(new ImageData(data, width, height), 0, 0);
});

worker.addEventListener("error", (event) => {
  output.textContent = `The worker cannot run: ${event.message}`;
  button.disabled = false;
});
