/**
 * What images are drawn from, whatever kind of model draws them.
 *
 * @module
 */

import type { Frame } from "../backends/backend.ts";
import type { Transformer2DModel, TransformerContext } from "../models/transformer_2d.ts";
import type { Transformer2DConfig } from "../models/transformer_2d_config.ts";
import {
  checkTextRequest,
  encodePrompt,
  type TextComponents,
  type TextConditioning,
  type TextRequest,
} from "./text.ts";

/**
 * What a generation is told to draw: a prompt or several; for a model that draws from classes a label or
 * several, such as `{ classLabel: 207 }`, the golden retriever of ImageNet; nothing for an unconditional one,
 * or where embeddings or a picture take its place.
 */
export type GenerateInput =
  | string
  | readonly string[]
  | { readonly classLabel: number | readonly number[] }
  | undefined;

/** What to draw images from, by the kind of the model. */
export type ConditionRequest =
  | TextRequest & { readonly kind: "text" }
  | { readonly kind: "class"; readonly labels: ClassLabels }
  | { readonly kind: "none" };

/** Classes to draw. */
export interface ClassLabels {
  /** One for each image without copies. */
  readonly labels: readonly number[];
  /** Images for each of them. */
  readonly numImagesPerPrompt: number;
  /** The class that stands for none, if there is guidance. */
  readonly unconditional: number | undefined;
}

/** What images are drawn from, on the host. */
export type Conditioning =
  | { readonly kind: "text"; readonly embeddings: TextConditioning }
  /** Labels (batch); with guidance all unconditional ones, then all conditional ones. */
  | { readonly kind: "class"; readonly labels: Int32Array }
  | { readonly kind: "none" };

/** What a model with such a config can be told to draw, to try whether it draws at all. */
export function anyInput(
  { conditionType }: Pick<Transformer2DConfig, "conditionType">,
): GenerateInput {
  return { text: "", class: { classLabel: 0 }, none: undefined }[conditionType];
}

/**
 * Checks that the components are there which a request needs.
 *
 * @throws {TypeError} If a component is missing.
 * @throws {RangeError} If embeddings do not fit each other.
 */
export function checkCondition(components: TextComponents, request: ConditionRequest): void {
  if (request.kind === "text") checkTextRequest(components, request);
}

/** Encodes prompts, or copies labels. */
export async function encodeCondition(
  components: TextComponents,
  request: ConditionRequest,
): Promise<Conditioning> {
  switch (request.kind) {
    case "text":
      return { kind: "text", embeddings: await encodePrompt(components, request) };
    case "class":
      return { kind: "class", labels: allLabels(request.labels) };
    case "none":
      return request;
  }
}

/** Labels of all images, before them as many unconditional ones if there is guidance. */
function allLabels({ labels, numImagesPerPrompt, unconditional }: ClassLabels): Int32Array {
  const each = labels.flatMap((label) => new Array<number>(numImagesPerPrompt).fill(label));
  return Int32Array.from(
    unconditional === undefined ? each : [...each.map(() => unconditional), ...each],
  );
}

/** Records what all steps share of the last `sequences` of what is drawn from. */
export function recordCondition(
  frame: Frame,
  transformer: Transformer2DModel,
  { conditioning, sequences }: {
    readonly conditioning: Conditioning;
    readonly sequences: number;
  },
): TransformerContext {
  switch (conditioning.kind) {
    case "text": {
      const { data, shape: [, length, columns] } = conditioning.embeddings;
      const encoderHiddenStates = frame.empty([sequences, length, columns], "f32");
      encoderHiddenStates.write(data.subarray(data.length - sequences * length * columns));
      return transformer.recordContext(frame, encoderHiddenStates);
    }
    case "class": {
      const { labels } = conditioning;
      const classLabels = frame.empty([sequences], "i32");
      classLabels.write(labels.subarray(labels.length - sequences));
      return transformer.recordContext(frame, undefined, classLabels);
    }
    case "none":
      return transformer.recordContext(frame);
  }
}
