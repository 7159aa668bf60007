import { assertEquals, assertThrows } from "@std/assert";
import {
  choiceOption,
  integerOption,
  numberOption,
  parseArguments,
  UsageError,
} from "../../src/cli/arguments.ts";
import { readGenerateArguments, readParameters } from "../../src/cli/generate_arguments.ts";
import { PARAMETER_NAMES } from "../../src/pipeline/generation_parameters.ts";
import { readRequest } from "../../src/cli/generate_request.ts";

const OPTIONS = { size: { type: "string" }, loud: { type: "boolean" } } as const;

Deno.test("parseArguments() parts options from the rest, and takes negative numbers", () => {
  const { values, positionals } = parseArguments(["a", "--size", "-1.5", "--loud", "b"], OPTIONS);
  assertEquals({ ...values }, { size: "-1.5", loud: true });
  assertEquals(positionals, ["a", "b"]);
  assertEquals(parseArguments(["--", "--size"], OPTIONS).positionals, ["--size"]);
});

Deno.test("parseArguments() refuses what it does not know in one line", () => {
  const wrong = [["--nope"], ["--size"], ["--size", "--loud"], ["--loud=1"], ["-x"]];
  for (const args of wrong) {
    const { message } = assertThrows(() => parseArguments(args, OPTIONS), UsageError);
    assertEquals(message.includes("\n"), false);
  }
});

Deno.test("integerOption() takes whole numbers in range", () => {
  assertEquals(integerOption("n", undefined), undefined);
  assertEquals(integerOption("n", "12"), 12);
  assertEquals(integerOption("n", "0", { min: 0 }), 0);
  for (const text of ["", " ", "0", "1.5", "1e3", "0x10", "17", "-1", "99999999999999999999"]) {
    assertThrows(() => integerOption("n", text, { max: 16 }), UsageError, `--n is "${text}"`);
  }
});

Deno.test("numberOption() takes finite numbers in range", () => {
  assertEquals(numberOption("x", undefined), undefined);
  assertEquals(numberOption("x", "-1e-3"), -0.001);
  for (const text of ["", " ", "NaN", "Infinity", "1,5", "2"]) {
    assertThrows(
      () => numberOption("x", text, { min: 0, max: 1 }),
      UsageError,
      `--x is "${text}", expected a number from 0 to 1`,
    );
  }
});

Deno.test("choiceOption() takes one of several words", () => {
  assertEquals(choiceOption("c", undefined, ["a", "b"]), undefined);
  assertEquals(choiceOption("c", "b", ["a", "b"]), "b");
  const message = `--c is "d", expected a, b or c`;
  assertThrows(() => choiceOption("c", "d", ["a", "b", "c"]), UsageError, message);
});

Deno.test("parseArguments() names the option that an unknown one is nearest to", () => {
  const message = (args: string[]) => assertThrows(() => parse(args), UsageError).message;
  const parse = (args: string[]) => parseArguments(args, OPTIONS, { imageSize: "size" });
  assertEquals(message(["--sise=1"]), "Unknown option '--sise', did you mean --size?");
  assertEquals(
    message(["--image-size", "1"]),
    "Unknown option '--image-size', did you mean --size?",
  );
  assertEquals(message(["--colour"]), "Unknown option '--colour'");
});

Deno.test("readGenerateArguments() leaves parameters open that are not given, except the seed", () => {
  const first = readGenerateArguments(["a"])!;
  const values = Object.values(readParameters(first.parameters, {}));
  assertEquals(values, PARAMETER_NAMES.map(() => undefined));
  assertEquals([first.numImagesPerPrompt, first.seeds, first.device], [1, undefined, "auto"]);
});

Deno.test("readRequest() draws another seed each time if none is given", async () => {
  const seeds = await Promise.all(Array.from({ length: 4 }, async () => {
    return (await readRequest(readGenerateArguments(["a"])!)).seeds;
  }));
  assertEquals(new Set(seeds.flat()).size > 1, true);
});

Deno.test("readRequest() gives each picture of a prompt a seed", async () => {
  const seedsOf = async (...args: string[]) =>
    (await readRequest(readGenerateArguments(["a", "b", ...args])!)).seeds;
  assertEquals(await seedsOf("--seed", "5"), [5n]);
  assertEquals(await seedsOf("--seed", "5", "--images", "3"), [5n, 6n, 7n]);
  assertEquals(await seedsOf("--seed", "5-7"), [5n, 6n, 7n]);
  assertEquals(await seedsOf("--seed", "9, 1-2"), [9n, 1n, 2n]);
  assertEquals(await seedsOf("--seed", "1-2", "--images", "2"), [1n, 2n]);
  assertEquals((await seedsOf("--images", "4")).length, 4);
  const { pictures } = await readRequest(readGenerateArguments(["a", "b", "--seed", "1-2"])!);
  const names = pictures.map(({ prompt, seed }) => `${prompt}${seed}`);
  assertEquals(names, ["a1", "a2", "b1", "b2"]);
});

Deno.test("readGenerateArguments() takes all parameters by their short names", () => {
  const numbers = ["--steps", "9", "--guidance", "-1", "--truncation", "0.5", "--images", "3"];
  const others = ["--top-k", "4", "--strength", "0.3", "--sampler", "fast:2", "--negative", "c"];
  const lists = ["--guidance-interval", "0-.5", "--styles", "in ink, flat style"];
  const args = ["a", "b", "--seed", "7", ...numbers, ...others, ...lists];
  const { parameters, seeds, numImagesPerPrompt } = readGenerateArguments(args)!;
  assertEquals(readParameters(parameters, { numTrainTimesteps: 9 }), {
    seed: 7n,
    numInferenceSteps: 9,
    sampler: "fast:2",
    guidanceScale: -1,
    guidanceInterval: [0, 0.5],
    negativePrompt: "c",
    styles: ["in ink", "flat style"],
    truncationRate: 0.5,
    topK: 4,
    numImagesPerPrompt: 3,
    strength: 0.3,
  });
  assertEquals([seeds, numImagesPerPrompt], [[7n], 3]);
  assertThrows(
    () => readParameters(parameters, { numTrainTimesteps: 8 }),
    UsageError,
    `--steps is "9", expected a whole number from 1 to 8, the timesteps of the training`,
  );
});

Deno.test("readGenerateArguments() refuses what no model can do", () => {
  const wrong: [args: string[], message: string][] = [
    [["a", "--seed", "-1"], `--seed is "-1", expected a whole number from 0`],
    [["a", "--seed", "18446744073709551616"], "expected a whole number from 0 to 2^64 - 1"],
    [["a", "--num-inference-steps", "5"], "did you mean --steps?"],
    [["a", "--step", "5"], "did you mean --steps?"],
    [["a", "--seed", "3-1"], `--seed is "3-1", expected a whole number from 0`],
    [["a", "--seed", "1,"], `--seed is "1,", expected`],
    [["a", "--seed", "0-18446744073709551615"], "expected at most 100 seeds"],
    [["a", "--seed", "1-8", "--images", "4"], "--images is 4, but --seed names 8 seeds"],
    [["a", "b", "--images", "51"], "Expected 100 images at most"],
    [["a", "b", "--seed", "1-51"], "Expected 100 images at most"],
    [["a", "--out", "-", "--json"], "--json is given with --out -"],
    [["a", "--scale", "0"], `--scale is "0", expected a whole number from 1 to 64`],
    [["a", "--styles", "ink,,"], `--styles is "ink,,", expected styles such as "flat style, in`],
    [["a", "--revision", "x"], "--revision is given without --model"],
    [["a", "--model", ""], `--model is "", expected a folder`],
  ];
  for (const [args, message] of wrong) {
    assertThrows(() => readGenerateArguments(args), UsageError, message);
  }
});
