/**
 * Weights in Wasm memory, packed into the panels that the kernels read.
 *
 * @module
 */

import { atOnce, type Steps } from "../../base/pauses.ts";
import { STORED_DTYPES, storedDType, type WeightDType } from "../../base/dtypes.ts";
import type { ConvWeight, HostArray, LinearWeight } from "../backend.ts";
import {
  checkConvWeight,
  checkLinearWeight,
  type ConvSizes,
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
  disposed = false;

  constructor(backend: WasmHost) {
    this.#backend = backend;
  }

  allocate(bytes: number): Block {
    const block = this.#backend.allocator.allocate(bytes);
    this.#blocks.push(block);
    return block;
  }

  dispose(): void {
    this.disposed = true;
    for (const block of this.#blocks.splice(0)) this.#backend.release(block);
  }
}

/** What a weight lies in. */
export interface WeightParts {
  /** The weight in panels. */
  readonly panels: Addressed;
  /** One bias for each column, zeros if there is none. */
  readonly bias: Addressed;
  /** One scale for each column; null unless int8. */
  readonly scales?: Addressed;
  /** One int32 offset for each column; null unless int8. */
  readonly offsets?: Addressed;
  /** Whose memory that is. */
  readonly memory: { readonly disposed: boolean; dispose(): void };
}

/** Columns of a result with those that fill up the last panel. */
export function panelColumns(outFeatures: number): number {
  return Math.ceil(outFeatures / PANEL_COLUMNS) * PANEL_COLUMNS;
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
  readonly scales: Addressed;
  readonly offsets: Addressed;
  readonly #memory: WeightParts["memory"];

  /** A weight that lies in `parts`. */
  constructor(
    backend: WasmHost,
    sizes: { readonly outFeatures: number; readonly inFeatures: number },
    dtype: WeightDType,
    { panels, bias, scales = NULL, offsets = NULL, memory }: WeightParts,
  ) {
    this.backend = backend;
    this.outFeatures = sizes.outFeatures;
    this.inFeatures = sizes.inFeatures;
    this.dtype = dtype;
    this.panels = panels;
    this.bias = bias;
    this.scales = scales;
    this.offsets = offsets;
    this.#memory = memory;
  }

  /** Whether its memory was given back. */
  get disposed(): boolean {
    return this.#memory.disposed;
  }

  dispose(): void {
    this.#memory.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

/** Packs matrices below each other, in parts. */
export function* packLinearWeight(
  backend: WasmHost,
  weights: readonly HostArray[],
  biases: readonly HostArray[],
  dtype: WeightDType,
): Steps<WasmLinearWeight> {
  const { hollow } = backend.memory;
  const sizes = checkLinearWeight(weights, biases, { hollow });
  const memory = new Blocks(backend);
  const columns = panelColumns(sizes.outFeatures);
  const bytesPerColumn = dtype === "q8"
    ? 4 * Math.ceil(sizes.inFeatures / 4)
    : sizes.inFeatures * (dtype === "fp16" ? 2 : 4);
  const cleared = (bytes: number) => {
    const block = memory.allocate(bytes);
    backend.memory.clear(block.address, bytes);
    return block;
  };
  try {
    // What fills up the last panel, and the last group of an int8 row, is multiplied too.
    const panels = cleared(columns * bytesPerColumn);
    const bias = cleared(4 * columns);
    const quantized = dtype === "q8" &&
      { scales: cleared(4 * columns), offsets: cleared(4 * columns) };
    const weight = new WasmLinearWeight(backend, sizes, dtype, {
      ...{ panels, bias, memory },
      ...quantized,
    });
    yield* packAll(weight, weights, biases);
    return weight;
  } catch (error) {
    memory.dispose();
    throw error;
  }
}

/** Elements that are packed at once: some milliseconds. */
const PACKED_AT_ONCE = 2 ** 20;

function* packAll(
  to: WasmLinearWeight,
  weights: readonly HostArray[],
  biases: readonly HostArray[],
): Steps<void> {
  const most = Math.max(1, Math.floor(PACKED_AT_ONCE / to.inFeatures));
  let first = 0;
  for (const [i, weight] of weights.entries()) {
    const rows = weight.shape[0]!;
    for (let row = 0; row < rows; row += most) {
      if (first + row > 0) yield;
      packRows(to, someRows(weight, row, Math.min(rows, row + most)), first + row);
    }
    if (biases[i]) {
      to.backend.memory.write(to.bias.address + 4 * first, float32Values(biases[i]));
    }
    first += rows;
  }
}

/** The rows of a matrix from `begin` to `end`, as a view. */
function someRows(array: HostArray, begin: number, end: number): HostArray {
  const [, ...rest] = array.shape;
  const columns = elementCount(rest);
  const shape = [end - begin, ...rest];
  const data = array.data.subarray(begin * columns, end * columns);
  const scale = array.dtype === "i8" && { scale: array.scale.subarray(begin, end) };
  return { ...array, shape, data, ...scale } as HostArray;
}

/** Packs a matrix as the rows from `first` on. */
function packRows(to: WasmLinearWeight, weight: HostArray, first: number): void {
  const { backend, dtype } = to;
  const { kernels } = backend;
  const place = [weight.shape[0]!, to.inFeatures, to.panels.address, first] as const;
  const quantized = [to.scales.address, to.offsets.address] as const;
  if (weight.dtype === "i8" && dtype === "q8") {
    withStored(
      backend,
      weight,
      (from, scales) => kernels.packPanelsI8(from, scales, ...place, ...quantized),
    );
    return;
  }
  withFloats(backend, weight, (from) => {
    if (dtype === "q8") kernels.packPanelsQ8(from, ...place, ...quantized);
    else if (!kernels.packPanels(from, ...place, Number(dtype === "fp16"))) {
      throw new RangeError(
        "Cannot hold a weight as fp16: expected numbers up to 65504, got a larger one or NaN",
      );
    }
  });
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
  readonly #memory: { dispose(): void };
  #winogradPanels: Addressed | undefined;
  #isWinogradPacked = false;

  /**
   * A weight whose matrix is there.
   *
   * @param memory That of `zero`; blocks of a weight that stays as it is.
   */
  constructor(
    { outChannels, inChannels, kernelSize }: ConvSizes,
    matrix: WasmLinearWeight,
    zero: Addressed,
    memory: { dispose(): void },
  ) {
    this.backend = matrix.backend;
    this.outChannels = outChannels;
    this.inChannels = inChannels;
    this.kernelSize = kernelSize;
    this.matrix = matrix;
    this.zero = zero;
    this.#memory = memory;
  }

  /** Packs an array of a checkpoint. */
  static pack(backend: WasmHost, weight: HostArray, bias: HostArray): WasmConvWeight {
    const { hollow } = backend.memory;
    const sizes = checkConvWeight(weight, bias, { hollow });
    const { outChannels, inChannels, kernelSize } = sizes;
    const values = float32Values(weight);
    const data = hollow ? values : kernelChannelsLast(values, sizes);
    const shape = [outChannels, kernelSize ** 2 * inChannels];
    const array: HostArray = { dtype: "f32", data, shape };
    const matrix = atOnce(packLinearWeight(backend, [array], [bias], "fp32"));
    const blocks = new Blocks(backend);
    try {
      const zero = blocks.allocate(4 * inChannels);
      backend.memory.clear(zero.address, 4 * inChannels);
      return new WasmConvWeight(sizes, matrix, zero, blocks);
    } catch (error) {
      matrix.dispose();
      throw error;
    }
  }

  /**
   * Memory for the weight transformed for Winograd's convolution, which is taken when it is first asked
   * for: it is four times as large, and most weights of an encoder are never used. Undefined if it
   * does not pay, does not fit into the memory, or would have to be made anew in each run.
   */
  winogradPanels(): Addressed | undefined {
    const memory = this.#memory;
    const isFixed = memory instanceof Blocks;
    if (this.#winogradPanels === undefined && isFixed && suitsWinograd(this)) {
      const { inChannels, outChannels } = this;
      try {
        this.#winogradPanels = memory.allocate(4 * WINOGRAD_POINTS * outChannels * inChannels);
      } catch (error) {
        if (!(error instanceof RangeError)) throw error;
      }
    }
    return this.#winogradPanels;
  }

  /**
   * Transforms the weight, once; to be called before what uses the memory of `winogradPanels`.
   *
   * @returns Whether it was still to be done.
   */
  packWinograd(): boolean {
    const panels = this.#winogradPanels;
    if (panels === undefined || this.#isWinogradPacked || this.disposed) return false;
    const { backend, matrix, outChannels, inChannels } = this;
    backend.kernels.packWinograd(matrix.panels.address, outChannels, inChannels, panels.address);
    this.#isWinogradPacked = true;
    return true;
  }

  /** Whether its memory was given back. */
  get disposed(): boolean {
    return this.matrix.disposed;
  }

  dispose(): void {
    this.matrix.dispose();
    this.#memory.dispose();
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
    staging.dispose();
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
