/**
 * The operations of the Wasm backend: each checks its arguments and records a command.
 *
 * @module
 */

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
  SampleStepOptions,
  Tensor,
} from "../backend.ts";
import {
  attentionSizes,
  checkShape,
  columnsOf,
  convShape,
  elements,
  expectElements,
  expectShape,
  latentSizes,
  linearShape,
  refuse,
  rowsOf,
  shapeText,
} from "../shapes.ts";
import { ACTIVATIONS, float, Opcode } from "./commands.ts";
import { RecordedProgram } from "./recorded_program.ts";
import { WasmConvWeight, WasmLinearWeight } from "./weights.ts";

/** Tiles of 6 rows are the smallest share of an attention worth packing its keys for. */
const FEWEST_CHUNK_QUERIES = 48;

/** A recorded list of operations. */
export class WasmFrame extends RecordedProgram implements Frame {
  embedding(ids: Tensor<"i32">, table: Tensor, position?: Tensor): Tensor {
    const columns = columnsOf(table);
    if (position) expectShape("embedding", "position", position, [null, columns]);
    const out = this.empty([...ids.shape, columns], "f32");
    this.program.push(
      Opcode.embedding,
      this.at("embedding", ids, "i32"),
      this.at("embedding", table),
      position ? this.at("embedding", position) : 0,
      out.address,
      elements(ids.shape),
      columns,
      position ? rowsOf(position) : 1,
      rowsOf(table),
    );
    return out;
  }

  linear(x: Tensor, weight: LinearWeight, options: LinearOptions = {}): Tensor {
    const shape = linearShape(x, weight, options);
    if (!(weight instanceof WasmLinearWeight) || weight.backend !== this.backend) {
      throw new TypeError("Cannot run linear: the weight is not of this backend");
    }
    const out = options.addTo ?? this.empty(shape, "f32");
    const sizes = [
      this.at("linear", out),
      rowsOf(x),
      weight.outFeatures,
      weight.inFeatures,
    ];
    const activation = ACTIVATIONS[options.activation ?? "none"];
    const add = options.addTo !== undefined;
    const from = this.at("linear", x);
    if (weight.dtype === "q8") {
      using _scope = this.scope();
      const rowWords = this.backend.kernels.quantizedRowBytes(weight.inFeatures) / 4;
      const quantized = this.empty([rowsOf(x), rowWords], "i32").address;
      const scales = this.empty([rowsOf(x)], "f32").address;
      this.program.push(
        Opcode.quantizeRows,
        from,
        quantized,
        scales,
        rowsOf(x),
        weight.inFeatures,
      );
      const { panels, scales: weightScales, bias, offsets } = weight;
      const addresses = [quantized, scales, panels, weightScales, bias, offsets];
      this.program.push(Opcode.linearQ8, ...addresses, ...sizes, activation, add);
    } else {
      const half = weight.dtype === "fp16";
      const addresses = [from, weight.panels, weight.bias];
      this.program.push(Opcode.linear, ...addresses, ...sizes, half, activation, add);
    }
    return out;
  }

  geglu(x: Tensor): Tensor {
    const columns = columnsOf(x) / 2;
    if (!Number.isInteger(columns)) {
      refuse("geglu", "an even number of columns", shapeText(x.shape));
    }
    const out = this.empty([...x.shape.slice(0, -1), columns], "f32");
    this.program.push(Opcode.geglu, this.at("geglu", x), out.address, rowsOf(x), columns);
    return out;
  }

  attention(q: Columns, k: Columns, v: Columns, options: AttentionOptions): Tensor {
    const { queries, keys, shape } = attentionSizes(q, k, v, options);
    const { batch, heads, headDim, scale, causal = false } = options;
    const out = this.empty(shape, "f32");
    const columns = [q, k, v];
    // Enough chunks for all threads, even if there are few heads.
    const shares = Math.ceil(4 * this.backend.device.threads / (batch * heads));
    const chunkQueries = Math.max(FEWEST_CHUNK_QUERIES, 6 * Math.ceil(queries / shares / 6));
    this.program.push(
      Opcode.attention,
      ...columns.map(({ tensor, offset }) => this.at("attention", tensor) + 4 * offset),
      out.address,
      ...columns.map(({ tensor }) => 4 * columnsOf(tensor)),
      batch,
      heads,
      headDim,
      queries,
      keys,
      float(scale),
      causal,
      chunkQueries,
    );
    return out;
  }

  layerNorm(x: Tensor, { weight, bias, eps }: LayerNormOptions): Tensor {
    const columns = columnsOf(x);
    expectElements("layerNorm", "weight", weight, columns);
    expectElements("layerNorm", "bias", bias, columns);
    return this.#norm("layerNorm", x, eps, weight, bias, 0);
  }

  adaLayerNorm(x: Tensor, { table, timestep, eps }: AdaLayerNormOptions): Tensor {
    expectShape("adaLayerNorm", "table", table, [null, 2 * columnsOf(x)]);
    expectElements("adaLayerNorm", "timestep", timestep, 1);
    return this.#norm("adaLayerNorm", x, eps, table, timestep, rowsOf(table));
  }

  /** @param timesteps Rows of the adaptive norm's table, 0 for the plain norm. */
  #norm(
    operation: string,
    x: Tensor,
    eps: number,
    weight: Tensor,
    bias: Tensor<DType>,
    timesteps: number,
  ): Tensor {
    const out = this.empty(x.shape, "f32");
    this.program.push(
      Opcode.layerNorm,
      this.at(operation, x),
      out.address,
      rowsOf(x),
      columnsOf(x),
      float(eps),
      this.at(operation, weight),
      this.at(operation, bias, timesteps > 0 ? "i32" : "f32"),
      timesteps > 0,
      timesteps,
    );
    return out;
  }

  groupNorm(x: Tensor, options: GroupNormOptions): Tensor {
    const operation = "groupNorm";
    expectShape(operation, "x", x, [null, null, null, null]);
    const { weight, bias, groups, eps, silu = false } = options;
    const [batch, height, width, channels] = x.shape as [number, number, number, number];
    expectElements(operation, "weight", weight, channels);
    expectElements(operation, "bias", bias, channels);
    if (channels % groups !== 0) {
      refuse(operation, `channels that ${groups} groups divide`, `${channels}`);
    }
    const pixels = height * width;
    const out = this.empty(x.shape, "f32");
    using _scope = this.scope();
    const blocks = this.backend.kernels.groupNormBlocks(pixels);
    const sums = this.empty([batch, blocks, 2, 2 * channels], "f32");
    const fields = [
      this.at(operation, x),
      out.address,
      sums.address,
      this.at(operation, weight),
      this.at(operation, bias),
      batch,
      pixels,
      channels,
      groups,
      float(eps),
      silu,
    ];
    this.program.push(Opcode.groupNormSums, ...fields);
    this.program.push(Opcode.groupNormApply, ...fields);
    return out;
  }

  conv2d(x: Tensor, weight: ConvWeight, options: ConvOptions = {}): Tensor {
    const shape = convShape(x, weight, options);
    if (!(weight instanceof WasmConvWeight) || weight.backend !== this.backend) {
      throw new TypeError("Cannot run conv2d: the weight is not of this backend");
    }
    const { stride = 1, upsample = false, addTo } = options;
    const out = addTo ?? this.empty(shape, "f32");
    const from = [this.at("conv2d", x), weight.zero];
    const to = [weight.matrix.bias, this.at("conv2d", out)];
    const sizes = [...x.shape, ...shape.slice(1)];
    const add = addTo !== undefined;
    const panels = stride === 1 ? weight.winogradPanels : undefined;
    if (panels !== undefined) {
      this.program.push(Opcode.winograd, ...from, panels, ...to, ...sizes, upsample, add);
    } else {
      const kernel = [weight.kernelSize, stride];
      const direct = weight.matrix.panels;
      this.program.push(
        Opcode.convolution,
        ...from,
        direct,
        ...to,
        ...sizes,
        ...kernel,
        upsample,
        add,
      );
    }
    return out;
  }

  reshape(x: Tensor, shape: readonly number[]): Tensor {
    checkShape("reshape", shape);
    expectElements("reshape", "x", x, elements(shape));
    return this.view(this.at("reshape", x), shape);
  }

  transpose(x: Tensor): Tensor {
    expectShape("transpose", "x", x, [null, null, null]);
    const [batch, rows, columns] = x.shape as [number, number, number];
    const out = this.empty([batch, columns, rows], "f32");
    const from = this.at("transpose", x);
    this.program.push(Opcode.transpose, from, out.address, batch, rows, columns);
    return out;
  }

  repeat(x: Tensor, times: number): Tensor {
    if (!Number.isInteger(times) || times < 1) refuse("repeat", "times from 1 on", `${times}`);
    const [first = 1, ...rest] = x.shape;
    const out = this.empty([first * times, ...rest], "f32");
    this.program.push(
      Opcode.repeat,
      this.at("repeat", x),
      out.address,
      times,
      elements(x.shape),
    );
    return out;
  }

  normalizeRows(x: Tensor): Tensor {
    return this.#rows("normalizeRows", x);
  }

  logSoftmax(x: Tensor): Tensor {
    return this.#rows("logSoftmax", x);
  }

  #rows(operation: "normalizeRows" | "logSoftmax", x: Tensor): Tensor {
    const out = this.empty(x.shape, "f32");
    const from = this.at(operation, x);
    this.program.push(Opcode[operation], from, out.address, rowsOf(x), columnsOf(x));
    return out;
  }

  nearestCode(x: Tensor, codebook: Tensor): Tensor<"i32"> {
    expectShape("nearestCode", "codebook", codebook, [null, columnsOf(x)]);
    const out = this.empty(x.shape.slice(0, -1), "i32");
    this.program.push(
      Opcode.nearestCode,
      this.at("nearestCode", x),
      this.at("nearestCode", codebook),
      out.address,
      rowsOf(x),
      columnsOf(x),
      rowsOf(codebook),
    );
    return out;
  }

  posterior(logProbs: Tensor, latents: Tensor<"i32">, options: PosteriorOptions): Tensor {
    const operation = "posterior";
    const { batch, pixels, classes, timesteps } = latentSizes(
      operation,
      logProbs,
      latents,
      options,
    );
    const out = this.empty([batch, pixels, classes], "f32");
    this.program.push(
      Opcode.posterior,
      this.at(operation, logProbs),
      this.at(operation, latents, "i32"),
      this.at(operation, options.schedule),
      this.at(operation, options.timestep, "i32"),
      out.address,
      batch * pixels,
      classes,
      timesteps,
    );
    return out;
  }

  sampleStep(logProbs: Tensor, options: SampleStepOptions): void {
    const operation = "sampleStep";
    const { latents, noise, schedule, timestep, guidanceScale, truncationRate } = options;
    const { batch, pixels, classes, timesteps } = latentSizes(
      operation,
      logProbs,
      latents,
      options,
    );
    expectElements(operation, "noise", noise, batch * classes * pixels);
    this.program.push(
      Opcode.sampleStep,
      this.at(operation, logProbs),
      this.at(operation, latents, "i32"),
      this.at(operation, noise),
      this.at(operation, schedule),
      this.at(operation, timestep, "i32"),
      batch,
      pixels,
      classes,
      timesteps,
      guidanceScale !== undefined,
      float(guidanceScale ?? 1),
      truncationRate !== undefined,
      float(truncationRate ?? 1),
    );
  }
}
