/**
 * Weights in Wasm memory, packed into the panels that the kernels read.
 *
 * @module
 */

import type { ConvWeight, HostArray, LinearWeight, WeightDType } from "../backend.ts";
import { elements, refuse, shapeText } from "../shapes.ts";
import type { Block } from "./allocator.ts";
import type { WasmBackend } from "./wasm_backend.ts";

/** `Format` of `asm/convert.ts`. */
const FORMATS = { f32: 0, f16: 1, bf16: 2, i8: 3 } as const;
const PANEL_COLUMNS = 8;
/** Matrix products of Winograd's convolution, F(4×4, 3×3). */
const WINOGRAD_POINTS = 36;

/** A set of blocks that are given back together. */
class Blocks {
  readonly #backend: WasmBackend;
  readonly #blocks: Block[] = [];

  constructor(backend: WasmBackend) {
    this.#backend = backend;
  }

  allocate(bytes: number): number {
    const block = this.#backend.allocator.allocate(bytes);
    this.#blocks.push(block);
    return block.address;
  }

  release(): void {
    for (const block of this.#blocks.splice(0)) this.#backend.release(block);
  }
}

/** Weight of a linear layer. */
export class WasmLinearWeight implements LinearWeight {
  readonly backend: WasmBackend;
  readonly outFeatures: number;
  readonly inFeatures: number;
  readonly dtype: WeightDType;
  /** Address of the panels. */
  readonly panels: number;
  /** Address of one bias for each column, zeros if there is none. */
  readonly bias: number;
  /** Addresses of one scale and one int32 offset for each column; 0 unless int8. */
  readonly scales: number = 0;
  readonly offsets: number = 0;
  readonly #blocks: Blocks;

  /** Packs the matrices below each other. */
  constructor(
    backend: WasmBackend,
    weights: readonly HostArray[],
    biases: readonly HostArray[],
    dtype: WeightDType,
  ) {
    this.backend = backend;
    this.dtype = dtype;
    this.inFeatures = weights[0]?.shape[1] ?? 0;
    this.outFeatures = weights.reduce((sum, weight) => sum + weight.shape[0]!, 0);
    checkParts(weights, biases, this.inFeatures);
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
        backend.view("f32", this.scales, columns).fill(0);
        backend.view("i32", this.offsets, columns).fill(0);
      }
      // What fills up the last panel, and the last group of an int8 row, is multiplied too.
      backend.bytes(this.panels, columns * bytesPerColumn).fill(0);
      this.#packAll(weights, biases, columns);
    } catch (error) {
      this.#blocks.release();
      throw error;
    }
  }

  #packAll(weights: readonly HostArray[], biases: readonly HostArray[], columns: number): void {
    const bias = this.backend.view("f32", this.bias, columns).fill(0);
    let first = 0;
    for (const [i, weight] of weights.entries()) {
      this.#pack(weight, first);
      if (biases[i]) bias.set(widened(this.backend, biases[i]), first);
      first += weight.shape[0]!;
    }
  }

  #pack(weight: HostArray, first: number): void {
    const { kernels } = this.backend;
    const rows = weight.shape[0]!;
    if (weight.dtype === "i8" && this.dtype === "q8") {
      const staging = new Blocks(this.backend);
      try {
        const from = staging.allocate(weight.data.length);
        const scales = staging.allocate(4 * rows);
        this.backend.bytes(from, weight.data.length).set(bytesOf(weight.data));
        this.backend.view("f32", scales, rows).set(weight.scale);
        kernels.packPanelsI8(
          from,
          scales,
          rows,
          this.inFeatures,
          this.panels,
          first,
          this.scales,
          this.offsets,
        );
      } finally {
        staging.release();
      }
      return;
    }
    withFloats(this.backend, weight, (from) => {
      if (this.dtype === "q8") {
        kernels.packPanelsQ8(
          from,
          rows,
          this.inFeatures,
          this.panels,
          first,
          this.scales,
          this.offsets,
        );
      } else {
        const half = Number(this.dtype === "fp16");
        kernels.packPanels(from, rows, this.inFeatures, this.panels, first, half);
      }
    });
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
  readonly backend: WasmBackend;
  readonly outChannels: number;
  readonly inChannels: number;
  readonly kernelSize: number;
  /** The taps of all channels as a matrix. */
  readonly matrix: WasmLinearWeight;
  /** Address of a pixel of zeros, for the padding. */
  readonly zero: number;
  readonly #blocks: Blocks;
  #winogradPanels: number | undefined;

  constructor(backend: WasmBackend, weight: HostArray, bias: HostArray) {
    const [out, input, height, width] = weight.shape;
    const fits = weight.shape.length === 4 && height === width && (height === 1 || height === 3);
    if (!fits) refuse("convWeight", "a weight (out, in, k, k), k 1 or 3", shapeText(weight.shape));
    this.backend = backend;
    this.outChannels = out!;
    this.inChannels = input!;
    this.kernelSize = height!;
    const taps = height! * width!;
    const data = channelsLast(widened(backend, weight), out!, input!, taps);
    const matrix: HostArray = { dtype: "f32", data, shape: [out!, taps * input!] };
    this.matrix = new WasmLinearWeight(backend, [matrix], [bias], "fp32");
    this.#blocks = new Blocks(backend);
    this.zero = this.#blocks.allocate(4 * input!);
    backend.view("f32", this.zero, input!).fill(0);
  }

  /**
   * Address of the weight transformed for Winograd's convolution, which is made when it is first asked
   * for: it is four times as large, and most weights of an encoder are never used. Undefined if it
   * does not pay.
   */
  get winogradPanels(): number | undefined {
    if (this.#winogradPanels === undefined && suitsWinograd(this)) {
      const { backend, matrix, outChannels, inChannels } = this;
      this.#winogradPanels = this.#blocks.allocate(4 * WINOGRAD_POINTS * outChannels * inChannels);
      backend.kernels.packWinograd(matrix.panels, outChannels, inChannels, this.#winogradPanels);
    }
    return this.#winogradPanels;
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

/** (out, in, taps) → (out, taps, in) */
function channelsLast(data: Float32Array, out: number, input: number, taps: number): Float32Array {
  if (taps === 1) return data;
  const result = new Float32Array(data.length);
  for (let o = 0, from = 0; o < out; o++) {
    for (let i = 0; i < input; i++) {
      for (let tap = 0; tap < taps; tap++) result[(o * taps + tap) * input + i] = data[from++]!;
    }
  }
  return result;
}

function checkParts(
  weights: readonly HostArray[],
  biases: readonly HostArray[],
  inFeatures: number,
): void {
  const shapes = (arrays: readonly HostArray[]) =>
    arrays.map((array) => shapeText(array.shape)).join(", ");
  const isMatrix = (shape: readonly number[]) =>
    shape[1] === inFeatures &&
    (shape.length === 2 || (shape.length === 4 && shape[2] === 1 && shape[3] === 1));
  if (weights.length === 0 || !weights.every(({ shape }) => isMatrix(shape))) {
    refuse("linearWeight", "matrices of one number of columns", shapes(weights) || "none");
  }
  const biasesFit = biases.length === 0 ||
    biases.length === weights.length &&
      biases.every(({ shape }, i) => shape.length === 1 && shape[0] === weights[i]!.shape[0]);
  if (!biasesFit) {
    refuse("linearWeight", `a bias for each row of ${shapes(weights)}`, shapes(biases));
  }
}

function bytesOf(data: ArrayBufferView): Uint8Array {
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}

/** Calls `use` with the address of the array as float32 in memory that is given back afterwards. */
export function withFloats<T>(
  backend: WasmBackend,
  array: HostArray,
  use: (address: number) => T,
): T {
  const count = elements(array.shape);
  if (array.data.length !== count) {
    refuse(
      "a weight",
      `${count} values for shape ${shapeText(array.shape)}`,
      `${array.data.length}`,
    );
  }
  const staging = new Blocks(backend);
  try {
    const from = staging.allocate(array.data.byteLength);
    backend.bytes(from, array.data.byteLength).set(bytesOf(array.data));
    if (array.dtype === "f32") return use(from);
    const to = staging.allocate(4 * count);
    const rows = array.shape[0] ?? 1;
    const scales = staging.allocate(4 * rows);
    if (array.dtype === "i8") backend.view("f32", scales, rows).set(array.scale);
    backend.kernels.widen(from, FORMATS[array.dtype], to, count, scales, count / rows);
    return use(to);
  } finally {
    staging.release();
  }
}

/** The array as float32 values of the host's. */
export function widened(backend: WasmBackend, array: HostArray): Float32Array {
  if (array.dtype === "f32") return array.data;
  const count = elements(array.shape);
  return withFloats(backend, array, (address) => backend.view("f32", address, count).slice());
}
