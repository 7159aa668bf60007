/** @jsxRuntime automatic */
/** @jsxImportSource npm:preact@11.2.0 */
// A field of the form for each kind of parameter.

import type { JSX } from "npm:preact@11.2.0";
import type { Parameter } from "./api.ts";
import { setValue, values } from "./state.ts";

/** Samplers that are proposed; others can be written. */
const SAMPLERS = ["strided", "cosine", "leading", "fast:4", "purity"];

/** What stands in empty fields, by type. */
const PLACEHOLDERS: Readonly<Record<string, string>> = {
  sampler: "the model's",
  interval: "0-1",
  texts: "the model's; none",
};

/** A parameter as people read it. */
function labelOf(name: string): string {
  return name[0]!.toUpperCase() + name.slice(1).replaceAll("_", " ");
}

/** Shows a number, unless the field has it already: `2.` is 2, and may become 2.5. */
function showNumber(input: HTMLInputElement | null, value: number | string | undefined): void {
  if (input === null) return;
  const shown = Number.isNaN(input.valueAsNumber) ? undefined : input.valueAsNumber;
  if (shown !== value) input.value = `${value ?? ""}`;
}

/** A number; without a default it may be empty. */
export function NumberField(
  { name, type, help, min, max, default: value, placeholder }: Parameter & {
    readonly placeholder?: string;
  },
): JSX.Element {
  const shown = values.value[name];
  return (
    <label>
      {labelOf(name)}
      <input
        name={name}
        type="number"
        required={value !== undefined}
        min={min ?? ""}
        max={max ?? ""}
        step={type === "integer" ? 1 : "any"}
        placeholder={placeholder ?? ""}
        ref={(input) => showNumber(input, shown)}
        onInput={({ currentTarget: { valueAsNumber, validity } }) => {
          if (!Number.isNaN(valueAsNumber)) setValue(name, valueAsNumber);
          else if (value === undefined && !validity.badInput) setValue(name, undefined);
        }}
      />
      <small>{help}</small>
    </label>
  );
}

/** A text, which may be empty. */
function TextField({ name, type, help }: Parameter): JSX.Element {
  const isSampler = type === "sampler";
  return (
    <label>
      {labelOf(name)}
      <input
        name={name}
        type="text"
        {...(isSampler && { list: "samplers" })}
        placeholder={PLACEHOLDERS[type] ?? ""}
        value={values.value[name] ?? ""}
        onInput={({ currentTarget: { value } }) => setValue(name, value || undefined)}
      />
      {isSampler && (
        <datalist id="samplers">
          {SAMPLERS.map((sampler) => <option key={sampler} value={sampler} />)}
        </datalist>
      )}
      <small>{help}</small>
    </label>
  );
}

/** The field of a parameter. */
export function Field(parameter: Parameter): JSX.Element {
  const isNumber = parameter.type === "integer" || parameter.type === "number";
  return isNumber ? <NumberField {...parameter} /> : <TextField {...parameter} />;
}
