import { assertEquals, assertRejects } from "@std/assert";
import type { Tensor } from "../../src/backends/backend.ts";
import { readAhead } from "../../src/training/read_ahead.ts";

/** A parameter of so many elements, of which nothing else is asked. */
function item(name: string, elements: number) {
  return {
    name,
    parameter: { arrays: [], tensor: { shape: [elements, 1] } as Partial<Tensor> as Tensor },
  };
}

const ITEMS = [
  item("a", 2 ** 21),
  item("b", 2 ** 20),
  item("c", 2 ** 20),
  item("d", 1),
  item("e", 2 ** 23),
  item("f", 3),
];

Deno.test("readAhead() reads in order, and no more than 2^22 elements or one item ahead", async () => {
  const log: string[] = [];
  const read = async ({ name, parameter }: typeof ITEMS[0]) => {
    log.push(name);
    await Promise.resolve();
    return Float32Array.of(parameter.tensor.shape[0]!);
  };
  for await (const [{ name, parameter }, values] of readAhead(ITEMS, read)) {
    assertEquals(values, Float32Array.of(parameter.tensor.shape[0]!));
    log.push(`${name}!`);
  }
  assertEquals(log.join(" "), "a b c a! b! c! d d! e e! f f!");
});

Deno.test("readAhead() fails with what fails to be read", async () => {
  const read = ({ name }: typeof ITEMS[0]) =>
    name === "c" ? Promise.reject(new RangeError("lost")) : Promise.resolve(new Float32Array(1));
  const all = async () => {
    const names = [];
    for await (const [{ name }] of readAhead(ITEMS, read)) names.push(name);
    return names;
  };
  await assertRejects(all, RangeError, "lost");
});
