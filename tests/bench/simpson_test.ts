import { assertAlmostEquals, assertEquals } from "@std/assert";
import { samplePoints, sumOf } from "../../bench/simpson.ts";

Deno.test("samplePoints() are the ends and what lies evenly between", () => {
  assertEquals(samplePoints(9), [1, 3, 5, 7, 9]);
  assertEquals(samplePoints(64), [1, 17, 33, 48, 64]);
});

Deno.test("sumOf() is the sum of all values of a polynomial of degree 2", () => {
  for (const n of [9, 65, 1025]) {
    const f = (x: number) => 3 + 0.5 * x + 0.01 * x ** 2;
    const all = Array.from({ length: n }, (_, i) => f(i + 1)).reduce((a, b) => a + b);
    // Beside the integral, which is exact, the ends of the squares count a sixth of their slope.
    assertAlmostEquals(sumOf(n, samplePoints(n).map(f)), all, 0.01 * n);
  }
});
