// A frame of the Wasm backend whose results can be put into a given place: what a cache of keys and
// values needs, and no model of the library.

import type { Backend, Frame, LinearWeight, Tensor } from "../src/backends/backend.ts";
import { CheckedFrame } from "../src/backends/checked_frame.ts";
import * as gradients from "../src/backends/wasm/gradients.ts";
import * as operations from "../src/backends/wasm/operations.ts";
import { Recorder } from "../src/backends/wasm/recorder.ts";
import { WasmTensor } from "../src/backends/wasm/tensor.ts";
import { WasmBackend } from "../src/backends/wasm/wasm_backend.ts";
import { WasmConvWeight, WasmLinearWeight } from "../src/backends/wasm/weights.ts";

const CLASSES = { tensor: WasmTensor, linear: WasmLinearWeight, conv: WasmConvWeight };

/** A frame, and what goes beyond one. */
export class WasmFrame implements Disposable {
  /** Where all other operations are recorded. */
  readonly frame: Frame;
  readonly #recorder: Recorder;

  /** @throws {TypeError} If the backend is another one. */
  constructor(backend: Backend) {
    this.#recorder = new Recorder(own("a frame", backend, WasmBackend), false);
    const kernels = { ...operations, ...gradients };
    this.frame = new CheckedFrame<operations.WasmDevice>(this.#recorder, kernels, CLASSES);
  }

  /** Puts x·Wᵀ + b into `y`, a tensor of the result's size. */
  linearInto(x: Tensor, weight: LinearWeight, y: Tensor): void {
    const [from, to] = [own("x", x, WasmTensor), own("y", y, WasmTensor)];
    const matrix = own("the weight", weight, WasmLinearWeight);
    const epilogue = { activation: "none", add: false } as const;
    this.#recorder.operation("linearInto", () => {
      operations.linear(this.#recorder, from, matrix, to, epilogue);
    });
  }

  /** Gives all memory back. */
  [Symbol.dispose](): void {
    this.frame.dispose();
  }
}

/**
 * Rows of a tensor as a tensor of their own, in the same memory.
 *
 * @param x (rows, columns).
 * @param shape Of as many elements as those rows have.
 */
export function rowsFrom(x: Tensor, first: number, shape: readonly number[]): Tensor {
  const tensor = own("x", x, WasmTensor);
  const address = tensor.address + 4 * first * x.shape[1]!;
  return new WasmTensor(tensor.backend, shape, "f32", address, () => {}, { owner: tensor });
}

function own<T>(name: string, value: unknown, type: abstract new (...args: never[]) => T): T {
  if (value instanceof type) return value;
  throw new TypeError(`Cannot record on a Wasm frame: ${name} is of another backend`);
}
