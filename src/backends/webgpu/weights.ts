/**
 * Weights of matrix products and convolutions in GPU memory.
 *
 * A matrix W (N, K) is stored as in checkpoints, row by row, with K filled up with zeros to a multiple
 * of 4: four neighbours of a row are one `vec4f`, one `vec2u` of float16 pairs, or one `u32` of int8.
 *
 * @module
 */

import type { WeightDType } from "../../base/dtypes.ts";
import type { Backend, ConvWeight, HostArray, LinearWeight } from "../backend.ts";
import {
  checkConvWeight,
  checkLinearWeight,
  defaultDType,
  float32Values,
  kernelChannelsLast,
} from "../host_arrays.ts";
import type { Device } from "./device.ts";
import { type PackedRows, packFloat16, packFloat32, packInt8 } from "./kernels/packed_rows.ts";
import { type BufferSlice, STORAGE_USAGE } from "./tensor.ts";

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
  /** One number for each row. */
  readonly bias: BufferSlice | undefined;
}

/** A matrix, and whose memory it lies in. */
export interface HeldMatrix {
  /** The matrix. */
  readonly matrix: Matrix;
  /** Its memory. */
  readonly memory: { readonly disposed: boolean; dispose(): void };
}

/** Memory of a weight. */
class WeightMemory {
  readonly #device: Device;
  readonly #buffers: GPUBuffer[] = [];
  disposed = false;

  constructor(device: Device) {
    this.#device = device;
  }

  /** Copies an array of so many bytes to the GPU. */
  upload(data: ArrayBufferView, bytes: number, operation: string): BufferSlice {
    const device = this.#device;
    const buffer = device.allocate(bytes, STORAGE_USAGE, operation);
    this.#buffers.push(buffer);
    device.write(buffer, 0, data);
    return { buffer, bytes };
  }

  dispose(): void {
    this.disposed = true;
    this.#buffers.splice(0).forEach((buffer) => this.#device.free(buffer));
  }
}

/** A matrix on the GPU, whatever it is the weight of. */
class PackedWeight {
  /** Backend whose memory it lies in. */
  readonly backend: Backend;
  /** The matrix. */
  readonly matrix: Matrix;
  readonly #memory: HeldMatrix["memory"];

  /** Takes a matrix over. */
  constructor(backend: Backend, { matrix, memory }: HeldMatrix) {
    this.backend = backend;
    this.matrix = matrix;
    this.#memory = memory;
  }

  /** Whether its memory was given back. */
  get disposed(): boolean {
    return this.#memory.disposed;
  }

  /** Gives the memory back. */
  dispose(): void {
    this.#memory.dispose();
  }

  /** Gives the memory back. */
  [Symbol.dispose](): void {
    this.dispose();
  }
}

/** A linear layer's weight. */
export class WebGpuLinearWeight extends PackedWeight implements LinearWeight {
  /** Columns of the argument. */
  readonly inFeatures: number;

  /** A weight that lies in `held`. */
  constructor(backend: Backend, inFeatures: number, held: HeldMatrix) {
    super(backend, held);
    this.inFeatures = inFeatures;
  }

  /**
   * Packs and uploads.
   *
   * @throws {RangeError} If the shapes of weights and biases do not fit.
   */
  static upload(
    backend: Backend,
    device: Device,
    weights: readonly HostArray[],
    biases: readonly HostArray[],
    dtype: WeightDType = defaultDType(weights),
  ): WebGpuLinearWeight {
    const { inFeatures: columns } = checkLinearWeight(weights, biases, device);
    const pack = { fp32: packFloat32, fp16: packFloat16, q8: packInt8 }[dtype];
    const held = holdMatrix(device, {
      dtype,
      columns,
      packed: weights.map((weight) => pack(weight, columns)),
      bias: biases.length > 0 ? joined(biases.map(float32Values)) : undefined,
    });
    return new WebGpuLinearWeight(backend, columns, held);
  }

  /** Columns of the result. */
  get outFeatures(): number {
    return this.matrix.rows;
  }

  /** How it is held. */
  get dtype(): WeightDType {
    return this.matrix.dtype;
  }
}

/** A convolution's weight, (out, k, k, in) as one matrix with `in` filled up to a multiple of 4. */
export class WebGpuConvWeight extends PackedWeight implements ConvWeight {
  /** Channels of the argument. */
  readonly inChannels: number;
  /** Side of the kernel. */
  readonly kernelSize: number;

  /** A weight that lies in `held`. */
  constructor(
    backend: Backend,
    sizes: { readonly inChannels: number; readonly kernelSize: number },
    held: HeldMatrix,
  ) {
    super(backend, held);
    this.inChannels = sizes.inChannels;
    this.kernelSize = sizes.kernelSize;
  }

  /**
   * Packs and uploads.
   *
   * @throws {RangeError} If the shapes of weight and bias do not fit.
   */
  static upload(
    backend: Backend,
    device: Device,
    weight: HostArray,
    bias: HostArray,
  ): WebGpuConvWeight {
    const sizes = checkConvWeight(weight, bias, device);
    const { outChannels, inChannels, kernelSize } = sizes;
    const filled = filledChannels(inChannels);
    const columns = kernelSize ** 2 * filled;
    const stored = float32Values(weight);
    const values = device.hollow ? stored : kernelChannelsLast(stored, sizes, filled);
    const held = holdMatrix(device, {
      dtype: "fp32",
      columns,
      packed: [{ rows: outChannels, rowBytes: columns * 4, values }],
      bias: float32Values(bias),
    });
    return new WebGpuConvWeight(backend, sizes, held);
  }

  /** Channels of the result. */
  get outChannels(): number {
    return this.matrix.rows;
  }
}

/** Channels of a tap, filled up to whole vectors. */
export function filledChannels(channels: number): number {
  return Math.ceil(channels / 4) * 4;
}

interface HostMatrix {
  readonly dtype: WeightDType;
  readonly columns: number;
  readonly packed: readonly PackedRows[];
  readonly bias: Float32Array | undefined;
}

/** Uploads a matrix to memory of its own. */
function holdMatrix(device: Device, matrix: HostMatrix): HeldMatrix {
  const memory = new WeightMemory(device);
  try {
    return { matrix: uploadMatrix(memory, device.maxBindingBytes, matrix), memory };
  } catch (error) {
    memory.dispose();
    throw error;
  }
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
    const part = values.subarray(firstRow * rowBytes, end * rowBytes);
    const count = end - firstRow;
    parts.push({
      firstRow,
      rows: count,
      values: memory.upload(part, count * rowBytes, "a weight"),
      scale: scale && memory.upload(scale.subarray(firstRow, end), 4 * count, "a weight's scales"),
    });
  }
  return {
    dtype,
    rows,
    columns: Math.ceil(matrix.columns / 4) * 4,
    parts,
    bias: bias && memory.upload(bias, 4 * rows, "a bias"),
  };
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
