// Distances of numbers and their gradients, written to be read.

import type { DistanceKind } from "../../../src/backends/backend.ts";
import { type Floats, store } from "./arrays.ts";

/** |x − y| or (x − y)². */
export function distance(x: Floats, y: Floats, kind: DistanceKind, z: Floats): void {
  store(
    z,
    x.values.map((value, i) => {
      const difference = value - y.values[i]!;
      return kind === "l1" ? Math.abs(difference) : difference ** 2;
    }),
  );
}

/** dy · sign(x − y) or 2 dy (x − y). */
export function distanceGradient(
  x: Floats,
  y: Floats,
  dy: Floats,
  kind: DistanceKind,
  dx: Floats,
): void {
  store(
    dx,
    x.values.map((value, i) => {
      const difference = value - y.values[i]!;
      return dy.values[i]! * (kind === "l1" ? Math.sign(difference) : 2 * difference);
    }),
  );
}
