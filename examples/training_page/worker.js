// The Web Worker of the page: trains the embedded model, and draws with what it has become.

// With npm and a bundler these are "@vq-diffusion/vq-diffusion", and "/checkpoints" and "/training" of it.
// @ts-ignore: `deno task bundle` makes it
import { RasterImage, VQDiffusionPipeline } from "./lib/mod.js";
// @ts-ignore: `deno task bundle` makes it
import { memoryFolder } from "./lib/checkpoints.js";
// @ts-ignore: `deno task bundle` makes it
import { encodePictures, TrainableModel, Trainer } from "./lib/training.js";
import { memoryWriter, tarArchive } from "./memory_writer.js";

/** Samples between the first and the last. */
const SAMPLES_BETWEEN = 3;

/** All samples are drawn with it, so that they differ by what was learned alone. */
const SEED = 1;

/** The files of the trained model. */
let trained;

let stopping = false;

/** The files of the model as it would be saved: with the averages of its parameters, and new names. */
async function filesOf(trainer, learned) {
  const files = {};
  await trainer.exchangeAverages();
  try {
    await trainer.model.savePretrained(memoryWriter(files), { learned });
  } finally {
    await trainer.exchangeAverages();
  }
  return files;
}

async function drawWith(files, prompt, options) {
  const pipe = await VQDiffusionPipeline.fromPretrained(memoryFolder(files), options);
  try {
    const { images: [{ width, height, data }] } = await pipe.generate(prompt, { seed: SEED });
    return { width, height, data };
  } finally {
    await pipe.dispose();
  }
}

async function readExamples(model, pictures) {
  const toRead = pictures.map(({ file, caption }) => ({
    name: file.name,
    caption,
    read: async () => await RasterImage.decode(new Uint8Array(await file.arrayBuffer())),
  }));
  return await encodePictures(model.components, toRead, {
    onProgress: (done, total) => postMessage({ text: `Read ${done} of ${total} pictures` }),
  });
}

/** Does the steps, and gives the files of the model that has come of them. */
async function takeSteps(trainer, captions, prompt) {
  const { steps } = trainer.settings;
  const { backend } = trainer.model;
  const sample = async (name) => {
    const files = await filesOf(trainer, captions);
    postMessage({ sample: { name, image: await drawWith(files, prompt, { backend }) } });
    return files;
  };

  await sample("before");
  const every = Math.ceil(steps / (SAMPLES_BETWEEN + 1));
  let milliseconds = 0;
  let step = 0;
  while (step < steps && !stopping) {
    const begin = performance.now();
    const { loss } = await trainer.step();
    milliseconds += performance.now() - begin;
    step += 1;
    const seconds = Math.round(milliseconds / step * (steps - step) / 1000);
    postMessage({ text: `Step ${step} of ${steps}, loss ${loss.toFixed(3)}, ${seconds} s left` });
    if (step % every === 0 && step < steps) await sample(`after step ${step}`);
  }
  return await sample(`in the end, after step ${step}`);
}

async function train({ model: source, pictures, prompt, steps, batch }) {
  stopping = false;
  postMessage({ text: "Loading the model" });
  let isLoaded = false;
  const model = await TrainableModel.fromPretrained(new URL(source), {
    onProgress(event) {
      // What is not trained is read once more with each sample.
      if (isLoaded || event.type !== "total") return;
      const percent = Math.round(100 * event.loaded / event.total);
      postMessage({ text: `Loading the model: ${percent} %` });
    },
  });
  isLoaded = true;
  try {
    const examples = await readExamples(model, pictures);
    // Averages of the last fifth of a short training.
    const emaDecay = Math.min(0.99, Math.max(0, 1 - 5 / steps));
    const trainer = await Trainer.create(model, examples, { steps, batch, emaDecay });
    try {
      trained = await takeSteps(trainer, pictures.map(({ caption }) => caption), prompt);
      const text = `Trained ${trainer.history.length} steps on ${model.backend.device.name}`;
      postMessage({ text, archive: tarArchive(trained) });
    } finally {
      trainer.dispose();
    }
  } finally {
    await model.dispose();
  }
}

async function draw({ prompt }) {
  postMessage({ text: `Drawing ${prompt}` });
  const image = await drawWith(trained, prompt);
  postMessage({ text: `Drawn: ${prompt}`, drawn: { name: prompt, image } });
}

const TASKS = { train, draw };

let last = Promise.resolve();
addEventListener("message", ({ data }) => {
  if (data.task === "stop") {
    stopping = true;
    return;
  }
  last = last.then(() => TASKS[data.task](data))
    .catch((error) => postMessage({ text: String(error) }))
    .then(() => postMessage({ done: true }));
});
