// Runs in the page as a person would use it; what it has seen is posted to /result. It goes on after a reload.

/** Longest that something may take, in milliseconds. */
const PATIENCE = 60_000;

const { stage = "first", ...before } = JSON.parse(sessionStorage.getItem("visitor") ?? "{}");
const violations = [];
document.addEventListener(
  "securitypolicyviolation",
  ({ blockedURI }) => violations.push(blockedURI),
);

const all = (selector) => [...document.querySelectorAll(selector)];
const one = (selector) => document.querySelector(selector);
const text = (selector) => one(selector)?.textContent ?? "";
const entries = () => all(".gallery li");
const seeds = () => entries().map((entry) => /seed (\d+)/.exec(entry.textContent)[1]);
const values = () => Object.fromEntries(all("form [name]").map(({ name, value }) => [name, value]));

async function until(isSo) {
  const end = performance.now() + PATIENCE;
  while (!isSo()) {
    if (performance.now() > end) {
      throw new Error(`It never was so: ${isSo}, ${document.body.innerText}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

function write(name, value) {
  const field = one(`form [name=${name}]`);
  field.value = value;
  field.dispatchEvent(new Event("input", { bubbles: true }));
}

/** Writes a text letter by letter, as keys do; between two of them the page shows what it has made of the first. */
async function type(name, text) {
  for (const details of all("details")) details.open = true;
  const field = one(`form [name=${name}]`);
  field.focus();
  field.select();
  for (const letter of text) {
    document.execCommand("insertText", false, letter);
    await new Promise((resolve) => setTimeout(resolve, 0));
  }
}

function press(key, ctrlKey = false) {
  document.dispatchEvent(new KeyboardEvent("keydown", { key, ctrlKey, bubbles: true }));
}

function click(entry, label) {
  [...entry.querySelectorAll("button, a")].find(({ textContent }) => textContent === label).click();
}

/** The pixels of a picture; the policy lets no program fetch its URL. */
async function pixels(image) {
  await image.decode();
  const canvas = new OffscreenCanvas(image.naturalWidth, image.naturalHeight);
  const context = canvas.getContext("2d");
  context.drawImage(image, 0, 0);
  return context.getImageData(0, 0, canvas.width, canvas.height).data.join();
}

/** Controls without a name for those who do not see them. */
function unnamed() {
  return all("button, a, input, textarea, summary, progress, img").filter((control) => {
    const name = control.ariaLabel || control.alt || control.textContent ||
      control.labels?.[0]?.textContent;
    return !name?.trim();
  }).map(({ outerHTML }) => outerHTML);
}

/** Whether something waits in a queue that stands still. */
function waiting() {
  return all("section button").some(({ textContent }) => textContent === "Go on");
}

async function first() {
  await until(() => one("form [name=steps]"));
  const header = text("header p");
  write("steps", "5");
  write("images", "2");
  await type("negative", "a dog ");
  await type("guidance", "2.05");
  write("prompt", "a cat");
  press("Enter", true);
  await until(() => one("progress")?.value > 0);
  const progress = text("[data-progress]");
  const whileDrawing = unnamed();
  write("images", "1");
  write("sampler", "slow");
  write("prompt", "a bird");
  press("Enter", true);
  write("sampler", "");
  write("prompt", "a dog");
  press("Enter", true);
  write("prompt", "a cow");
  press("Enter", true);
  await until(() => all("ol li").length === 3);
  write("prompt", "");
  press("Enter", true);
  const isMissing = one("form [name=prompt]").validity.valueMissing;
  one("ol button[aria-label='Remove a cow']").click();
  await until(() => all("ol li").length === 2);
  press("Escape");
  await until(() => text("h2") === "a dog");
  // What could not be drawn is still told while the next is.
  const refused = text("[role=alert]");
  await fetch("/resume");
  await until(() => entries().length === 1);
  write("images", "2");
  write("prompt", "a cat");
  press("Enter", true);
  await until(() => entries().length === 3 && !one("progress"));
  const status = text("[role=status]");
  const picture = await pixels(one(".gallery li:nth-child(2) img"));
  const isWide = document.documentElement.scrollWidth > innerWidth;
  const seen = {
    header,
    progress,
    refused,
    isMissing,
    status,
    seeds: seeds(),
    picture,
    isWide,
    unnamed: [...whileDrawing, ...unnamed()],
  };
  sessionStorage.setItem("visitor", JSON.stringify({ stage: "second", seen, violations }));
  location.reload();
}

async function second() {
  await until(() => entries().length === 3 && one("form [name=steps]"));
  const { seen } = before;
  const kept = seeds();
  // The second is the first picture of two; alone it is drawn again by its own seed.
  click(entries()[1], "Reuse");
  await until(() => values().prompt === "a cat");
  const form = values();
  const isRandom = one("[name=random]").checked;
  one("form button[type=submit]").click();
  await until(() => entries().length === 4 && !one("progress"));
  const again = await pixels(one(".gallery img"));
  const { download, href } = one(".gallery a");
  click(entries()[0], "Delete");
  await until(() => entries().length === 3);
  click(entries()[1], "Delete");
  await until(() => entries().length === 2);
  scrollTo(0, document.body.scrollHeight);
  click(entries()[0], "Edit");
  // It is painted on above the gallery; positions are rounded.
  await until(() => one(".editor canvas") && one(".editor").getBoundingClientRect().top > -1);
  await fetch("/close");
  press("Enter", true);
  await until(() => one("[role=alert]"));
  const refusal = text("[role=alert]");
  const result = {
    ...seen,
    kept,
    form,
    isRandom,
    isSame: again === seen.picture,
    download,
    href,
    rest: seeds(),
    refusal,
    waiting: waiting(),
    violations: [...before.violations, ...violations],
  };
  await fetch("/result", { method: "POST", body: JSON.stringify(result) });
}

/** Is let in by a token, the first being wrong. */
async function withToken() {
  const use = async (token) => {
    await until(() => one("[name=token]"));
    write("token", token);
    one("form button").click();
  };
  await use("wrong");
  await until(() => one("[role=alert]"));
  const refusal = text("[role=alert]");
  await use("right");
  await until(() => one("form [name=steps]"));
  write("steps", "2");
  write("prompt", "a cat");
  press("Enter", true);
  await until(() => entries().length === 1);
  const result = { refusal, seeds: seeds(), violations };
  await fetch("/result", { method: "POST", body: JSON.stringify(result) });
}

/** The file of the newest picture, as the page keeps it. */
async function newestFile() {
  const resultOf = (request) =>
    new Promise((resolve, reject) => {
      request.onsuccess = () => resolve(request.result);
      request.onerror = () => reject(request.error);
    });
  const database = await resultOf(indexedDB.open("vq-diffusion"));
  const pictures = await resultOf(
    database.transaction("pictures").objectStore("pictures").getAll(),
  );
  return new File([pictures.at(-1).png], "drawn.png", { type: "image/png" });
}

function drop(target, file) {
  const dataTransfer = new DataTransfer();
  dataTransfer.items.add(file);
  target.dispatchEvent(new DragEvent("drop", { dataTransfer, bubbles: true, cancelable: true }));
}

/** The values of a field that the page does not send, with what it says. */
async function refused(name, texts) {
  const seen = [];
  for (const text of texts) {
    write(name, text);
    await new Promise((resolve) => requestAnimationFrame(resolve));
    const { validationMessage } = one(`form [name=${name}]`);
    if (validationMessage !== "") seen.push(`${text}: ${validationMessage}`);
  }
  return seen;
}

/** Ends the worker that draws in place of its next drawing; nobody is told. */
function endNextDrawing() {
  const { postMessage } = Worker.prototype;
  Worker.prototype.postMessage = function () {
    Worker.prototype.postMessage = postMessage;
    this.terminate();
  };
}

/** Stops a drawing while its model is loaded, which does not come before; what it says then. */
async function stopLoading() {
  one("[name=place][value=browser]").click();
  await until(() => one("[name=place][value=browser]").checked);
  press("Enter", true);
  await fetch("/loading");
  press("Escape");
  await until(() => !one("progress"));
  await fetch("/resume");
  return text("[role=status]");
}

/** Draws by itself and on the server, from nothing and into a half of a picture. */
async function inBrowser() {
  await until(() => one("form [name=steps]"));
  const drawOn = async (place) => {
    one(`[name=place][value=${place}]`).click();
    await until(() => one(`[name=place][value=${place}]`).checked);
    const count = entries().length;
    press("Enter", true);
    await until(() => entries().length > count && !one("progress"));
    return await pixels(one(".gallery img"));
  };
  one("[name=random]").click();
  await until(() => !one("[name=seed]").disabled);
  const refusedSeeds = await refused("seed", [
    `${2n ** 64n - 1n}`,
    `${2n ** 64n}`,
    "1.5",
    "-1",
    "",
  ]);
  write("seed", "7");
  write("steps", "3");
  write("prompt", "a cat");
  const status = await stopLoading();
  const own = await drawOn("browser");
  const header = text("header p");
  const fromServer = await drawOn("server");
  // The picture has its settings in it; on its own field it is the one to start from.
  write("prompt", "a dog");
  write("steps", "4");
  drop(document.body, await newestFile());
  await until(() => values().prompt === "a cat");
  const { steps, seed } = values();
  drop(one("[data-start]"), await newestFile());
  await until(() => one(".editor canvas"));
  [...all("[data-start] button")].find(({ textContent }) => textContent === "Left half").click();
  await until(() => one("[data-start] p").textContent.startsWith("What is painted"));
  write("prompt", "a cow");
  write("seed", "8");
  const half = await drawOn("browser");
  const sameHalf = half === await drawOn("server");
  const [before, after] = [own, half].map((text) => text.split(","));
  const side = Math.sqrt(before.length / 4);
  const differs = (x) =>
    before.some((value, i) => Math.floor(i / 4) % side === x && value !== after[i]);
  const controls = unnamed();
  // What cannot be drawn does not wait.
  one("[name=place][value=browser]").click();
  await until(() => one("[name=place][value=browser]").checked);
  write("guidance_interval", "wrong");
  press("Enter", true);
  await until(() => one("[role=alert]") && !one("progress"));
  const [refusal, isWaiting] = [text("[role=alert]"), waiting()];
  write("guidance_interval", "");
  endNextDrawing();
  press("Enter", true);
  await until(() => waiting());
  const ending = text("[role=alert]");
  const count = entries().length;
  [...all("section button")].find(({ textContent }) => textContent === "Go on").click();
  await until(() => entries().length > count && !one("progress"));
  const isDrawnAgain = half === await pixels(one(".gallery img"));
  const result = {
    refusal,
    refusedSeeds,
    status,
    waiting: isWaiting,
    ending,
    isDrawnAgain,
    header,
    same: [own === fromServer, sameHalf],
    form: { steps, seed },
    changed: [differs(0), differs(side - 1)],
    unnamed: controls,
    violations,
  };
  await fetch("/result", { method: "POST", body: JSON.stringify(result) });
}

try {
  if (location.hash === "#token") await withToken();
  else if (location.hash === "#browser") await inBrowser();
  else await (stage === "first" ? first() : second());
} catch (error) {
  await fetch("/result", {
    method: "POST",
    body: JSON.stringify({ error: `${error}\n${error.stack}` }),
  });
}
