/**
 * Weights in Wasm memory, packed into the panels that the kernels read.
 *
 * @module
 */

import { STORED_DTYPES, storedDType, type WeightDType } from "../../base/dtypes.ts";
import type { ConvWeight, HostArray, LinearWeight } from "../backend.ts";
import {
  checkConvWeight,
  checkLinearWeight,
  float32Values,
  kernelChannelsLast,
} from "../host_arrays.ts";
import { elementCount } from "../../base/shapes.ts";
import { Format } from "../../../wasm/commands.ts";
import { type Addressed, type Block, NULL } from "./allocator.ts";
import type { WasmHost } from "./host.ts";

const PANEL_COLUMNS = 8;
/** Matrix products of Winograd's convolution, F(4×4, 3×3). */
const WINOGRAD_POINTS = 36;

/** A set of blocks that are given back together. */
class Blocks {
  readonly #backend: WasmHost;
  readonly #blocks: Block[] = [];
  /** Whether they were given back. */
  released = false;

  constructor(backend: WasmHost) {
    this.#backend = backend;
  }

  allocate(bytes: number): Block {
    const block = this.#backend.allocator.allocate(bytes);
    this.#blocks.push(block);
    return block;
  }

  release(): void {
    this.released = true;
    for (const block of this.#blocks.splice(0)) this.#backend.release(block);
  }
}

/** Weight of a linear layer. */
export class WasmLinearWeight implements LinearWeight {
  readonly backend: WasmHost;
  readonly outFeatures: number;
  readonly inFeatures: number;
  readonly dtype: WeightDType;
  /** The weight in panels. */
  readonly panels: Addressed;
  /** One bias for each column, zeros if there is none. */
  readonly bias: Addressed;
  /** One scale and one int32 offset for each column; null unless int8. */
  readonly scales: Addressed = NULL;
  readonly offsets: Addressed = NULL;
  readonly #blocks: Blocks;

  /** Packs the matrices below each other. */
  constructor(
    backend: WasmHost,
    weights: readonly HostArray[],
    biases: readonly HostArray[],
    dtype: WeightDType,
  ) {
    this.backend = backend;
    this.dtype = dtype;
    const { hollow } = backend.memory;
    const sizes = checkLinearWeight(weights, biases, { hollow });
    this.inFeatures = sizes.inFeatures;
    this.outFeatures = sizes.outFeatures;
    this.#blocks = new Blocks(backend);
    const columns = Math.ceil(this.outFeatures / PANEL_COLUMNS) * PANEL_COLUMNS;
    const bytesPerColumn = dtype === "q8"
      ? 4 * Math.ceil(this.inFeatures / 4)
      : this.inFeatures * (dtype === "fp16" ? 2 : 4);
    try {
      this.panels = this.#blocks.allocate(columns * bytesPerColumn);
      this.bias = this.#blocks.allocate(4 * columns);
      if (dtype === "q8") {
        this.scales = this.#blocks.allocate(4 * columns);
        this.offsets = this.#blocks.allocate(4 * columns);
        backend.memory.clear(this.scales.address, 4 * columns);
        backend.memory.clear(this.offsets.address, 4 * columns);
      }
      // What fills up the last panel, and the last group of an int8 row, is multiplied too.
      backend.memory.clear(this.panels.address, columns * bytesPerColumn);
      this.#packAll(weights, biases, columns);
    } catch (error) {
      this.#blocks.release();
      throw error;
    }
  }

  #packAll(weights: readonly HostArray[], biases: readonly HostArray[], columns: number): void {
    const { memory } = this.backend;
    memory.clear(this.bias.address, 4 * columns);
    let first = 0;
    for (const [i, weight] of weights.entries()) {
      this.#pack(weight, first);
      if (biases[i]) memory.write(this.bias.address + 4 * first, float32Values(biases[i]));
      first += weight.shape[0]!;
    }
  }

  #pack(weight: HostArray, first: number): void {
    const { kernels } = this.backend;
    const to = [weight.shape[0]!, this.inFeatures, this.panels.address, first] as const;
    const quantized = [this.scales.address, this.offsets.address] as const;
    if (weight.dtype === "i8" && this.dtype === "q8") {
      withStored(
        this.backend,
        weight,
        (from, scales) => kernels.packPanelsI8(from, scales, ...to, ...quantized),
      );
      return;
    }
    withFloats(this.backend, weight, (from) => {
      if (this.dtype === "q8") kernels.packPanelsQ8(from, ...to, ...quantized);
      else if (!kernels.packPanels(from, ...to, Number(this.dtype === "fp16"))) {
        throw new RangeError(
          "Cannot hold a weight as fp16: expected numbers up to 65504, got a larger one or NaN",
        );
      }
    });
  }

  /** Whether its memory was given back. */
  get disposed(): boolean {
    return this.#blocks.released;
  }

  dispose(): void {
    this.#blocks.release();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

/** Weight of a convolution. */
export class WasmConvWeight implements ConvWeight {
  readonly backend: WasmHost;
  readonly outChannels: number;
  readonly inChannels: number;
  readonly kernelSize: number;
  /** The taps of all channels as a matrix. */
  readonly matrix: WasmLinearWeight;
  /** A pixel of zeros, for the padding. */
  readonly zero: Addressed;
  readonly #blocks: Blocks;
  #winogradPanels: Addressed | undefined;

  constructor(backend: WasmHost, weight: HostArray, bias: HostArray) {
    const { hollow } = backend.memory;
    const sizes = checkConvWeight(weight, bias, { hollow });
    const { outChannels, inChannels, kernelSize } = sizes;
    this.backend = backend;
    this.outChannels = outChannels;
    this.inChannels = inChannels;
    this.kernelSize = kernelSize;
    const values = float32Values(weight);
    const data = hollow ? values : kernelChannelsLast(values, sizes);
    const shape = [outChannels, kernelSize ** 2 * inChannels];
    this.matrix = new WasmLinearWeight(backend, [{ dtype: "f32", data, shape }], [bias], "fp32");
    this.#blocks = new Blocks(backend);
    try {
      this.zero = this.#blocks.allocate(4 * inChannels);
    } catch (error) {
      this.matrix.dispose();
      throw error;
    }
    backend.memory.clear(this.zero.address, 4 * inChannels);
  }

  /**
   * The weight transformed for Winograd's convolution, which is made when it is first asked
   * for: it is four times as large, and most weights of an encoder are never used. Undefined if it
   * does not pay, or does not fit into the memory.
   */
  winogradPanels(): Addressed | undefined {
    if (this.#winogradPanels === undefined && suitsWinograd(this)) {
      const { backend, matrix, outChannels, inChannels } = this;
      try {
        const panels = this.#blocks.allocate(4 * WINOGRAD_POINTS * outChannels * inChannels);
        backend.kernels.packWinograd(
          matrix.panels.address,
          outChannels,
          inChannels,
          panels.address,
        );
        this.#winogradPanels = panels;
      } catch (error) {
        if (!(error instanceof RangeError)) throw error;
      }
    }
    return this.#winogradPanels;
  }

  /** Whether its memory was given back. */
  get disposed(): boolean {
    return this.matrix.disposed;
  }

  dispose(): void {
    this.matrix.dispose();
    this.#blocks.release();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

/** Fewer channels do not repay the transforms; more would take too much memory, 36 MiB at this limit. */
function suitsWinograd({ kernelSize, inChannels, outChannels }: WasmConvWeight): boolean {
  return kernelSize === 3 && inChannels % 4 === 0 && outChannels % PANEL_COLUMNS === 0 &&
    Math.min(inChannels, outChannels) >= 64 && inChannels * outChannels <= 2 ** 18;
}

/**
 * Calls `use` with the addresses of the array's values, as they are stored, and of the scales of
 * int8 rows, in memory that is given back afterwards; `staging` is for more of it.
 */
function withStored<T>(
  backend: WasmHost,
  array: HostArray,
  use: (values: number, scales: number, staging: Blocks) => T,
): T {
  const staging = new Blocks(backend);
  try {
    const values = staging.allocate(
      STORED_DTYPES[storedDType(array.dtype)] * elementCount(array.shape),
    );
    backend.memory.write(values.address, array.data);
    let scales = NULL;
    if (array.dtype === "i8") {
      scales = staging.allocate(4 * (array.shape[0] ?? 1));
      backend.memory.write(scales.address, array.scale);
    }
    return use(values.address, scales.address, staging);
  } finally {
    staging.release();
  }
}

/** Calls `use` with the address of the array as float32 in memory that is given back afterwards. */
function withFloats<T>(
  backend: WasmHost,
  array: HostArray,
  use: (address: number) => T,
): T {
  return withStored(backend, array, (values, scales, staging) => {
    if (array.dtype === "f32") return use(values);
    const count = elementCount(array.shape);
    const floats = staging.allocate(4 * count).address;
    const columns = count / (array.shape[0] ?? 1);
    backend.kernels.widen(values, Format[array.dtype], floats, count, scales, columns);
    return use(floats);
  });
}
