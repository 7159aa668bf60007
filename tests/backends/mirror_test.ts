// The trees that hold the operations mirror each other: one file name for an operation in all of them.

import { assert, assertEquals, assertMatch } from "@std/assert";
import { CheckedGradients } from "../../src/backends/checked_gradients.ts";
import { CheckedFrame } from "../../src/backends/checked_frame.ts";
import { COMMANDS } from "../../wasm/commands.ts";
import { REFUSALS } from "./operations/arguments.ts";

const GROUPS = [
  "linear",
  "attention",
  "norms",
  "convolution",
  "rows",
  "prediction",
  "sampling",
  "gradients",
  "attention_gradient",
  "convolution_gradient",
  "norms_gradient",
  "distance",
  "loss",
];

/** Methods of frames that compute nothing. */
const OTHERS = [
  "constructor",
  "checked",
  "scope",
  "checkpoint",
  "run",
  "dispose",
  "empty",
  "keep",
  "reshape",
];

const OPERATIONS = [CheckedGradients.prototype, CheckedFrame.prototype]
  .flatMap((prototype) => Object.getOwnPropertyNames(prototype))
  .filter((name) => !OTHERS.includes(name));

const ROOT = new URL("../../", import.meta.url);

/** The group whose file in a folder exports a function of this name. */
async function groupOf(operation: string, folder: string): Promise<string | undefined> {
  for (const group of GROUPS) {
    const module = await import(new URL(`${folder}${group}.ts`, ROOT).href);
    if (typeof module[operation] === "function") return group;
  }
  return undefined;
}

Deno.test("every operation has one file name in all trees", async () => {
  assert(OPERATIONS.length >= 26, `${OPERATIONS}`);
  for (const operation of OPERATIONS) {
    const group = await groupOf(operation, "src/backends/webgpu/kernels/");
    assert(group !== undefined, `no kernel of ${operation} in webgpu/kernels`);
    assertEquals(await groupOf(operation, "tests/backends/naive/"), group, operation);
    const read = (folder: string) => Deno.readTextFile(new URL(`${folder}${group}.ts`, ROOT));
    // An operation of several commands has the first of them in the file of its name.
    const command = Object.keys(COMMANDS).find((name) => name === operation) ??
      Object.keys(COMMANDS).find((name) => name.startsWith(operation));
    assert(command !== undefined, `no command of ${operation}`);
    assertMatch(await read("asm/"), new RegExp(`^export function ${command}\\(`, "m"));
    const test = new RegExp(`Deno\\.test\\([^;]*?Frame\\.${operation}\\(\\)`);
    assertMatch(await read("tests/backends/operations/"), test);
  }
});

Deno.test("every operation is called with arguments that do not fit", () => {
  for (const operation of OPERATIONS) assert(REFUSALS[operation]?.length, operation);
});
