/** @jsxRuntime automatic */
/** @jsxImportSource npm:preact@11.2.0 */
// The form: what to draw, and how.

import { useSignal } from "npm:@preact/signals@2.11.4";
import type { JSX } from "npm:preact@11.2.0";
import { parseSeed, SEEDS } from "../src/random/seed.ts";
import type { Info } from "./api.ts";
import { browserDevice, loading } from "./browser.ts";
import { StartPictureField } from "./editor.tsx";
import { Field } from "./fields.tsx";
import { startPicture } from "./start_picture.ts";
import {
  choosePlace,
  common,
  drawing,
  info,
  isSeedRandom,
  others,
  place,
  prompt,
  seed,
  submit,
  useToken,
} from "./state.ts";

/** Prompts that are proposed at a time. */
const PROPOSALS = 4;

/** The form of the settings. */
export function Form(): JSX.Element {
  return (
    <form
      class="panel"
      aria-label="What to draw"
      onSubmit={(event) => {
        event.preventDefault();
        submit();
        // On a phone it is below the form.
        document.querySelector("#drawing")?.scrollIntoView({ block: "nearest" });
      }}
    >
      <label>
        Prompt
        <textarea
          name="prompt"
          rows={3}
          required={startPicture.value === undefined}
          maxLength={info.value?.maxPromptLength ?? 500}
          placeholder="a red apple on a blue background"
          value={prompt}
          onInput={({ currentTarget }) => prompt.value = currentTarget.value}
        />
      </label>
      {info.value && info.value.names.length > 0 && <Proposals {...info.value} />}
      <button type="submit" class="main" disabled={info.value === undefined}>
        {drawing.value ? "Add to the queue" : "Draw"}
      </button>
      <p class="quiet">Ctrl+Enter draws, Escape stops.</p>
      <SeedField />
      <div class="fields">
        {common.value.map((parameter) => <Field key={parameter.name} {...parameter} />)}
      </div>
      <StartPictureField />
      <details>
        <summary>More settings</summary>
        <div class="fields">
          {others.value.map((parameter) => <Field key={parameter.name} {...parameter} />)}
        </div>
      </details>
      {info.value?.browser && <PlaceField />}
    </form>
  );
}

/** Prompts of things that the model knows. */
function Proposals({ names, styles, grounds }: Info): JSX.Element {
  const pick = (list: readonly string[]) => list[Math.floor(Math.random() * list.length)]!;
  // A name alone, one on a ground, one in a style, and one with both.
  const propose = () =>
    Array.from({ length: PROPOSALS }, (_, i) => {
      const style = i >= 2 && styles.length > 0 ? `, ${pick(styles)} style` : "";
      if (i % 2 === 0 || grounds.length === 0) return pick(names) + style;
      const ground = pick(grounds);
      const article = /^[aeiou]/.test(ground) ? "an" : "a";
      return `${pick(names)}${style} on ${article} ${ground} background`;
    });
  const proposals = useSignal(propose());
  return (
    <div class="row chips" role="group" aria-label="Proposals">
      {proposals.value.map((text) => (
        <button
          key={text}
          type="button"
          onClick={() => prompt.value = text}
        >
          {text}
        </button>
      ))}
      <button type="button" onClick={() => proposals.value = propose()}>Others…</button>
    </div>
  );
}

function SeedField(): JSX.Element {
  const text = seed.value.trim();
  const isValid = text === "" || parseSeed(text) !== undefined;
  return (
    <div class="fields">
      <label>
        Seed
        <input
          name="seed"
          inputMode="numeric"
          ref={(input) => input?.setCustomValidity(isValid ? "" : `The seed has to be ${SEEDS}`)}
          disabled={isSeedRandom}
          value={seed}
          onInput={({ currentTarget }) => seed.value = currentTarget.value}
        />
        <small>The same seed draws the same picture</small>
      </label>
      <label class="inline">
        <input
          name="random"
          type="checkbox"
          checked={isSeedRandom}
          onChange={({ currentTarget }) => isSeedRandom.value = currentTarget.checked}
        />
        Random seed
      </label>
    </div>
  );
}

/** Where pictures are drawn. */
function PlaceField(): JSX.Element {
  const { device } = info.value!;
  const own = browserDevice.value;
  const ownText = loading.value ||
    (own ? `${own.name} (${own.reason})` : "It loads the model when it first draws");
  const places = [
    ["server", "On the server", `${device.name} (${device.reason})`],
    ["browser", "In this browser", ownText],
  ] as const;
  return (
    <fieldset>
      <legend>Draw</legend>
      {places.map(([value, label, text]) => (
        <label key={value} class="inline">
          <input
            name="place"
            type="radio"
            value={value}
            checked={place.value === value}
            onChange={() => choosePlace(value)}
          />
          <span>
            {label}
            <br />
            <small>{text}</small>
          </span>
        </label>
      ))}
    </fieldset>
  );
}

/** Asks for the bearer token that the server wants. */
export function TokenForm(): JSX.Element {
  return (
    <form
      class="panel"
      aria-label="Access"
      onSubmit={(event) => {
        event.preventDefault();
        useToken(String(new FormData(event.currentTarget).get("token") ?? ""));
      }}
    >
      <label>
        Token
        <input name="token" type="password" autocomplete="current-password" required />
        <small>This server draws for those who have one</small>
      </label>
      <button type="submit" class="main">Use it</button>
    </form>
  );
}
