/**
 * Weights of matrix products and convolutions in GPU memory.
 *
 * A matrix W (N, K) is stored as in checkpoints, row by row, with K filled up with zeros to a multiple
 * of 4: four neighbours of a row are one `vec4f`, one `vec2u` of float16 pairs, or one `u32` of int8.
 *
 * @module
 */

import type { Backend, ConvWeight, HostArray, LinearWeight, WeightDType } from "../backend.ts";
import type { Device } from "./device.ts";
import { formatShape } from "./format.ts";
import {
  defaultDType,
  float32Values,
  type PackedRows,
  packFloat16,
  packFloat32,
  packInt8,
} from "./host_arrays.ts";
import { type BufferSlice, elementCount, STORAGE_USAGE } from "./tensor.ts";

/** Some rows of a matrix that one binding can hold. */
export interface MatrixPart {
  /** First row: first column of the result. */
  readonly firstRow: number;
  /** Number of rows. */
  readonly rows: number;
  /** The packed rows. */
  readonly values: BufferSlice;
  /** One factor for each row of int8. */
  readonly scale: BufferSlice | undefined;
}

/** A matrix and bias, as matrix products use them. */
export interface Matrix {
  /** How its values are held. */
  readonly dtype: WeightDType;
  /** Rows N: columns of the result. */
  readonly rows: number;
  /** Columns K, filled up to a multiple of 4. */
  readonly columns: number;
  /** The rows, in order. */
  readonly parts: readonly MatrixPart[];
  /** One summand for each row. */
  readonly bias: BufferSlice | undefined;
}

/** Memory of a weight. */
class WeightMemory {
  readonly #device: Device;
  readonly #buffers: GPUBuffer[] = [];
  disposed = false;

  constructor(device: Device) {
    this.#device = device;
  }

  /** Copies an array to the GPU. */
  upload(data: ArrayBufferView, operation: string): BufferSlice {
    const device = this.#device;
    const buffer = device.allocate(data.byteLength, STORAGE_USAGE, operation);
    this.#buffers.push(buffer);
    device.write(buffer, 0, data);
    return { buffer, bytes: data.byteLength };
  }

  free(): void {
    this.disposed = true;
    this.#buffers.splice(0).forEach((buffer) => this.#device.free(buffer));
  }
}

/** A linear layer's weight. */
export class WebGpuLinearWeight implements LinearWeight {
  /** Backend whose memory it lies in. */
  readonly backend: Backend;
  /** Columns of the argument. */
  readonly inFeatures: number;
  /** The matrix. */
  readonly matrix: Matrix;
  readonly #memory: WeightMemory;

  /**
   * Packs and uploads.
   *
   * @throws {RangeError} If the shapes of weights and biases do not fit.
   */
  constructor(
    backend: Backend,
    device: Device,
    weights: readonly HostArray[],
    biases: readonly HostArray[],
    dtype: WeightDType = defaultDType(weights),
  ) {
    this.backend = backend;
    this.inFeatures = joinedColumns(weights, biases);
    this.#memory = new WeightMemory(device);
    const columns = this.inFeatures;
    const pack = { fp32: packFloat32, fp16: packFloat16, q8: packInt8 }[dtype];
    const values = biases.length > 0 ? joined(biases.map(float32Values)) : undefined;
    try {
      this.matrix = uploadMatrix(this.#memory, device.maxBindingBytes, {
        dtype,
        columns,
        packed: weights.map((weight) => pack(weight, columns)),
        bias: values,
      });
    } catch (error) {
      this.#memory.free();
      throw error;
    }
  }

  /** Columns of the result. */
  get outFeatures(): number {
    return this.matrix.rows;
  }

  /** How it is held. */
  get dtype(): WeightDType {
    return this.matrix.dtype;
  }

  /** Whether its memory was given back. */
  get disposed(): boolean {
    return this.#memory.disposed;
  }

  /** Gives the memory back. */
  dispose(): void {
    this.#memory.free();
  }

  /** Gives the memory back. */
  [Symbol.dispose](): void {
    this.dispose();
  }
}

/** A convolution's weight, (out, k, k, in) as one matrix with `in` filled up to a multiple of 4. */
export class WebGpuConvWeight implements ConvWeight {
  /** Backend whose memory it lies in. */
  readonly backend: Backend;
  /** Channels of the argument. */
  readonly inChannels: number;
  /** Side of the kernel. */
  readonly kernelSize: number;
  /** The matrix (out, k · k · filled-up in). */
  readonly matrix: Matrix;
  readonly #memory: WeightMemory;

  /**
   * Packs and uploads.
   *
   * @throws {RangeError} If the shapes of weight and bias do not fit.
   */
  constructor(backend: Backend, device: Device, weight: HostArray, bias: HostArray) {
    const [outChannels, inChannels, size, width] = weight.shape;
    if (
      weight.shape.length !== 4 || size !== width || (size !== 1 && size !== 3) ||
      elementCount(bias.shape) !== outChannels
    ) {
      throw new RangeError(
        `Cannot use convolution weight ${formatShape(weight.shape)} ` +
          `with bias ${formatShape(bias.shape)}`,
      );
    }
    this.backend = backend;
    this.inChannels = inChannels!;
    this.kernelSize = size;
    this.#memory = new WeightMemory(device);
    const taps = size * size;
    const channelsLast = movedChannels(float32Values(weight), outChannels, inChannels!, taps);
    const columns = channelsLast.length / outChannels;
    try {
      this.matrix = uploadMatrix(this.#memory, device.maxBindingBytes, {
        dtype: "fp32",
        columns,
        packed: [{ rows: outChannels, rowBytes: columns * 4, values: channelsLast }],
        bias: float32Values(bias),
      });
    } catch (error) {
      this.#memory.free();
      throw error;
    }
  }

  /** Channels of the result. */
  get outChannels(): number {
    return this.matrix.rows;
  }

  /** Whether its memory was given back. */
  get disposed(): boolean {
    return this.#memory.disposed;
  }

  /** Gives the memory back. */
  dispose(): void {
    this.#memory.free();
  }

  /** Gives the memory back. */
  [Symbol.dispose](): void {
    this.dispose();
  }
}

interface HostMatrix {
  readonly dtype: WeightDType;
  readonly columns: number;
  readonly packed: readonly PackedRows[];
  readonly bias: Float32Array | undefined;
}

/** Uploads matrices below one another, in parts that one binding can hold. */
function uploadMatrix(memory: WeightMemory, maxBytes: number, matrix: HostMatrix): Matrix {
  const { dtype, packed, bias } = matrix;
  const rowBytes = packed[0]!.rowBytes;
  const rows = packed.reduce((sum, part) => sum + part.rows, 0);
  const maxRows = Math.floor(maxBytes / rowBytes);
  if (maxRows < 1) {
    throw new RangeError(`Cannot bind rows of ${rowBytes} bytes: this GPU allows ${maxBytes}`);
  }
  const values = joinedBytes(packed.map((part) => part.values));
  const scales = packed.map((part) => part.scale).filter((scale) => scale !== undefined);
  const scale = scales.length > 0 ? joined(scales) : undefined;
  const parts: MatrixPart[] = [];
  for (let firstRow = 0; firstRow < rows; firstRow += maxRows) {
    const end = Math.min(rows, firstRow + maxRows);
    parts.push({
      firstRow,
      rows: end - firstRow,
      values: memory.upload(values.subarray(firstRow * rowBytes, end * rowBytes), "a weight"),
      scale: scale && memory.upload(scale.subarray(firstRow, end), "a weight's scales"),
    });
  }
  return {
    dtype,
    rows,
    columns: Math.ceil(matrix.columns / 4) * 4,
    parts,
    bias: bias && memory.upload(bias, "a bias"),
  };
}

/** Columns of matrices to be joined along their rows. */
function joinedColumns(weights: readonly HostArray[], biases: readonly HostArray[]): number {
  const shapes = weights.map(({ shape }) => formatShape(shape)).join(", ");
  const columns = weights[0]?.shape[1];
  const fits = ({ shape }: HostArray) =>
    shape[1] === columns && shape.slice(2).every((length) => length === 1);
  if (columns === undefined || columns < 1 || !weights.every(fits)) {
    throw new RangeError(`Cannot join linear weights of shapes ${shapes || "[]"}`);
  }
  const belongs = ({ shape }: HostArray, i: number) => elementCount(shape) === weights[i]?.shape[0];
  if (biases.length > 0 && (biases.length !== weights.length || !biases.every(belongs))) {
    throw new RangeError(
      `Cannot use biases of shapes ${biases.map(({ shape }) => formatShape(shape)).join(", ")} ` +
        `with linear weights of shapes ${shapes}`,
    );
  }
  return columns;
}

function joined(arrays: readonly Float32Array[]): Float32Array {
  if (arrays.length === 1) return arrays[0]!;
  return new Float32Array(joinedBytes(arrays).buffer);
}

function joinedBytes(arrays: readonly ArrayBufferView[]): Uint8Array<ArrayBuffer> {
  const views = arrays.map(({ buffer, byteOffset, byteLength }) =>
    new Uint8Array(buffer as ArrayBuffer, byteOffset, byteLength)
  );
  if (views.length === 1) return views[0]!;
  const bytes = new Uint8Array(views.reduce((sum, view) => sum + view.length, 0));
  let offset = 0;
  for (const view of views) {
    bytes.set(view, offset);
    offset += view.length;
  }
  return bytes;
}

/** (out, in, taps) → (out, taps, in filled up with zeros to a multiple of 4). */
function movedChannels(
  weight: Float32Array,
  outChannels: number,
  inChannels: number,
  taps: number,
): Float32Array {
  const filled = Math.ceil(inChannels / 4) * 4;
  const moved = new Float32Array(outChannels * taps * filled);
  for (let out = 0; out < outChannels; out++) {
    for (let channel = 0; channel < inChannels; channel++) {
      for (let tap = 0; tap < taps; tap++) {
        moved[(out * taps + tap) * filled + channel] =
          weight[(out * inChannels + channel) * taps + tap]!;
      }
    }
  }
  return moved;
}
