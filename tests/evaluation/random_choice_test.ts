import { assert, assertEquals, assertThrows } from "@std/assert";
import { choose } from "../../evaluation/random_choice.ts";
import { TorchGenerator } from "../../src/random/torch_generator.ts";

const LETTERS = ["a", "b", "c", "d", "e"];

Deno.test("choose() draws different elements, the same for the same seed", () => {
  const chosen = choose(LETTERS, 4, new TorchGenerator(3));
  assertEquals(new Set(chosen).size, 4);
  assert(chosen.every((letter) => LETTERS.includes(letter)));
  assertEquals(choose(LETTERS, 4, new TorchGenerator(3)), chosen);
});

Deno.test("choose() draws each element as often", () => {
  const generator = new TorchGenerator(0);
  const counts = new Map(LETTERS.map((letter) => [letter, 0]));
  for (let i = 0; i < 1000; i++) {
    for (const letter of choose(LETTERS, 2, generator)) {
      counts.set(letter, counts.get(letter)! + 1);
    }
  }
  // 400 each; five standard deviations are 77.
  for (const count of counts.values()) assert(Math.abs(count - 400) < 77, `${count}`);
});

Deno.test("choose() refuses to draw more than there are", () => {
  assertThrows(() => choose(LETTERS, 6, new TorchGenerator(0)), RangeError, "there are 5");
});
