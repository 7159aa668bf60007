/** @jsxRuntime automatic */
/** @jsxImportSource npm:preact@11.2.0 */
// The page that `deno task serve` has at `/`.

import type { JSX } from "npm:preact@11.2.0";
import { render } from "npm:preact@11.2.0";
import { Form, TokenForm } from "./form.tsx";
import { Gallery, Progress } from "./pictures.tsx";
import { info, needsToken, start, stop } from "./state.ts";

function Page(): JSX.Element {
  const { value } = info;
  return (
    <main>
      <header>
        <h1>VQ-Diffusion</h1>
        <p class="quiet">
          {value
            ? `Model ${value.model}, drawn on the server by: ${value.device.name} (${value.device.reason})`
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

render(<Page />, document.querySelector("#page")!);
await start();
