// The transformer of VQ-Diffusion as ONNX graphs: one block, and a whole step up to log p(x0). Operations
// are those of diffusers' modules, written as onnxruntime likes them best: all values are matrices, bias
// and product are joined (Gemm), and scores are scaled once. That runs about a tenth faster than what
// torch.onnx exports.

import { float32Values } from "../../src/backends/host_arrays.ts";
import type { ArraySource } from "../../src/checkpoints/arrays.ts";
import { CONTEXT_LENGTH, type TransformerSize } from "../random_transformer.ts";
import { OnnxGraph } from "./onnx_writer.ts";

/** A model in pieces that follow each other. */
export type OnnxModel = readonly Uint8Array[];

const EPS = 1e-5;

/**
 * One block: `x` (batch · pixels, columns), `context` (batch · length, context columns) and `timestep`
 * (1) give `y`, of the shape of `x`.
 */
export async function blockModel(
  size: TransformerSize,
  batch: number,
  weights: ArraySource,
): Promise<OnnxModel> {
  const builder = new TransformerGraph(size, batch, weights);
  const { graph, rows, columns } = builder;
  const x = graph.input("x", "float32", [rows, columns]);
  const { context, timestep } = builder.inputs();
  const y = await builder.block("transformer_blocks.0", x, context, timestep);
  graph.node("Identity", [y], {}, "y");
  graph.output("y", [rows, columns]);
  return graph.model();
}

/**
 * A whole step: `sample` (batch · pixels), `context` and `timestep` give `y`, log p(x0), as (batch ·
 * pixels, classes − 1).
 */
export async function stepModel(
  size: TransformerSize,
  batch: number,
  weights: ArraySource,
): Promise<OnnxModel> {
  const builder = new TransformerGraph(size, batch, weights);
  const { graph, rows } = builder;
  const sample = graph.input("sample", "int32", [rows]);
  const { context, timestep } = builder.inputs();
  let x = await builder.embedding(sample);
  for (let i = 0; i < size.layers; i++) {
    x = await builder.block(`transformer_blocks.${i}`, x, context, timestep);
  }
  const normed = await builder.norm("norm_out", x);
  const logits = await builder.linear("out", normed);
  graph.node("LogSoftmax", [logits], { axis: -1 }, "y");
  graph.output("y", [rows, size.classes - 1]);
  return graph.model();
}

/** A graph with the layers of the transformer. All values are matrices of a row for each pixel. */
class TransformerGraph {
  readonly graph = new OnnxGraph();
  readonly rows: number;
  readonly columns: number;
  readonly #size: TransformerSize;
  readonly #batch: number;
  readonly #contextLength: number;
  readonly #weights: ArraySource;

  constructor(size: TransformerSize, batch: number, weights: ArraySource) {
    this.#size = size;
    this.#batch = batch;
    this.#weights = weights;
    this.#contextLength = size.contextLength ?? CONTEXT_LENGTH;
    this.rows = batch * size.side ** 2;
    this.columns = size.heads * size.headDim;
  }

  inputs(): { context: string; timestep: string } {
    const contextRows = this.#batch * this.#contextLength;
    return {
      context: this.graph.input("context", "float32", [contextRows, this.#size.context]),
      timestep: this.graph.input("timestep", "int32", [1]),
    };
  }

  async embedding(sample: string): Promise<string> {
    const { graph, columns } = this;
    const { side } = this.#size;
    const name = "latent_image_embedding";
    const tokens = graph.node("Gather", [await this.#weight(`${name}.emb.weight`), sample]);
    const positionsOf = async (axis: string, shape: number[]) =>
      graph.floats(await this.#values(`${name}.${axis}.weight`), shape);
    const positions = graph.node("Add", [
      await positionsOf("height_emb", [side, 1, columns]),
      await positionsOf("width_emb", [1, side, columns]),
    ]);
    const image = graph.integers(this.#batch, side, side, columns);
    const sum = graph.node("Add", [graph.node("Reshape", [tokens, image]), positions]);
    return graph.node("Reshape", [sum, graph.integers(this.rows, columns)]);
  }

  async block(name: string, x: string, context: string, timestep: string): Promise<string> {
    const { graph } = this;
    const normed1 = await this.#adaptiveNorm(`${name}.norm1`, x, timestep);
    const attended = await this.#attention(`${name}.attn1`, normed1, normed1, this.#size.side ** 2);
    const x1 = graph.node("Add", [attended, x]);
    const normed2 = await this.#adaptiveNorm(`${name}.norm2`, x1, timestep);
    const met = await this.#attention(`${name}.attn2`, normed2, context, this.#contextLength);
    const x2 = graph.node("Add", [met, x1]);
    const normed3 = await this.norm(`${name}.norm3`, x2);
    const hidden = await this.linear(`${name}.ff.net.0.proj`, normed3);
    const gate = graph.node("Sigmoid", [graph.node("Mul", [hidden, this.#scalar(1.702)])]);
    const active = graph.node("Mul", [hidden, gate]);
    return graph.node("Add", [await this.linear(`${name}.ff.net.2`, active), x2]);
  }

  async norm(name: string, x: string): Promise<string> {
    const parameters = [await this.#weight(`${name}.weight`), await this.#weight(`${name}.bias`)];
    return this.#layerNorm(x, parameters);
  }

  async linear(name: string, x: string): Promise<string> {
    const inputs = [x, await this.#weight(`${name}.weight`), await this.#weight(`${name}.bias`)];
    return this.graph.node("Gemm", inputs, { transB: 1 });
  }

  async #adaptiveNorm(name: string, x: string, timestep: string): Promise<string> {
    const { graph, columns } = this;
    const embedded = graph.node("Gather", [await this.#weight(`${name}.emb.weight`), timestep]);
    const silu = graph.node("Mul", [embedded, graph.node("Sigmoid", [embedded])]);
    const [scale, shift] = [`${name}.scale`, `${name}.shift`];
    const both = [await this.linear(`${name}.linear`, silu), graph.integers(columns, columns)];
    graph.nodes("Split", both, { axis: 1 }, [scale, shift]);
    const ones = graph.floats(new Float32Array(columns).fill(1), [columns]);
    const zeros = graph.floats(new Float32Array(columns), [columns]);
    const factor = graph.node("Add", [scale, this.#scalar(1)]);
    const scaled = graph.node("Mul", [this.#layerNorm(x, [ones, zeros]), factor]);
    return graph.node("Add", [scaled, shift]);
  }

  #layerNorm(x: string, parameters: readonly string[]): string {
    const attributes = { axis: -1, epsilon: { float: EPS } };
    return this.graph.node("LayerNormalization", [x, ...parameters], attributes);
  }

  /** @param source Rows that keys and values are made of, `length` for each sequence. */
  async #attention(name: string, x: string, source: string, length: number): Promise<string> {
    const { graph, columns } = this;
    const { heads, headDim, side } = this.#size;
    const toHeads = async (projection: string, x: string, length: number, perm: number[]) => {
      const shape = graph.integers(this.#batch, length, heads, headDim);
      const projected = await this.linear(`${name}.${projection}`, x);
      return graph.node("Transpose", [graph.node("Reshape", [projected, shape])], { perm });
    };
    const q = await toHeads("to_q", x, side ** 2, [0, 2, 1, 3]);
    const k = await toHeads("to_k", source, length, [0, 2, 3, 1]);
    const v = await toHeads("to_v", source, length, [0, 2, 1, 3]);
    const scores = graph.node("Mul", [graph.node("MatMul", [q, k]), this.#scalar(headDim ** -0.5)]);
    const mixed = graph.node("MatMul", [graph.node("Softmax", [scores], { axis: -1 }), v]);
    const rows = graph.node("Transpose", [mixed], { perm: [0, 2, 1, 3] });
    const joined = graph.node("Reshape", [rows, graph.integers(this.rows, columns)]);
    return await this.linear(`${name}.to_out.0`, joined);
  }

  #scalar(value: number): string {
    return this.graph.floats(Float32Array.of(value), []);
  }

  async #weight(name: string): Promise<string> {
    return this.graph.floats(await this.#values(name), this.#weights.shape(name) ?? []);
  }

  async #values(name: string): Promise<Float32Array> {
    return float32Values(await this.#weights.load(name));
  }
}
