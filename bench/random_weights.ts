// Random numbers and weights for measuring: the same in every run and on every machine.

import type { ArraySource } from "../src/checkpoints/arrays.ts";

/** Uniform numbers in −amplitude … amplitude; the same name gives the same numbers. */
export function randomNumbers(name: string, length: number, amplitude = 1): Float32Array {
  let state = 0;
  for (const character of name) state = Math.imul(state ^ character.codePointAt(0)!, 0x01000193);
  const numbers = new Float32Array(length);
  for (let i = 0; i < length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    numbers[i] = state * (amplitude / 2 ** 31);
  }
  return numbers;
}

/** Number of elements of a shape. */
export function elements(shape: readonly number[]): number {
  return shape.reduce((a, b) => a * b, 1);
}

/**
 * A checkpoint of random weights that keep the size of activations: the sum over the inputs of a
 * matrix or convolution has the variance of one input, norms have factors about 1.
 */
export function randomWeights(shapes: Iterable<readonly [string, readonly number[]]>): ArraySource {
  const shapeOf = new Map(shapes);
  const numbers = (name: string, shape: readonly number[]) => {
    if (name.endsWith(".bias")) return randomNumbers(name, elements(shape), 0.1);
    if (shape.length === 1) return randomNumbers(name, elements(shape), 0.1).map((x) => 1 + x);
    const fanIn = elements(shape.slice(1));
    return randomNumbers(name, elements(shape), Math.sqrt(3 / fanIn));
  };
  const load = (name: string) => {
    const shape = shapeOf.get(name);
    if (shape === undefined) {
      throw new RangeError(`Cannot make the weight ${name}: it has no shape`);
    }
    return { shape, data: numbers(name, shape) };
  };
  return {
    description: "random weights",
    names: () => [...shapeOf.keys()],
    shape: (name) => shapeOf.get(name),
    dtype: () => "F32",
    load: (name) => Promise.resolve({ dtype: "f32", ...load(name) }),
    loadStored: (name) => {
      const { shape, data } = load(name);
      const bytes = new Uint8Array(data.buffer as ArrayBuffer);
      return Promise.resolve({ dtype: "F32", shape, bytes });
    },
    release: () => {},
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}
