import { assert, assertEquals, assertThrows } from "@std/assert";
import { typedArray } from "../../src/checkpoints/arrays.ts";
import { parseSafetensors } from "../../src/checkpoints/safetensors.ts";
import { TorchGenerator } from "../../src/random/torch_generator.ts";

const FIXTURES = new URL("../fixtures/torch_rng/", import.meta.url);

const SEEDS = (JSON.parse(await Deno.readTextFile(new URL("case.json", FIXTURES))) as {
  cases: { seed: number }[];
}).cases.map(({ seed }) => seed);

const ARRAYS = parseSafetensors(await Deno.readFile(new URL("io.safetensors", FIXTURES)));

function golden(name: string): Float32Array {
  const array = ARRAYS.get(name);
  assert(array, name);
  const values = typedArray(array);
  assert(values instanceof Float32Array);
  return values;
}

function uniform(generator: TorchGenerator, length: number): Float32Array {
  const out = new Float32Array(length);
  generator.fill(out);
  return out;
}

for (const seed of SEEDS) {
  Deno.test(`TorchGenerator.fill() equals torch.rand bit for bit for seed ${seed}`, () => {
    for (const start of [seed, BigInt(seed)]) {
      const numbers = uniform(new TorchGenerator(start), 5000);
      assertEquals(numbers.slice(0, 64), golden(`seed${seed}_first64`));
      assertEquals(numbers.slice(1000, 1064), golden(`seed${seed}_1000_1063`));
      assertEquals(numbers.slice(4990), golden(`seed${seed}_4990_4999`));
    }
  });

  Deno.test(`TorchGenerator.fill() continues the stream of seed ${seed} from call to call`, () => {
    const generator = new TorchGenerator(seed);
    for (const shape of ["7", "5", "2x3x4", "16", "17"]) {
      const expected = golden(`seed${seed}_calls_${shape}`);
      assertEquals(uniform(generator, expected.length), expected);
    }
  });

  Deno.test(`TorchGenerator.random32() gives the raw outputs for seed ${seed}`, () => {
    const expected = ARRAYS.get(`seed${seed}_raw_uint32_first8_as_int64`);
    assert(expected);
    const generator = new TorchGenerator(seed);
    for (const value of typedArray(expected)) {
      assertEquals(BigInt(generator.random32()), BigInt(value));
    }
  });
}

Deno.test("TorchGenerator.fillDouble() takes two raw outputs for a number", () => {
  const [generator, raw] = [new TorchGenerator(11), new TorchGenerator(11)];
  const numbers = new Float64Array(1000);
  generator.fillDouble(numbers);
  for (const value of numbers) {
    const bits = (BigInt(raw.random32()) << 32n) + BigInt(raw.random32());
    assertEquals(value, Number(bits % 2n ** 53n) / 2 ** 53);
  }
  assertEquals(generator.random32(), raw.random32());
});

Deno.test("TorchGenerator.fill() gives one stream, however it is divided", () => {
  const whole = uniform(new TorchGenerator(7), 4 * 625);
  const generator = new TorchGenerator(7);
  const parts = [1, 622, 1, 1, 0, 624, 625, 626].flatMap((n) => [...uniform(generator, n)]);
  assertEquals(new Float32Array(parts), whole);
});

Deno.test("TorchGenerator.fill() writes to shared memory, and only to the part given", () => {
  const shared = new Float32Array(new SharedArrayBuffer(4 * 12));
  new TorchGenerator(1).fill(shared.subarray(1, 11));
  assertEquals(shared[0], 0);
  assertEquals(shared[11], 0);
  assertEquals([...shared.subarray(1, 11)], [...uniform(new TorchGenerator(1), 10)]);
});

Deno.test("TorchGenerator.setState() returns to where getState() was called", () => {
  const generator = new TorchGenerator(3);
  uniform(generator, 1000);
  const state = generator.getState();
  const next = uniform(generator, 1000);
  const other = new TorchGenerator(4);
  for (const resumed of [generator, other]) {
    resumed.setState(state);
    assertEquals(uniform(resumed, 1000), next);
  }
});

Deno.test("TorchGenerator.setState() refuses what is no state", () => {
  const generator = new TorchGenerator(3);
  assertThrows(() => generator.setState(new Uint32Array(624)), RangeError, "it has 624 words");
  assertThrows(
    () => generator.setState(new Uint32Array(625).fill(625)),
    RangeError,
    "the last word is 625",
  );
});

Deno.test("TorchGenerator takes the low 32 bits of a seed, as torch does", () => {
  const expected = uniform(new TorchGenerator(0xffffffff), 4);
  assertEquals(uniform(new TorchGenerator(-1), 4), expected);
  assertEquals(uniform(new TorchGenerator(2n ** 64n - 1n), 4), expected);
  assertEquals(
    uniform(new TorchGenerator(-(2n ** 63n)), 4),
    uniform(new TorchGenerator(0), 4),
  );
});

Deno.test("TorchGenerator refuses seeds that torch refuses, and inexact ones", () => {
  for (const seed of [NaN, Infinity, 0.5, 2 ** 53, 2n ** 64n, -(2n ** 63n) - 1n]) {
    assertThrows(() => new TorchGenerator(seed), RangeError, "the seed is");
  }
  for (const seed of ["1", undefined, null] as unknown as number[]) {
    assertThrows(() => new TorchGenerator(seed), TypeError, "expected an integer");
  }
});
