// Tests of Frame.distance() and distanceGradient().

import { compare, type MakeBackend, type Refusals, ROUNDOFF } from "./trial.ts";

/** Numbers of elements: 1, primes, and sizes around vectors, workgroups and chunks. */
const COUNTS = [1, 3, 4, 67, 256, 1023, 8197];

const KINDS = ["l1", "l2"] as const;

// A difference and two products of numbers up to 2.
const TOLERANCE = { absolute: 0, relative: 4 * ROUNDOFF };

/** Registers the tests. */
export function testDistance(name: string, makeBackend: MakeBackend): void {
  for (const kind of KINDS) {
    Deno.test(`${name}: Frame.distance() of kind ${kind}`, async () => {
      await using backend = await makeBackend();
      for (const count of COUNTS) {
        await compare(
          backend,
          `${count}`,
          (t) => t.frame.distance(t.floats(1, count), t.floats(count), kind),
          TOLERANCE,
        );
      }
    });

    Deno.test(`${name}: Frame.distanceGradient() of kind ${kind}`, async () => {
      await using backend = await makeBackend();
      for (const count of COUNTS) {
        await compare(
          backend,
          `${count}`,
          (t) => {
            const [x, y] = [t.floats(1, count), t.floats(count)];
            return t.frame.distanceGradient(x, y, t.floats(count), kind);
          },
          TOLERANCE,
        );
      }
      await compare(
        backend,
        "of equal numbers",
        (t) => {
          const [x, y] = [t.tensor([1, -0, 0, 2, -3], 5), t.tensor([1, 0, -0, 2, -4], 5)];
          return t.frame.distanceGradient(x, y, t.floats(5), kind);
        },
        TOLERANCE,
      );
    });
  }
}

/** Calls with arguments that do not fit. */
export const DISTANCE_REFUSALS: Refusals = {
  distance: [(t, f) => f.distance(t.floats(2, 3), t.floats(2, 4), "l1")],
  distanceGradient: [
    (t, f) => f.distanceGradient(t.floats(2, 3), t.floats(2, 4), t.floats(2, 3), "l1"),
    (t, f) => f.distanceGradient(t.floats(2, 3), t.floats(2, 3), t.floats(2), "l2"),
  ],
};
