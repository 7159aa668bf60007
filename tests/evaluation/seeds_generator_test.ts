import { assertEquals, assertThrows } from "@std/assert";
import { SeedsGenerator } from "../../evaluation/seeds_generator.ts";
import { TorchGenerator } from "../../src/random/torch_generator.ts";

Deno.test("SeedsGenerator.fill() gives each image the noise of its seed, call after call", () => {
  const together = new SeedsGenerator([5, 7]);
  const alone = [new TorchGenerator(5), new TorchGenerator(7)];
  for (const size of [6, 4]) {
    const noise = new Float32Array(2 * size);
    together.fill(noise);
    for (const [i, generator] of alone.entries()) {
      const expected = new Float32Array(size);
      generator.fill(expected);
      assertEquals(noise.slice(i * size, (i + 1) * size), expected);
    }
  }
});

Deno.test("SeedsGenerator.fill() refuses noise that cannot be divided", () => {
  const generator = new SeedsGenerator([1, 2]);
  assertThrows(() => generator.fill(new Float32Array(3)), RangeError, "3 numbers among 2 images");
});
