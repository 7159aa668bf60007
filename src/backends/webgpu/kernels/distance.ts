/**
 * Distances of numbers, and their gradients.
 *
 * @module
 */

import type { DistanceKind } from "../../backend.ts";
import type { Recorder } from "../recorder.ts";
import type { FloatTensor } from "../tensor.ts";
import type { Kernel } from "./kernel.ts";
import { elementMain, recordElements } from "./rows.ts";

function distanceKernel(kind: DistanceKind): Kernel {
  return {
    name: `distance ${kind}`,
    inputs: { x: "f32", y: "f32" },
    outputs: { z: "f32" },
    params: { count: "u32" },
    body: () => elementMain(`let d = x[i] - y[i]; z[i] = ${kind === "l1" ? "abs(d)" : "d * d"};`),
  };
}

/** Records |x − y| or (x − y)² into z. */
export function distance(
  recorder: Recorder,
  x: FloatTensor,
  y: FloatTensor,
  kind: DistanceKind,
  z: FloatTensor,
): void {
  recordElements(recorder, distanceKernel(kind), { x, y, z }, x.size, {});
}

function distanceGradientKernel(kind: DistanceKind): Kernel {
  return {
    name: `distanceGradient ${kind}`,
    inputs: { x: "f32", y: "f32", dy: "f32" },
    outputs: { dx: "f32" },
    params: { count: "u32" },
    body: () =>
      elementMain(
        `let d = x[i] - y[i]; dx[i] = dy[i] * ${kind === "l1" ? "sign(d)" : "2.0 * d"};`,
      ),
  };
}

/** Records the gradient of that by x into dx. */
export function distanceGradient(
  recorder: Recorder,
  x: FloatTensor,
  y: FloatTensor,
  dy: FloatTensor,
  kind: DistanceKind,
  dx: FloatTensor,
): void {
  recordElements(recorder, distanceGradientKernel(kind), { x, y, dy, dx }, x.size, {});
}
