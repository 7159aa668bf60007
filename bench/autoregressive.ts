// An autoregressive transformer with the layers of ours, to compare with: it predicts the tokens of an
// image one after the other, each from those before it and the prompt.

import type { WeightDType } from "../src/base/dtypes.ts";
import type { Backend, Frame, LinearWeight, Tensor } from "../src/backends/backend.ts";
import type { ArraySource } from "../src/checkpoints/arrays.ts";
import { CrossAttention } from "../src/models/attention.ts";
import { FeedForward } from "../src/models/feed_forward.ts";
import { Embedding, LayerNorm, Linear } from "../src/models/layers.ts";
import type { Parameter } from "../src/models/parameter_slot.ts";
import { Parameters, ParameterScope } from "../src/models/parameters.ts";
import { type NamedShape, transformerShapes, type TransformerSize } from "./random_transformer.ts";
import { rowsFrom, type WasmFrame } from "./wasm_frame.ts";

/** Keys and values of the tokens so far of one block, (tokens, batch · width) each. */
export interface BlockCache {
  readonly keys: Tensor;
  readonly values: Tensor;
}

/** A block: that of ours with causal attention, and with ordinary norms as there are no timesteps. */
class CausalBlock {
  readonly #norms: readonly [LayerNorm, LayerNorm, LayerNorm];
  readonly #projections: readonly Parameter<LinearWeight>[];
  readonly #toOut: Linear;
  readonly #cross: CrossAttention;
  readonly #feedForward: FeedForward;
  readonly #heads: number;
  readonly #headDim: number;

  constructor(scope: ParameterScope, { heads, headDim, context }: TransformerSize) {
    const dim = heads * headDim;
    const norm = (i: number) => new LayerNorm(scope.at(`norm${i}`), dim);
    this.#norms = [norm(1), norm(2), norm(3)];
    const attention = scope.at("attn1");
    this.#projections = ["to_q", "to_k", "to_v"].map((name) => {
      return scope.parameters.linear([attention.at(name).name], dim, dim);
    });
    this.#toOut = new Linear(attention.at("to_out.0"), dim, dim);
    const cross = { dim, heads, headDim, bias: true, crossAttentionDim: context };
    this.#cross = new CrossAttention(scope.at("attn2"), cross);
    this.#feedForward = new FeedForward(scope.at("ff"), dim, "geglu-approximate");
    this.#heads = heads;
    this.#headDim = headDim;
  }

  keyValues(frame: Frame, context: Tensor): Tensor {
    return this.#cross.keyValues(frame, context);
  }

  /** x (batch, length, width), used up, all tokens so far → the same. */
  prefix(frame: Frame, x: Tensor, keyValues: Tensor): Tensor {
    const sum = this.#attendPrefix(frame, x);
    return this.#afterAttention(frame, sum, keyValues);
  }

  /** x (batch, 1, width), used up, the token at a position → the same. */
  next(to: WasmFrame, x: Tensor, position: number, cache: BlockCache, keyValues: Tensor): Tensor {
    const sum = this.#attendCache(to, x, position, cache);
    return this.#afterAttention(to.frame, sum, keyValues);
  }

  #attendPrefix(frame: Frame, x: Tensor): Tensor {
    using _scope = frame.scope();
    const normed = this.#norms[0].forward(frame, x);
    const [q, k, v] = this.#projections.map(({ value }) => {
      return { tensor: frame.linear(normed, value), offset: 0 };
    });
    const { heads, headDim, scale } = this.#attention;
    const options = { batch: x.shape[0]!, heads, headDim, scale, causal: true };
    return this.#toOut.forward(frame, frame.attention(q!, k!, v!, options), { addTo: x });
  }

  /**
   * A row of the cache holds the token of every image side by side, so that images are to the attention
   * what heads are: one operation serves them all.
   */
  #attendCache(to: WasmFrame, x: Tensor, position: number, cache: BlockCache): Tensor {
    const { frame } = to;
    using _scope = frame.scope();
    const batch = x.shape[0]!;
    const columns = cache.keys.shape[1]!;
    const [toQ, toK, toV] = this.#projections;
    const normed = this.#norms[0].forward(frame, x);
    const q = frame.reshape(frame.linear(normed, toQ!.value), [1, columns]);
    to.linearInto(normed, toK!.value, rowsFrom(cache.keys, position, [1, columns]));
    to.linearInto(normed, toV!.value, rowsFrom(cache.values, position, [1, columns]));
    const [k, v] = [cache.keys, cache.values].map((all) => {
      return { tensor: rowsFrom(all, 0, [position + 1, columns]), offset: 0 };
    });
    const { heads, headDim, scale } = this.#attention;
    const options = { batch: 1, heads: batch * heads, headDim, scale };
    const attended = frame.attention({ tensor: q, offset: 0 }, k!, v!, options);
    const rows = frame.reshape(attended, x.shape);
    return this.#toOut.forward(frame, rows, { addTo: x });
  }

  get #attention() {
    return { heads: this.#heads, headDim: this.#headDim, scale: this.#headDim ** -0.5 };
  }

  #afterAttention(frame: Frame, x: Tensor, keyValues: Tensor): Tensor {
    using _scope = frame.scope();
    const [, norm2, norm3] = this.#norms;
    const sum = this.#cross.forward(frame, norm2.forward(frame, x), keyValues, { addTo: x });
    return this.#feedForward.forward(frame, norm3.forward(frame, sum), { addTo: sum });
  }
}

/** The model: as many blocks as ours has, the same embeddings and the same last layer. */
export class Autoregressive implements Disposable {
  /** Its backend. */
  readonly backend: Backend;
  /** Its sizes. */
  readonly size: TransformerSize;
  readonly #parameters: Parameters;
  readonly #tokens: Embedding;
  readonly #positions: Embedding;
  readonly #blocks: readonly CausalBlock[];
  readonly #normOut: LayerNorm;
  readonly #out: Linear;

  private constructor(backend: Backend, size: TransformerSize) {
    this.backend = backend;
    this.size = size;
    this.#parameters = new Parameters();
    const scope = new ParameterScope(this.#parameters);
    const width = size.heads * size.headDim;
    this.#tokens = new Embedding(scope.at("emb"), size.classes, width);
    this.#positions = new Embedding(scope.at("positions"), size.side ** 2, width);
    this.#blocks = scope.at("transformer_blocks")
      .list(size.layers, "layers", (block) => new CausalBlock(block, size));
    this.#normOut = new LayerNorm(scope.at("norm_out"), width);
    this.#out = new Linear(scope.at("out"), width, size.classes - 1, { precise: true });
  }

  /** Loads it. */
  static async create(
    backend: Backend,
    size: TransformerSize,
    weights: ArraySource,
    dtype: WeightDType,
  ): Promise<Autoregressive> {
    const model = new Autoregressive(backend, size);
    await model.#parameters.load(backend, weights, { dtype });
    return model;
  }

  /** The token that comes before the first: the class that is the mask in ours. */
  get start(): number {
    return this.size.classes - 1;
  }

  /** Keys and values of a context (batch, length, columns) for each block. */
  recordContext(frame: Frame, context: Tensor): Tensor[] {
    return this.#blocks.map((block) => block.keyValues(frame, context));
  }

  /** Memory for the keys and values of all tokens of `batch` images, for each block. */
  cache(batch: number, stack: { use<T extends Disposable>(value: T): T }): BlockCache[] {
    const shape = [this.size.side ** 2, batch * this.size.heads * this.size.headDim];
    const zeros = new Float32Array(shape[0]! * shape[1]!);
    const make = () => stack.use(this.backend.tensor(zeros, shape));
    return this.#blocks.map(() => ({ keys: make(), values: make() }));
  }

  /**
   * Records a prediction without a cache.
   *
   * @param tokens (batch, length): {@linkcode start}, then the tokens so far.
   * @returns log p of the next token (batch, 1, classes − 1).
   */
  recordPrefix(frame: Frame, tokens: Tensor<"i32">, context: readonly Tensor[]): Tensor {
    const [batch, length] = tokens.shape as [number, number];
    const positions = this.#position(frame, Array.from({ length }, (_, i) => i));
    let x = this.#tokens.forward(frame, tokens, positions);
    this.#blocks.forEach((block, i) => x = block.prefix(frame, x, context[i]!));
    const ends = frame.empty([batch, 1], "i32");
    ends.write(Int32Array.from({ length: batch }, (_, i) => (i + 1) * length - 1));
    const rows = frame.reshape(x, [batch * length, x.shape[2]!]);
    return this.#predict(frame, frame.embedding(ends, rows));
  }

  /**
   * Records a prediction with a cache, to which it adds the token's keys and values.
   *
   * @param token (batch, 1): the token before the one at `position`.
   * @returns log p of the token at `position` (batch, 1, classes − 1).
   */
  recordNext(
    to: WasmFrame,
    token: Tensor<"i32">,
    position: number,
    cache: readonly BlockCache[],
    context: readonly Tensor[],
  ): Tensor {
    let x = this.#tokens.forward(to.frame, token, this.#position(to.frame, [position]));
    this.#blocks.forEach((block, i) => {
      x = block.next(to, x, position, cache[i]!, context[i]!);
    });
    return this.#predict(to.frame, x);
  }

  #position(frame: Frame, positions: readonly number[]): Tensor {
    const ids = frame.empty([positions.length], "i32");
    ids.write(Int32Array.from(positions));
    return this.#positions.forward(frame, ids);
  }

  #predict(frame: Frame, x: Tensor): Tensor {
    return frame.logSoftmax(this.#out.forward(frame, this.#normOut.forward(frame, x)));
  }

  /** Gives the memory of the weights back. */
  [Symbol.dispose](): void {
    this.#parameters.dispose();
  }
}

/** All arrays of the model: those of ours, but for norms and positions. */
export function autoregressiveShapes(size: TransformerSize): NamedShape[] {
  const width = size.heads * size.headDim;
  const shared = transformerShapes(size).filter(([name]) => !/latent_image|norm[12]\./.test(name));
  const norms = Array.from({ length: size.layers }, (_, i) => {
    return [1, 2].flatMap((norm): NamedShape[] => {
      const name = `transformer_blocks.${i}.norm${norm}`;
      return [[`${name}.weight`, [width]], [`${name}.bias`, [width]]];
    });
  });
  return [
    ["emb.weight", [size.classes, width]],
    ["positions.weight", [size.side ** 2, width]],
    ...norms.flat(),
    ...shared,
  ];
}
