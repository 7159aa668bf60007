/**
 * What images are conditioned on in training: embeddings of captions, some of which are dropped.
 *
 * @module
 */

import type { Frame, Tensor } from "../backends/backend.ts";
import { refuseRange, refuseType } from "../base/check.ts";
import { elementCount } from "../base/shapes.ts";
import { formatShape } from "../base/format.ts";
import type { CLIPTextModel } from "../models/clip_text_model.ts";
import type { LearnedClassifierFreeSamplingEmbeddings } from "../models/learned_embeddings.ts";
import { checkValues } from "./check_values.ts";
import type { TrainableParameters } from "./trainable_parameters.ts";

/** The embeddings that take the place of captions that are dropped, to be trained along. */
export interface UnconditionalEmbeddings {
  /** The component, made with `parameters`. */
  readonly embeddings: LearnedClassifierFreeSamplingEmbeddings;
  /** Its parameters. */
  readonly parameters: TrainableParameters;
}

/** A text encoder that is trained along. */
export interface TrainableTextEncoder {
  /** The model, made with `parameters`. */
  readonly model: CLIPTextModel;
  /** Its parameters. */
  readonly parameters: TrainableParameters;
}

/** Where the embeddings come from that are not given. */
export interface CaptionSources {
  /** What takes the place of dropped captions. */
  readonly unconditional?: UnconditionalEmbeddings | undefined;
  /** What makes them of token ids. */
  readonly textEncoder?: TrainableTextEncoder | undefined;
}

/** The captions of a batch. */
export interface CaptionBatch {
  /**
   * (batch, length, crossAttentionDim): what the images are conditioned on, as `encodePrompt` of a pipeline
   * makes it. Not with a `textEncoder`.
   */
  readonly encoderHiddenStates?: Float32Array | undefined;
  /** (batch, length): token ids of the captions, for a `textEncoder`. */
  readonly inputIds?: Int32Array | undefined;
  /** (batch): whether the caption of each image is dropped, for `unconditional`. Default: none is. */
  readonly dropped?: readonly boolean[] | undefined;
}

const TASK = "compute DiffusionLoss";

/**
 * The embeddings of the captions of a batch. Those of dropped captions are the learned ones, by a product
 * with ones and zeros, through which gradients go.
 */
export class CaptionEmbeddings {
  /** (batch, length, columns): what the images are conditioned on. */
  readonly context: Tensor;
  readonly #size: readonly [batch: number, length: number, columns: number];
  /** What batches give: embeddings, or token ids up to `lastId`. */
  readonly #captions: Tensor | { readonly ids: Tensor<"i32">; readonly lastId: number };
  /** (batch, length, columns): 0 where a caption that is encoded is dropped, else 1. */
  readonly #kept: Tensor | undefined;
  /** (batch, length, length): for each place of a dropped caption, which of the learned embeddings it takes. */
  readonly #choice: Tensor | undefined;

  /**
   * @param size That of the embeddings: (batch, length, columns).
   * @param sources Their parameters have to be recorded.
   * @throws {RangeError} If there are no learned embeddings of that length, or the text encoder makes others.
   */
  constructor(
    frame: Frame,
    size: readonly [batch: number, length: number, columns: number],
    { unconditional, textEncoder }: CaptionSources = {},
  ) {
    this.#size = size;
    const [batch, length, columns] = size;
    let embeddings: Tensor;
    if (textEncoder === undefined) {
      this.#captions = embeddings = frame.empty(size, "f32");
    } else {
      const { config } = checkTextEncoder(textEncoder, length, columns);
      const ids = frame.empty([batch, length], "i32");
      this.#captions = { ids, lastId: config.vocabSize - 1 };
      embeddings = frame.normalizeRows(textEncoder.model.record(frame, ids));
    }
    if (unconditional === undefined) {
      this.context = embeddings;
      return;
    }
    if (textEncoder !== undefined) {
      this.#kept = frame.empty(size, "f32");
      embeddings = frame.multiply(embeddings, this.#kept);
    }
    const learned = learnedEmbeddings(unconditional, [length, columns]);
    this.#choice = frame.empty([batch, length, length], "f32");
    const packed = frame.pack(learned, { transpose: true });
    this.context = frame.linear(this.#choice, packed, { addTo: embeddings });
  }

  /**
   * Checks the captions of a batch.
   *
   * @throws {TypeError} If the array is missing that is needed, another is there, or captions are dropped
   *   and nothing takes their place.
   * @throws {RangeError} If an array is of another length, or a value is out of range.
   */
  check({ encoderHiddenStates, inputIds, dropped }: CaptionBatch): void {
    const [batch, length, columns] = this.#size;
    const [needed, other] = "ids" in this.#captions
      ? ["inputIds", { encoderHiddenStates }] as const
      : ["encoderHiddenStates", { inputIds }] as const;
    for (const [name, value] of Object.entries(other)) {
      if (value !== undefined) refuseType({ task: TASK, name }, value, `${needed} instead`);
    }
    if ("ids" in this.#captions) {
      const range = { min: 0, max: this.#captions.lastId };
      checkValues(TASK, needed, inputIds, batch * length, range);
    } else {
      checkValues(TASK, needed, encoderHiddenStates, batch * length * columns);
    }
    if (dropped !== undefined && dropped.length !== batch) {
      refuseRange({ task: TASK, name: "the length of dropped" }, dropped.length, `${batch}`);
    }
    if (this.#choice === undefined && dropped?.includes(true)) {
      const subject = { task: TASK, name: "unconditional" };
      refuseType(subject, undefined, "embeddings, as captions are dropped");
    }
  }

  /** Writes the captions of a batch that was checked. */
  write({ encoderHiddenStates, inputIds, dropped }: CaptionBatch): void {
    const [batch, length, columns] = this.#size;
    const size = length * columns;
    const eachDropped = (clear: (image: number) => void) =>
      dropped?.forEach((isDropped, image) => isDropped && clear(image));
    if ("ids" in this.#captions) {
      this.#captions.ids.write(inputIds!);
      const kept = new Float32Array(batch * size).fill(1);
      eachDropped((image) => kept.fill(0, image * size, (image + 1) * size));
      this.#kept?.write(kept);
    } else {
      const kept = encoderHiddenStates!.slice();
      eachDropped((image) => kept.fill(0, image * size, (image + 1) * size));
      this.#captions.write(kept);
    }
    if (this.#choice === undefined) return;
    const choice = new Float32Array(elementCount(this.#choice.shape));
    eachDropped((image) => {
      for (let place = 0; place < length; place++) {
        choice[(image * length + place) * length + place] = 1;
      }
    });
    this.#choice.write(choice);
  }
}

function checkTextEncoder(
  { model }: TrainableTextEncoder,
  length: number,
  columns: number,
): CLIPTextModel {
  const subject = (name: string) => ({ task: "make DiffusionLoss", name });
  const { hiddenSize, maxPositionEmbeddings } = model.config;
  if (hiddenSize !== columns) {
    const expected = `${columns}, the transformer's crossAttentionDim`;
    refuseRange(subject("the hiddenSize of textEncoder"), hiddenSize, expected);
  }
  if (length > maxPositionEmbeddings) {
    const expected = `at most ${maxPositionEmbeddings}, the most that textEncoder takes`;
    refuseRange(subject("length"), length, expected);
  }
  return model;
}

function learnedEmbeddings(
  { embeddings: { config, embeddings } }: UnconditionalEmbeddings,
  shape: readonly number[],
): Tensor {
  const subject = { task: "make DiffusionLoss", name: "the shape of unconditional" };
  const found = embeddings?.shape ?? [0, 0];
  if (embeddings === undefined || formatShape(found) !== formatShape(shape)) {
    refuseRange(
      subject,
      config.learnable ? formatShape(found) : "that of nothing learned",
      formatShape(shape),
    );
  }
  return embeddings;
}
