// A transformer of any size for measuring: config, shapes and arithmetic, and weights of which only one
// array is in memory at a time.

import type { ArraySource } from "../src/checkpoints/arrays.ts";
import type { Config } from "../src/checkpoints/config.ts";
import { parseTransformer2DConfig } from "../src/models/transformer_2d_config.ts";
import type { TransformerBlockConfig } from "../src/models/transformer_block.ts";
import { elements } from "./random_weights.ts";

/** Sizes of a transformer. */
export interface TransformerSize {
  readonly layers: number;
  readonly heads: number;
  readonly headDim: number;
  /** Columns of the context. */
  readonly context: number;
  /** Side of the square of pixels. */
  readonly side: number;
  /** Number of classes, the mask included. */
  readonly classes: number;
  /** Tokens of a prompt. Default: those of CLIP, {@linkcode CONTEXT_LENGTH}. */
  readonly contextLength?: number;
}

/** Products and sums, counted separately, without norms and activations. */
export interface Work {
  /** In products with the weights that are held in the type that is measured. */
  readonly linear: number;
  /** In float32 whatever the type is: attention, convolutions, the last layer. */
  readonly other: number;
}

/** Sizes of the ithq model. */
export const ITHQ: TransformerSize = {
  layers: 36,
  heads: 16,
  headDim: 88,
  context: 512,
  side: 32,
  classes: 4097,
};

/** Sizes of the embedded model. */
export const SMALL: TransformerSize = {
  layers: 6,
  heads: 4,
  headDim: 64,
  context: 192,
  contextLength: 32,
  side: 8,
  classes: 1025,
};

/** Tokens of a prompt. */
export const CONTEXT_LENGTH = 77;

/** Number of timesteps of all models. */
export const TIMESTEPS = 100;

/** Config of a transformer, as diffusers writes it. */
export function transformerConfig(size: TransformerSize): Config {
  return {
    description: "random transformer",
    values: {
      _class_name: "Transformer2DModel",
      num_attention_heads: size.heads,
      attention_head_dim: size.headDim,
      num_layers: size.layers,
      cross_attention_dim: size.context,
      attention_bias: true,
      sample_size: size.side,
      num_vector_embeds: size.classes,
      activation_fn: "geglu-approximate",
      num_embeds_ada_norm: TIMESTEPS,
    },
  };
}

/** Config of one of its blocks. */
export function blockConfig(size: TransformerSize): TransformerBlockConfig {
  return parseTransformer2DConfig(transformerConfig(size));
}

/** Weights of a transformer: small random numbers, the same in every array of a size. */
export function randomTransformer(size: TransformerSize): ArraySource {
  const shapes = new Map(transformerShapes(size));
  const largest = Math.max(...[...shapes.values()].map(elements));
  let state = 1;
  const numbers = Float32Array.from({ length: largest }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    return state / 2 ** 31 * 0.05;
  });
  return {
    description: "random weights",
    names: () => [...shapes.keys()],
    shape: (name) => shapes.get(name),
    dtype: () => "F32",
    load: (name) => {
      const shape = shapes.get(name)!;
      return Promise.resolve({ dtype: "f32", shape, data: numbers.subarray(0, elements(shape)) });
    },
    loadStored: (name) => {
      const shape = shapes.get(name)!;
      const bytes = new Uint8Array(numbers.buffer, 0, 4 * elements(shape));
      return Promise.resolve({ dtype: "F32", shape, bytes });
    },
    release: () => {},
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}

/** Arithmetic of one evaluation for `batch` sequences. */
export function transformerWork(size: TransformerSize, batch: number): Work {
  const { linear, other } = blockWork(size, batch);
  const width = size.heads * size.headDim;
  const head = 2 * batch * size.side ** 2 * width * (size.classes - 1);
  return { linear: size.layers * linear, other: size.layers * other + head };
}

/** The same of one block; keys and values of the context are not computed anew. */
export function blockWork(size: TransformerSize, batch: number): Work {
  const { heads, headDim, side, contextLength = CONTEXT_LENGTH } = size;
  const rows = batch * side ** 2;
  const width = heads * headDim;
  // Queries, keys, values and the result twice, less the keys and values of the context; then the
  // feed-forward part.
  const linear = 2 * rows * width ** 2 * (4 + 2 + 8);
  return { linear, other: 4 * rows * width * (side ** 2 + contextLength) };
}

/**
 * Arithmetic of one guided evaluation for one image: two sequences, but one until the first block
 * meets the context.
 */
export function guidedWork(size: TransformerSize): Work {
  const { linear, other } = transformerWork(size, 2);
  const pixels = size.side ** 2;
  const width = size.heads * size.headDim;
  // Self-attention of the first block and the queries of its attention to the context.
  const sharedLinear = 2 * pixels * width ** 2 * 5;
  return { linear: linear - sharedLinear, other: other - 4 * pixels ** 2 * width };
}

/** All of {@linkcode transformerWork}. */
export function transformerFlops(size: TransformerSize, batch: number): number {
  return total(transformerWork(size, batch));
}

/** All of {@linkcode blockWork} for one sequence. */
export function blockFlops(size: TransformerSize): number {
  return total(blockWork(size, 1));
}

/** Sum of the parts. */
export function total({ linear, other }: Work): number {
  return linear + other;
}

/** Name and shape of an array. */
export type NamedShape = [name: string, shape: number[]];

/** All arrays of a transformer. */
export function transformerShapes(size: TransformerSize): NamedShape[] {
  const { layers, side, classes } = size;
  const width = size.heads * size.headDim;
  return [
    ["latent_image_embedding.emb.weight", [classes, width]],
    ["latent_image_embedding.height_emb.weight", [side, width]],
    ["latent_image_embedding.width_emb.weight", [side, width]],
    ...Array.from({ length: layers }, (_, i) => blockShapes(size, `transformer_blocks.${i}`))
      .flat(),
    ["norm_out.weight", [width]],
    ["norm_out.bias", [width]],
    ["out.weight", [classes - 1, width]],
    ["out.bias", [classes - 1]],
  ];
}

/** The arrays of one block, whose names begin with `name`. */
export function blockShapes(size: TransformerSize, name: string): NamedShape[] {
  const { context } = size;
  const width = size.heads * size.headDim;
  const linear = (name: string, out: number, inner: number): NamedShape[] => [
    [`${name}.weight`, [out, inner]],
    [`${name}.bias`, [out]],
  ];
  const adaptiveNorm = (name: string): NamedShape[] => [
    [`${name}.emb.weight`, [TIMESTEPS, width]],
    ...linear(`${name}.linear`, 2 * width, width),
  ];
  const attention = (name: string, inner: number): NamedShape[] => [
    ...linear(`${name}.to_q`, width, width),
    ...linear(`${name}.to_k`, width, inner),
    ...linear(`${name}.to_v`, width, inner),
    ...linear(`${name}.to_out.0`, width, width),
  ];
  return [
    ...adaptiveNorm(`${name}.norm1`),
    ...attention(`${name}.attn1`, width),
    ...adaptiveNorm(`${name}.norm2`),
    ...attention(`${name}.attn2`, context),
    [`${name}.norm3.weight`, [width]],
    [`${name}.norm3.bias`, [width]],
    ...linear(`${name}.ff.net.0.proj`, 4 * width, width),
    ...linear(`${name}.ff.net.2`, width, 4 * width),
  ];
}
