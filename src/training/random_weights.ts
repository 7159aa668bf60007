/**
 * Weights that have learned nothing yet.
 *
 * @module
 */

import { elementCount } from "../base/shapes.ts";
import type { StoredArray } from "../checkpoints/arrays.ts";
import { encodeSafetensors } from "../checkpoints/safetensors_writer.ts";
import type { ParameterDeclaration, ParameterSlot } from "../models/parameter_slot.ts";
import { Parameters, ParameterScope } from "../models/parameters.ts";
import type { TorchGenerator } from "../random/torch_generator.ts";

/** Deviation of the random weights of transformer and text encoder, that of Microsoft's and CLIP's. */
const DEVIATION = 0.02;

/** Collects the shapes of what a model declares. */
class DeclaredShapes extends Parameters {
  readonly shapes = new Map<string, readonly number[]>();

  protected override makeSlot<T extends Disposable>(
    declaration: ParameterDeclaration<T>,
  ): ParameterSlot<T> {
    const slot = super.makeSlot(declaration);
    for (const [name, shape] of slot.shapes) this.shapes.set(name, shape);
    return slot;
  }
}

/** A file, in the format of safetensors, of random weights for all that is declared. */
export function randomWeights(
  declare: (scope: ParameterScope) => void,
  generator: TorchGenerator,
): Uint8Array<ArrayBuffer> {
  const parameters = new DeclaredShapes();
  declare(new ParameterScope(parameters));
  return encodeSafetensors(
    Array.from(parameters.shapes, ([name, shape]) => [name, randomArray(name, shape, generator)]),
  );
}

/**
 * The first values of a parameter: 1 and 0 for norms and biases; for convolutions as many in a sum as give
 * it the variance of what goes in (He et al., arXiv 1502.01852), halved; else a normal distribution.
 */
function randomArray(
  name: string,
  shape: readonly number[],
  generator: TorchGenerator,
): StoredArray {
  if (shape.length === 1) {
    const value = name.endsWith(".weight") ? 1 : 0;
    return stored(new Float32Array(elementCount(shape)).fill(value), shape);
  }
  if (shape.length !== 4) return normal(shape, DEVIATION, generator);
  return normal(shape, 1 / Math.sqrt(elementCount(shape.slice(1))), generator);
}

/** Normally distributed numbers (Box and Muller). */
export function normal(
  shape: readonly number[],
  deviation: number,
  generator: TorchGenerator,
): StoredArray {
  const count = elementCount(shape);
  const uniform = new Float32Array(2 * count);
  generator.fill(uniform);
  const values = Float32Array.from({ length: count }, (_, i) => {
    const radius = Math.sqrt(-2 * Math.log(1 - uniform[2 * i]!));
    return deviation * radius * Math.cos(2 * Math.PI * uniform[2 * i + 1]!);
  });
  return stored(values, shape);
}

function stored(values: Float32Array<ArrayBuffer>, shape: readonly number[]): StoredArray {
  return { dtype: "F32", shape, bytes: new Uint8Array(values.buffer) };
}
