// A transformer of any size with random weights, for measuring: nothing is read from a disk, and only
// one array is in memory at a time.

import type { ArraySource } from "../src/checkpoints/arrays.ts";
import type { Config } from "../src/checkpoints/config.ts";

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

const TIMESTEPS = 100;

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
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}

/** Products and sums of one evaluation for `batch` sequences, without norms and activations. */
export function transformerFlops(size: TransformerSize, batch: number): number {
  const pixels = size.side ** 2;
  const width = size.heads * size.headDim;
  return batch * (size.layers * blockFlops(size) + 2 * pixels * width * (size.classes - 1));
}

/** The same of one block for one sequence; keys and values of the context are not computed anew. */
export function blockFlops({ heads, headDim, side }: TransformerSize): number {
  const pixels = side ** 2;
  const width = heads * headDim;
  // Queries, keys, values and the result twice, less the keys and values of the context; then the
  // feed-forward part.
  const products = 2 * pixels * width ** 2 * (4 + 2 + 8);
  const attention = 4 * pixels * width * (pixels + CONTEXT_LENGTH);
  return products + attention;
}

/** Tokens of a prompt. */
export const CONTEXT_LENGTH = 77;

function elements(shape: readonly number[]): number {
  return shape.reduce((a, b) => a * b, 1);
}

function transformerShapes(size: TransformerSize): [string, number[]][] {
  const { layers, context, side, classes } = size;
  const width = size.heads * size.headDim;
  const linear = (name: string, out: number, inner: number): [string, number[]][] => [
    [`${name}.weight`, [out, inner]],
    [`${name}.bias`, [out]],
  ];
  const norm = (name: string): [string, number[]][] => [
    [`${name}.weight`, [width]],
    [`${name}.bias`, [width]],
  ];
  const adaptiveNorm = (name: string): [string, number[]][] => [
    [`${name}.emb.weight`, [TIMESTEPS, width]],
    ...linear(`${name}.linear`, 2 * width, width),
  ];
  const attention = (name: string, inner: number): [string, number[]][] => [
    ...linear(`${name}.to_q`, width, width),
    ...linear(`${name}.to_k`, width, inner),
    ...linear(`${name}.to_v`, width, inner),
    ...linear(`${name}.to_out.0`, width, width),
  ];
  const block = (name: string): [string, number[]][] => [
    ...adaptiveNorm(`${name}.norm1`),
    ...attention(`${name}.attn1`, width),
    ...adaptiveNorm(`${name}.norm2`),
    ...attention(`${name}.attn2`, context),
    ...norm(`${name}.norm3`),
    ...linear(`${name}.ff.net.0.proj`, 4 * width, width),
    ...linear(`${name}.ff.net.2`, width, 4 * width),
  ];
  return [
    ["latent_image_embedding.emb.weight", [classes, width]],
    ["latent_image_embedding.height_emb.weight", [side, width]],
    ["latent_image_embedding.width_emb.weight", [side, width]],
    ...Array.from({ length: layers }, (_, i) => block(`transformer_blocks.${i}`)).flat(),
    ...norm("norm_out"),
    ...linear("out", classes - 1, width),
  ];
}
