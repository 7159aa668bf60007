/** @jsxRuntime automatic */
/** @jsxImportSource npm:preact@11.2.0 */
// The page that `deno task serve` has at `/`.

import type { JSX } from "npm:preact@11.2.0";
import { render } from "npm:preact@11.2.0";
import type { Info } from "./api.ts";
import { browserDevice } from "./browser.ts";
import { Form, TokenForm } from "./form.tsx";
import { Gallery, Progress } from "./pictures.tsx";
import { info, needsToken, place, start, stop, takeFile } from "./state.ts";

/** Where pictures are drawn, by what, and why. */
function placeText({ device }: Info): string {
  const own = place.value === "browser";
  const shown = own ? browserDevice.value : device;
  const where = own ? "in this browser" : "on the server";
  return shown ? `${where} by: ${shown.name} (${shown.reason})` : where;
}

function Page(): JSX.Element {
  const { value } = info;
  return (
    <main>
      <header>
        <h1>VQ-Diffusion</h1>
        <p class="quiet">
          {value
            ? `Model ${value.model}, drawn ${placeText(value)}`
            : "Asking the server what it draws with"}
        </p>
      </header>
      {needsToken.value ? <TokenForm /> : <Form />}
      <Progress />
      <Gallery />
    </main>
  );
}

document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") stop();
  if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
  event.preventDefault();
  document.querySelector("form")?.requestSubmit();
});

// A picture that is dropped anywhere but on the field for it brings its settings along.
document.addEventListener("dragover", (event) => event.preventDefault());
document.addEventListener("drop", (event) => {
  event.preventDefault();
  const file = event.dataTransfer?.files[0];
  if (file) takeFile(file);
});

render(<Page />, document.querySelector("#page")!);
await start();
