/**
 * What models are told to draw that do not draw from text: the label of a class, or nothing.
 *
 * @module
 */

import { checkInteger, describeName, refuseRange, refuseType } from "../base/check.ts";
import type { Transformer2DConfig } from "../models/transformer_2d_config.ts";

/** Whether an argument is labels in place of a prompt, as diffusers' `DiTPipeline` takes them. */
export function isClassLabelInput(
  input: unknown,
): input is { readonly classLabel: number | readonly number[] } {
  return typeof input === "object" && input !== null && "classLabel" in input;
}

const TASK = "generate";

/**
 * Checks what is given in place of a prompt to a model that does not draw from text.
 *
 * @returns Labels, one for each image without copies; undefined if the model is unconditional.
 * @throws {TypeError} If the model takes something else.
 * @throws {RangeError} If a label is none of the model's.
 */
export function checkClassLabels(
  input: unknown,
  { conditionType, numClassEmbeds }: Pick<Transformer2DConfig, "conditionType" | "numClassEmbeds">,
): readonly number[] | undefined {
  if (conditionType === "none") {
    if (input === undefined) return undefined;
    const name = isClassLabelInput(input) ? "classLabel" : "prompt";
    const value = isClassLabelInput(input) ? input.classLabel : input;
    refuseType({ task: TASK, name }, value, "undefined, as the model is unconditional");
  }
  const max = numClassEmbeds - 1;
  const wanted = `a whole number from 0 to ${max}, as the model draws from classes`;
  if (!isClassLabelInput(input)) {
    const name = input === undefined ? "classLabel" : "prompt";
    const instead = input === undefined ? wanted : `{ classLabel } in its place, ${wanted}`;
    refuseType({ task: TASK, name }, input, instead);
  }
  const { classLabel, ...others } = input;
  const [other] = Object.keys(others);
  if (other !== undefined) {
    throw new TypeError(
      `Cannot generate: ${
        describeName(other)
      } is given beside classLabel, expected it in the second argument`,
    );
  }
  const labels = Array.isArray(classLabel) ? classLabel : [classLabel];
  if (labels.length === 0) {
    refuseRange({ task: TASK, name: "classLabel" }, classLabel, "at least one label");
  }
  for (const [i, label] of labels.entries()) {
    const subject = {
      task: TASK,
      name: Array.isArray(classLabel) ? `classLabel[${i}]` : "classLabel",
    };
    if (label === undefined) refuseType(subject, label, wanted);
    checkInteger(subject, label, { min: 0, max, why: "the classes of the model" });
  }
  return [...labels];
}
