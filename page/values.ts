// What stands in the fields of parameters, as the library takes it.

import { formatStyles, parseStyles, styledPrompt } from "../src/conditioning/styles.ts";
import { stylesOf } from "../src/pipeline/generation_parameters.ts";
import { parseInterval } from "../src/pipeline/guidance_interval.ts";
import type { Parameter, Settings } from "./api.ts";

/** The value of a parameter by its name in the library. One that cannot be read is left for it to refuse. */
export function libraryValue(option: string, value: number | string): unknown {
  if (option === "guidanceInterval") return parseInterval(String(value)) ?? value;
  if (option === "styles") return parseStyles(String(value)) ?? value;
  return value;
}

/** The styles that seeds choose from. */
export function chosenStyles(
  { values, picture }: Settings,
  parameters: readonly Parameter[],
): readonly string[] {
  const given = values["styles"] === undefined ? undefined : parseStyles(String(values["styles"]));
  const styles = parameters.find(({ option }) => option === "styles")?.default;
  const defaults = typeof styles === "object" ? { styles } : undefined;
  return stylesOf(given, picture !== undefined, { defaults });
}

/** The prompt as a picture of it was drawn, with the style that its seed has chosen. */
export function drawnPrompt(settings: Settings, parameters: readonly Parameter[]): string {
  const { prompt, seed } = settings;
  return styledPrompt(prompt, BigInt(seed!), chosenStyles(settings, parameters));
}

/** What stands in the field of a parameter, of its value in the library. */
export function fieldValue(option: string, value: unknown): number | string {
  if (option === "guidanceInterval") return (value as readonly number[]).join("-");
  if (option === "styles") return formatStyles(value as readonly string[]);
  return value as number | string;
}
