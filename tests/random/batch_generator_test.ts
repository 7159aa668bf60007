import { assert, assertEquals, assertThrows } from "@std/assert";
import { BatchGenerator, rewindable } from "../../src/random/batch_generator.ts";
import { TorchGenerator } from "../../src/random/torch_generator.ts";

function drawn(generator: { fill(out: Float32Array): void }, count: number): number[] {
  const out = new Float32Array(count);
  generator.fill(out);
  return [...out];
}

Deno.test("BatchGenerator.fill() gives each image the numbers of its stream, call after call", () => {
  const together = new BatchGenerator([new TorchGenerator(5), new TorchGenerator(7)]);
  const alone = [new TorchGenerator(5), new TorchGenerator(7)];
  for (const size of [6, 4, 700]) {
    assertEquals(drawn(together, 2 * size), alone.flatMap((generator) => drawn(generator, size)));
  }
});

Deno.test("BatchGenerator.fill() refuses an array that cannot be divided", () => {
  const generator = new BatchGenerator([new TorchGenerator(1), new TorchGenerator(2)]);
  const message =
    "Cannot draw random numbers: out.length is 3, expected a multiple of the 2 images";
  assertThrows(() => generator.fill(new Float32Array(3)), RangeError, message);
});

Deno.test("BatchGenerator.setState() goes back in all streams", () => {
  const generator = new BatchGenerator([new TorchGenerator(1), new TorchGenerator(2)]);
  drawn(generator, 10);
  const state = generator.getState();
  const first = drawn(generator, 1400);
  generator.setState(state);
  assertEquals(drawn(generator, 1400), first);
});

Deno.test("rewindable() takes the generators whose streams can go back", () => {
  const torch = new TorchGenerator(1);
  const other = { fill: () => {} };
  const batch = new BatchGenerator([torch, torch]);
  assert(rewindable(torch) === torch);
  assert(rewindable(batch) === batch);
  assertEquals(rewindable(other), undefined);
  assertEquals(rewindable(new BatchGenerator([torch, other])), undefined);
});
