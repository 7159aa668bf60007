/** @jsxRuntime automatic */
/** @jsxImportSource npm:preact@11.2.0 */
// The form: what to draw, and how.

import { useSignal } from "npm:@preact/signals@2.11.4";
import type { JSX } from "npm:preact@11.2.0";
import type { Info, Parameter } from "./api.ts";
import {
  drawing,
  info,
  isSeedRandom,
  numbers,
  prompt,
  seed,
  submit,
  useToken,
  values,
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
          maxLength={info.value?.maxPromptLength ?? 500}
          placeholder="a red apple on a blue background"
          value={prompt}
          onInput={({ currentTarget }) => prompt.value = currentTarget.value}
        />
      </label>
      {info.value && info.value.names.length > 0 && <Proposals {...info.value} />}
      <SeedField />
      <div class="fields">
        {numbers.value.map((parameter) => <NumberField key={parameter.name} {...parameter} />)}
      </div>
      <button type="submit" class="main" disabled={info.value === undefined}>
        {drawing.value ? "Add to the queue" : "Draw"}
      </button>
      <p class="quiet">Ctrl+Enter draws, Escape stops.</p>
    </form>
  );
}

/** Prompts of things that the model knows. */
function Proposals({ names, grounds }: Info): JSX.Element {
  const pick = (list: readonly string[]) => list[Math.floor(Math.random() * list.length)]!;
  const propose = () =>
    Array.from({ length: PROPOSALS }, (_, i) => {
      const name = pick(names);
      if (i % 2 === 0 || grounds.length === 0) return name;
      const ground = pick(grounds);
      return `${name} on ${/^[aeiou]/.test(ground) ? "an" : "a"} ${ground} background`;
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
  return (
    <div class="fields">
      <label>
        Seed
        <input
          name="seed"
          inputMode="numeric"
          pattern="\d{1,20}"
          title="A whole number from 0 to 2^64 - 1"
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

function NumberField({ name, type, help, min, max }: Parameter): JSX.Element {
  return (
    <label>
      {name[0]!.toUpperCase() + name.slice(1)}
      <input
        name={name}
        type="number"
        required
        min={min ?? ""}
        max={max ?? ""}
        step={type === "integer" ? 1 : "any"}
        value={values.value[name] ?? ""}
        onInput={({ currentTarget }) => {
          const { valueAsNumber } = currentTarget;
          if (Number.isNaN(valueAsNumber)) return;
          values.value = { ...values.value, [name]: valueAsNumber };
        }}
      />
      <small>{help}</small>
    </label>
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
