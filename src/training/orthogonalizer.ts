/**
 * The nearest orthogonal matrices, nearly.
 *
 * @module
 */

import type { Backend, Frame, Tensor } from "../backends/backend.ts";
import { sumOfSquares } from "./optimizer.ts";

/** Rows and columns of a matrix. */
export type MatrixShape = readonly [rows: number, columns: number];

/** Steps of the iteration. */
const STEPS = 5;

/**
 * Coefficients of the iteration X ← (a + b XXᵀ + c (XXᵀ)²) X (Jordan et al., "Muon", 2024): singular
 * values from 0.001 to 1 come to between 0.7 and 1.2 in five steps.
 */
const [A, B, C] = [3.4445, -4.775, 2.0315] as const;

/**
 * With Y = c^(1/4) X the iteration is Y ← ((YYᵀ + s)² + r) Y: three matrix products and two sums, for
 * which there are operations.
 */
const SCALE = C ** 0.25;
const S = B / Math.sqrt(C) / 2;
const R = A - S * S;

/** What is computed of one matrix. */
interface Slot {
  /** The matrix, scaled. */
  readonly input: Tensor;
  readonly result: Tensor;
}

/**
 * Replaces the singular values of matrices by numbers near 1, by the Newton–Schulz iteration of Muon. It
 * is recorded once and computed on the device, in an order that does not depend on threads.
 */
export class Orthogonalizer implements Disposable {
  readonly #frame: Frame;
  readonly #slots: readonly Slot[];

  /** Records the iteration for matrices of these shapes. */
  constructor(backend: Backend, shapes: readonly MatrixShape[]) {
    this.#frame = backend.frame();
    try {
      const diagonals = new Map<string, Tensor>();
      const diagonal = (size: number, value: number): Tensor => {
        const key = `${size} ${value}`;
        const tensor = diagonals.get(key) ?? diagonalMatrix(this.#frame, size, value);
        diagonals.set(key, tensor);
        return tensor;
      };
      this.#slots = shapes.map((shape) => recordSlot(this.#frame, shape, diagonal));
    } catch (error) {
      this.#frame.dispose();
      throw error;
    }
  }

  /**
   * Computes the matrices of given ones, which stay as they are.
   *
   * @param matrices Elements of each, row by row.
   */
  async run(matrices: readonly Float32Array[]): Promise<Float32Array[]> {
    this.#slots.forEach(({ input }, i) => {
      const matrix = matrices[i]!;
      const factor = SCALE / (Math.sqrt(sumOfSquares(matrix)) + 1e-7);
      input.write(matrix.map((value) => factor * value));
    });
    await this.#frame.run();
    const results = await Promise.all(this.#slots.map(({ result }) => result.data()));
    return results.map((values) => values.map((value) => value / SCALE));
  }

  /** Gives the memory back. */
  dispose(): void {
    this.#frame.dispose();
  }

  /** Gives the memory back. */
  [Symbol.dispose](): void {
    this.dispose();
  }
}

function diagonalMatrix(frame: Frame, size: number, value: number): Tensor {
  const tensor = frame.empty([size, size], "f32");
  const values = new Float32Array(size * size);
  for (let i = 0; i < size; i++) values[i * size + i] = value;
  tensor.write(values);
  return tensor;
}

/** Records the iteration for a matrix; one that is higher than wide is turned for it. */
function recordSlot(
  frame: Frame,
  [rows, columns]: MatrixShape,
  diagonal: (size: number, value: number) => Tensor,
): Slot {
  const input = frame.empty([1, rows, columns], "f32");
  const isHigh = rows > columns;
  const size = Math.min(rows, columns);
  const length = Math.max(rows, columns);
  const [square, remainder] = [diagonal(size, S), diagonal(size, R)];
  const first = isHigh ? frame.transpose(input) : input;
  let y = frame.reshape(first, [size, length]);
  /** Whose memory y is. */
  let owner = first;
  for (let step = 0; step < STEPS; step++) {
    const gram = plusDiagonal(frame, y, square);
    const polynomial = plusDiagonal(frame, gram, remainder);
    gram.dispose();
    using packed = frame.pack(y, { transpose: true });
    const next = frame.linear(polynomial, packed);
    polynomial.dispose();
    if (owner !== input) owner.dispose();
    y = owner = next;
  }
  if (!isHigh) return { input, result: y };
  const result = frame.transpose(frame.reshape(y, [1, size, length]));
  owner.dispose();
  return { input, result };
}

/** y·yᵀ and a diagonal matrix, together. */
function plusDiagonal(frame: Frame, y: Tensor, diagonal: Tensor): Tensor {
  using packed = frame.pack(y);
  return frame.linear(y, packed, { addTo: frame.repeat(diagonal, 1) });
}
