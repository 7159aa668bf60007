// The table of parameters, and what the checks make of it.

import { assertEquals, assertMatch, assertThrows } from "@std/assert";
import { checkGenerateOptions } from "../../src/pipeline/generate_options.ts";
import {
  checkParameters,
  GENERATION_PARAMETERS,
  type GenerationParameters,
  PARAMETER_NAMES,
  type ParameterName,
  rangeOf,
} from "../../src/pipeline/generation_parameters.ts";
import { TorchGenerator } from "../../src/random/torch_generator.ts";

const LIMITS = {
  ...{ numTrainTimesteps: 100, pixels: 4, numVecClasses: 5 },
  ...{ conditionType: "text", crossAttentionDim: 3, numClassEmbeds: 0 } as const,
};

function readText(path: string): string {
  return Deno.readTextFileSync(new URL(`../../${path}`, import.meta.url));
}

Deno.test("checkParameters() takes what is given, then the model's default, then that of diffusers", () => {
  const diffusers = {
    seed: undefined,
    numInferenceSteps: 100,
    sampler: undefined,
    guidanceScale: 5,
    guidanceInterval: undefined,
    negativePrompt: undefined,
    styles: undefined,
    truncationRate: 1,
    topK: undefined,
    numImagesPerPrompt: 1,
    strength: undefined,
  };
  assertEquals(checkParameters({}, {}), diffusers);
  const defaults = { numInferenceSteps: 25, truncationRate: 0.86 };
  assertEquals(checkParameters({}, { defaults }), { ...diffusers, ...defaults });
  const given = { seed: 3n, numInferenceSteps: 7, truncationRate: 0 };
  assertEquals(checkParameters(given, { defaults }), { ...diffusers, ...given });
});

Deno.test("checkParameters() moves defaults into the range, and refuses what is given outside", () => {
  const steps = (given: GenerationParameters, limits: Parameters<typeof rangeOf>[1]) =>
    checkParameters(given, limits).numInferenceSteps;
  assertEquals(steps({}, { numTrainTimesteps: 50 }), 50);
  const ranges = { numInferenceSteps: { min: 2, max: 20 } };
  assertEquals(steps({}, { numTrainTimesteps: 50, ranges }), 20);
  assertEquals(steps({}, { defaults: { numInferenceSteps: 1 }, ranges }), 2);
  assertThrows(
    () => steps({ numInferenceSteps: 21 }, { numTrainTimesteps: 50, ranges }),
    RangeError,
    "Cannot generate: numInferenceSteps is 21, expected a whole number from 2 to 20",
  );
});

Deno.test("rangeOf() narrows the range of the table, and never widens it", () => {
  const range = (min: number, max: number) =>
    rangeOf("truncationRate", { ranges: { truncationRate: { min, max } } });
  assertEquals(range(-1, 2), { min: 0, max: 1, why: undefined });
  assertEquals(range(0.5, 2), { min: 0.5, max: 1, why: undefined });
  assertEquals(range(-1, 0.5), { min: 0, max: 0.5, why: undefined });
});

Deno.test("the documentation of the parameters has the defaults of the table", () => {
  const source = readText("src/pipeline/generation_parameters.ts");
  const readme = readText("README.md");
  // What takes the place of a default: of the comment, and of the tables of people.
  const open: Partial<Record<ParameterName, [comment: string, cell: string]>> = {
    seed: ["a random seed", "random"],
    sampler: ["the model's", "the model's"],
    guidanceInterval: ["at all steps", "all steps"],
    negativePrompt: ["none", "none"],
    styles: ["the model's, if it has any", "the model's"],
    topK: ["all", "all"],
    strength: ["0.8, or 1 with a mask", "0.8 or 1"],
  };
  for (const name of PARAMETER_NAMES) {
    const { shortName, default: value } = GENERATION_PARAMETERS[name];
    const comment = new RegExp(`(.*?)\\s*\\*/\n  readonly ${name}\\?:`).exec(source)?.[1];
    assertMatch(comment ?? "", new RegExp(`Default:? ${open[name]?.[0] ?? value}\\b`));
    const row = new RegExp(`^\\| \`${name}\`.*$`, "m").exec(readme)?.[0] ?? "";
    const cells = row.split("|").map((cell) => cell.trim());
    const option = `\`--${shortName.replaceAll("_", "-")}\``;
    assertEquals(cells.slice(3, 5), [option, `${open[name]?.[1] ?? value}`], name);
  }
});

Deno.test("checkGenerateOptions() takes embeddings in place of a prompt", () => {
  const promptEmbeds = { data: new Float32Array(12), shape: [2, 2, 3] } as const;
  const negativePromptEmbeds = { data: new Float32Array(6), shape: [1, 2, 3] } as const;
  const options = { promptEmbeds, negativePromptEmbeds, numImagesPerPrompt: 3 };
  const request = checkGenerateOptions(undefined, options, LIMITS);
  assertEquals([request.prompts, request.batch], [[], 6]);
  assertEquals(request.promptEmbeds, promptEmbeds);
  assertEquals(request.negativePromptEmbeds, negativePromptEmbeds);
  const texts = checkGenerateOptions(["a", "b"], { negativePromptEmbeds }, LIMITS);
  assertEquals([texts.prompts, texts.batch], [["a", "b"], 2]);
});

Deno.test("checkGenerateOptions() draws another seed each time if none is given", () => {
  const first = () => {
    const { generator } = checkGenerateOptions("a", {}, LIMITS);
    return (generator as TorchGenerator).random32();
  };
  assertEquals(new Set(Array.from({ length: 4 }, first)).size > 1, true);
  const { generator } = checkGenerateOptions("a", { seed: 5 }, LIMITS);
  assertEquals((generator as TorchGenerator).random32(), new TorchGenerator(5).random32());
});
