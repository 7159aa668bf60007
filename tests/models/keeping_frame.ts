// A frame that keeps every result, as gradients need it: no scope is closed early and nothing is added in
// place.

import type {
  AdaLayerNormOptions,
  AttentionOptions,
  Columns,
  ConvOptions,
  ConvWeight,
  DType,
  Frame,
  GroupNormOptions,
  LayerNormOptions,
  LinearOptions,
  LinearWeight,
  PosteriorOptions,
  PredictStartOptions,
  RunOptions,
  SampleStepOptions,
  Tensor,
} from "../../src/backends/backend.ts";

/** An operation, and what it gave. */
export interface KeptOperation {
  /** Its name. */
  readonly name: string;
  /** Records it again, of the same arguments. */
  readonly record: (frame: Frame) => Tensor<DType>;
  /** Its result. */
  readonly result: Tensor<DType>;
}

/** Records on another frame, and keeps a list of the operations. */
export class KeepingFrame implements Frame {
  readonly #frame: Frame;
  readonly #tape: KeptOperation[] = [];

  /** @param frame Where to record; it stays the caller's. */
  constructor(frame: Frame) {
    this.#frame = frame;
  }

  /** The operations so far, in order. */
  get tape(): readonly KeptOperation[] {
    return this.#tape;
  }

  empty<D extends DType>(shape: readonly number[], dtype: D): Tensor<D> {
    return this.#frame.empty(shape, dtype);
  }

  scope(): Disposable {
    return { [Symbol.dispose]: () => {} };
  }

  keep<D extends DType>(x: Tensor<D>): Tensor<D> {
    return this.#frame.keep(x);
  }

  run(options?: RunOptions): Promise<void> {
    return this.#frame.run(options);
  }

  dispose(): void {}

  [Symbol.dispose](): void {}

  embedding(ids: Tensor<"i32">, table: Tensor, position?: Tensor): Tensor {
    return this.#keep("embedding", (frame) => frame.embedding(ids, table, position));
  }

  linear(x: Tensor, weight: LinearWeight, options: LinearOptions = {}): Tensor {
    return this.#keep("linear", (frame) => frame.linear(x, weight, ofCopy(frame, options)));
  }

  geglu(x: Tensor): Tensor {
    return this.#keep("geglu", (frame) => frame.geglu(x));
  }

  attention(q: Columns, k: Columns, v: Columns, options: AttentionOptions): Tensor {
    return this.#keep("attention", (frame) => frame.attention(q, k, v, options));
  }

  layerNorm(x: Tensor, options: LayerNormOptions): Tensor {
    return this.#keep("layerNorm", (frame) => frame.layerNorm(x, options));
  }

  adaLayerNorm(x: Tensor, options: AdaLayerNormOptions): Tensor {
    return this.#keep("adaLayerNorm", (frame) => frame.adaLayerNorm(x, options));
  }

  groupNorm(x: Tensor, options: GroupNormOptions): Tensor {
    return this.#keep("groupNorm", (frame) => frame.groupNorm(x, options));
  }

  conv2d(x: Tensor, weight: ConvWeight, options: ConvOptions = {}): Tensor {
    return this.#keep("conv2d", (frame) => frame.conv2d(x, weight, ofCopy(frame, options)));
  }

  transpose(x: Tensor): Tensor {
    return this.#keep("transpose", (frame) => frame.transpose(x));
  }

  reshape(x: Tensor, shape: readonly number[]): Tensor {
    return this.#keep("reshape", (frame) => frame.reshape(x, shape));
  }

  repeat<D extends DType>(x: Tensor<D>, times: number): Tensor<D> {
    return this.#keep("repeat", (frame) => frame.repeat(x, times));
  }

  normalizeRows(x: Tensor): Tensor {
    return this.#keep("normalizeRows", (frame) => frame.normalizeRows(x));
  }

  nearestCode(x: Tensor, codebook: Tensor): Tensor<"i32"> {
    return this.#keep("nearestCode", (frame) => frame.nearestCode(x, codebook));
  }

  logSoftmax(x: Tensor): Tensor {
    return this.#keep("logSoftmax", (frame) => frame.logSoftmax(x));
  }

  rowMax(x: Tensor): Tensor {
    return this.#keep("rowMax", (frame) => frame.rowMax(x));
  }

  predictStart(logProbs: Tensor, options: PredictStartOptions): Tensor {
    return this.#keep("predictStart", (frame) => frame.predictStart(logProbs, options));
  }

  sharpen(logProbs: Tensor, best: Tensor, weight: Tensor): Tensor {
    return this.#keep("sharpen", (frame) => frame.sharpen(logProbs, best, weight));
  }

  posterior(logProbs: Tensor, latents: Tensor<"i32">, options: PosteriorOptions): Tensor {
    return this.#keep("posterior", (frame) => frame.posterior(logProbs, latents, options));
  }

  sampleStep(_logProbs: Tensor, _options: SampleStepOptions): void {
    throw new TypeError("Cannot keep the argument of sampleStep, which replaces it");
  }

  #keep<T extends Tensor<DType>>(name: string, record: (frame: Frame) => T): T {
    const result = record(this.#frame);
    this.#tape.push({ name, record, result });
    return result;
  }
}

/** Options whose `addTo` is a copy, so that the sum is computed out of place. */
function ofCopy<O extends { readonly addTo?: Tensor }>(frame: Frame, options: O): O {
  return options.addTo ? { ...options, addTo: frame.repeat(options.addTo, 1) } : options;
}
