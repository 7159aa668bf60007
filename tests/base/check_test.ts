import { assertEquals, assertThrows } from "@std/assert";
import {
  checkChoice,
  checkInteger,
  checkNumber,
  checkOptions,
  checkSignal,
  describeValue,
  listOf,
  nearestName,
} from "../../src/base/check.ts";

const STEPS = { task: "generate", name: "numInferenceSteps" };

function messageOf(check: () => void, kind: typeof TypeError | typeof RangeError): string {
  return assertThrows(check, kind).message;
}

Deno.test("describeValue() quotes and cuts texts, and names the kind of objects", () => {
  assertEquals(describeValue("a\u001b[31m"), '"a\\u001b[31m"');
  assertEquals(
    describeValue("x".repeat(1e6)),
    `"${"x".repeat(100)}"… (1000000 characters)`,
  );
  assertEquals(describeValue(null), "null");
  assertEquals(describeValue([]), "an empty array");
  assertEquals(describeValue(new Float32Array(3)), "a Float32Array");
  assertEquals(describeValue(new AbortController()), "an AbortController");
  assertEquals(describeValue(Object.create(null)), "an object");
  assertEquals(describeValue(3n), "3n");
  assertEquals(describeValue(undefined), "undefined");
});

Deno.test("checkInteger() says what was given and what would fit", () => {
  checkInteger(STEPS, undefined, { min: 1 });
  checkInteger(STEPS, 100, { min: 1, max: 100 });
  assertEquals(
    messageOf(
      () => checkInteger(STEPS, 101, { min: 1, max: 100, why: "the timesteps" }),
      RangeError,
    ),
    "Cannot generate: numInferenceSteps is 101, expected a whole number from 1 to 100, the timesteps",
  );
  assertEquals(
    messageOf(() => checkInteger(STEPS, 1.5, { min: 1 }), RangeError),
    "Cannot generate: numInferenceSteps is 1.5, expected a whole number of at least 1",
  );
  assertEquals(
    messageOf(() => checkInteger(STEPS, "5"), TypeError),
    `Cannot generate: numInferenceSteps is "5", expected a whole number`,
  );
});

Deno.test("checkNumber() refuses what is not finite", () => {
  checkNumber(STEPS, 0.5, { min: 0, max: 1 });
  messageOf(() => checkNumber(STEPS, NaN), RangeError);
  messageOf(() => checkNumber(STEPS, Infinity, { min: 0 }), RangeError);
  messageOf(() => checkNumber(STEPS, -0.1, { min: 0, max: 1 }), RangeError);
});

Deno.test("checkChoice() lists the choices", () => {
  checkChoice({ task: "load a pipeline", name: "dtype" }, "fp16", ["fp32", "fp16", "q8"]);
  assertEquals(
    messageOf(
      () => checkChoice({ task: "load a pipeline", name: "dtype" }, "fp8", ["fp32", "fp16", "q8"]),
      RangeError,
    ),
    `Cannot load a pipeline: dtype is "fp8", expected "fp32", "fp16" or "q8"`,
  );
});

Deno.test("checkSignal() says what is wrong, not what is right", () => {
  checkSignal({ task: "generate", name: "signal" }, new AbortController().signal);
  assertEquals(
    messageOf(() => checkSignal({ task: "generate", name: "signal" }, "stop"), TypeError),
    `Cannot generate: signal is "stop", expected an AbortSignal`,
  );
});

Deno.test("checkOptions() names the nearest known option", () => {
  const known = ["numInferenceSteps", "guidanceScale", "truncationRate", "seed"];
  checkOptions("generate", { seed: 1 }, known);
  const unknown = (options: unknown) =>
    messageOf(() => checkOptions("generate", options, known), TypeError);
  assertEquals(
    unknown({ steps: 5 }),
    `Cannot generate: unknown option "steps", did you mean numInferenceSteps?`,
  );
  assertEquals(
    unknown({ guidancescale: 5 }),
    `Cannot generate: unknown option "guidancescale", did you mean guidanceScale?`,
  );
  assertEquals(
    unknown({ colour: "red" }),
    `Cannot generate: unknown option "colour", expected numInferenceSteps, guidanceScale, ` +
      `truncationRate or seed`,
  );
  assertEquals(unknown([]), "Cannot generate: options is an empty array, expected an object");
});

Deno.test("checkOptions() takes the names that options have elsewhere for what they mean", () => {
  const known = ["numInferenceSteps", "callbackSteps"];
  const { message } = assertThrows(
    () => checkOptions("generate", { step: 5 }, known, { steps: "numInferenceSteps" }),
    TypeError,
  );
  assertEquals(
    message,
    `Cannot generate: unknown option "step", did you mean numInferenceSteps?`,
  );
});

Deno.test("nearestName() finds words and small slips, and nothing else", () => {
  const known = ["numInferenceSteps", "numImagesPerPrompt", "seed"];
  assertEquals(nearestName("images", known), "numImagesPerPrompt");
  assertEquals(nearestName("sed", known), "seed");
  assertEquals(nearestName("sede", known), "seed");
  assertEquals(nearestName("esed", known), "seed");
  assertEquals(nearestName("num_inference_steps", known), "numInferenceSteps");
  assertEquals(nearestName("", known), undefined);
  assertEquals(nearestName("zebra", known), undefined);
});

Deno.test("listOf() joins items as a sentence does", () => {
  assertEquals(listOf([], "or"), "");
  assertEquals(listOf(["a"], "or"), "a");
  assertEquals(listOf(["a", "b", "c"], "and"), "a, b and c");
});
