/**
 * How a model wants to be drawn with: `generation_config.json` in its folder, as transformers has it.
 *
 * @module
 */

import { checkOptions } from "../base/check.ts";
import {
  type Config,
  integerField,
  numberField,
  parseConfig,
  stringListField,
} from "../checkpoints/config.ts";
import { readOptionalText } from "../files/optional_file.ts";
import { joinPath } from "../files/paths.ts";
import type { ModelFolder } from "../files/source.ts";
import {
  checkParameter,
  GENERATION_PARAMETERS,
  type GenerationParameters,
  type ParameterLimits,
  type ParameterName,
  rangeOf,
} from "./generation_parameters.ts";

/** Name of the file in the folder of a pipeline. */
export const GENERATION_CONFIG_FILE = "generation_config.json";

/**
 * Defaults that a model brings for the parameters of its generations. What a caller gives comes first,
 * then these, then the defaults of diffusers.
 */
export interface GenerationConfig extends
  Pick<
    GenerationParameters,
    "numInferenceSteps" | "guidanceScale" | "truncationRate" | "styles"
  > {
  /** All fields of the file as they stand there, also those that are not known, to be saved again. */
  readonly json?: Readonly<Record<string, unknown>> | undefined;
}

/** The parameters that are a model's to say. */
const NAMES = ["numInferenceSteps", "guidanceScale", "truncationRate", "styles"] as const;

/**
 * Reads the file of a folder.
 *
 * @returns Its fields, not yet checked, or undefined if there is none.
 * @throws {SyntaxError} If it is not a JSON object.
 */
export async function readGenerationConfig(folder: ModelFolder): Promise<Config | undefined> {
  const text = await readOptionalText(folder, GENERATION_CONFIG_FILE);
  if (text === undefined) return undefined;
  return await parseConfig(text, joinPath(folder.description, GENERATION_CONFIG_FILE));
}

/**
 * Checks the fields of the file. One that is null counts as missing.
 *
 * @param numTrainTimesteps Timesteps of the model's training.
 * @throws {TypeError} If a field is of the wrong type.
 * @throws {RangeError} If one is out of range.
 */
export function parseGenerationConfig(config: Config, numTrainTimesteps: number): GenerationConfig {
  const values = NAMES.filter((name) => (config.values[fieldOf(name)] ?? null) !== null)
    .map((name) => [name, readField(config, name, { numTrainTimesteps })]);
  return { ...Object.fromEntries(values), json: config.values };
}

/**
 * Checks what a caller gives.
 *
 * @throws {TypeError} If it is no object, or a parameter is unknown or of the wrong type.
 * @throws {RangeError} If one is out of range.
 */
export function checkGenerationConfig(task: string, config: GenerationConfig | undefined): void {
  if (config === undefined) return;
  checkOptions(task, config, [...NAMES, "json"]);
  for (const name of NAMES) {
    checkParameter({ task, name: `generationConfig.${name}` }, name, config[name], {});
  }
}

/** The text of the file. */
export function generationConfigText({ json, ...values }: GenerationConfig): string {
  const fields = Object.entries(values).filter(([, value]) => value !== undefined)
    .map(([name, value]) => [fieldOf(name), value]);
  return `${JSON.stringify({ ...json, ...Object.fromEntries(fields) }, null, 2)}\n`;
}

/** The config without styles, also in the file that is made of it. */
export function withoutStyles(
  { styles: _, json, ...others }: GenerationConfig,
): GenerationConfig {
  const fields = Object.entries(json ?? {}).filter(([name]) => name !== fieldOf("styles"));
  return { ...others, ...json && { json: Object.fromEntries(fields) } };
}

function readField(config: Config, name: ParameterName, limits: ParameterLimits): unknown {
  if (GENERATION_PARAMETERS[name].type === "texts") {
    const texts = stringListField(config, fieldOf(name));
    const subject = { task: `use ${config.description}`, name: fieldOf(name) };
    checkParameter(subject, name, texts, limits);
    return texts;
  }
  const read = GENERATION_PARAMETERS[name].type === "integer" ? integerField : numberField;
  return read(config, fieldOf(name), rangeOf(name, limits));
}

/** The name of a parameter in the file, which is that of diffusers. */
function fieldOf(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}
