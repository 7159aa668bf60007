/**
 * What images are conditioned on in training: embeddings of captions, some of which are dropped.
 *
 * @module
 */

import type { Frame, Tensor } from "../backends/backend.ts";
import { refuseRange, refuseType } from "../base/check.ts";
import { elementCount } from "../base/shapes.ts";
import { formatShape } from "../base/format.ts";
import type { LearnedClassifierFreeSamplingEmbeddings } from "../models/learned_embeddings.ts";
import type { TrainableParameters } from "./trainable_parameters.ts";

/** The embeddings that take the place of captions that are dropped, to be trained along. */
export interface UnconditionalEmbeddings {
  /** The component, made with `parameters`. */
  readonly embeddings: LearnedClassifierFreeSamplingEmbeddings;
  /** Its parameters. */
  readonly parameters: TrainableParameters;
}

const TASK = "compute DiffusionLoss";

/**
 * The embeddings of the captions of a batch. Those of dropped captions are the learned ones, by a product
 * with ones and zeros, through which gradients go.
 */
export class CaptionEmbeddings {
  /** (batch, length, columns): what the images are conditioned on. */
  readonly context: Tensor;
  readonly #captions: Tensor;
  /** (batch, length, length): for each place of a dropped caption, which of the learned embeddings it takes. */
  readonly #choice: Tensor | undefined;

  /**
   * @param shape That of the embeddings: (batch, length, columns).
   * @param unconditional What takes the place of dropped captions; its parameters have to be recorded.
   * @throws {RangeError} If it has no learned embeddings of that length.
   */
  constructor(
    frame: Frame,
    shape: readonly [batch: number, length: number, columns: number],
    unconditional?: UnconditionalEmbeddings,
  ) {
    this.#captions = frame.empty(shape, "f32");
    if (unconditional === undefined) {
      this.context = this.#captions;
      return;
    }
    const [batch, length, columns] = shape;
    const learned = learnedEmbeddings(unconditional, [length, columns]);
    this.#choice = frame.empty([batch, length, length], "f32");
    const packed = frame.pack(learned, { transpose: true });
    this.context = frame.linear(this.#choice, packed, { addTo: this.#captions });
  }

  /**
   * Writes the embeddings of a batch.
   *
   * @param captions (batch, length, columns).
   * @param dropped For each image, whether its caption is dropped. Default: none.
   * @throws {TypeError} If captions are dropped and nothing takes their place.
   */
  write(captions: Float32Array, dropped: readonly boolean[] | undefined): void {
    const [batch, length] = this.#captions.shape as [number, number, number];
    if (dropped !== undefined && dropped.length !== batch) {
      refuseRange({ task: TASK, name: "the length of dropped" }, dropped.length, `${batch}`);
    }
    if (this.#choice === undefined) {
      if (dropped?.includes(true)) {
        const subject = { task: TASK, name: "unconditional" };
        refuseType(subject, undefined, "embeddings, as captions are dropped");
      }
      return this.#captions.write(captions);
    }
    const kept = captions.slice();
    const choice = new Float32Array(elementCount(this.#choice.shape));
    dropped?.forEach((isDropped, image) => {
      if (!isDropped) return;
      const size = captions.length / batch;
      kept.fill(0, image * size, (image + 1) * size);
      for (let place = 0; place < length; place++) {
        choice[(image * length + place) * length + place] = 1;
      }
    });
    this.#captions.write(kept);
    this.#choice.write(choice);
  }
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
