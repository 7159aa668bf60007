import { assert, assertEquals } from "@std/assert";
import { followingSeeds, parseSeed, randomSeed } from "../../src/random/seed.ts";

Deno.test("parseSeed() reads whole numbers of 64 bits, and nothing else", () => {
  assertEquals(parseSeed("0"), 0n);
  assertEquals(parseSeed("+7"), 7n);
  assertEquals(parseSeed("18446744073709551615"), 2n ** 64n - 1n);
  const wrong = [
    "",
    " 1",
    "-1",
    "1.5",
    "1e3",
    "0x10",
    "1n",
    "18446744073709551616",
    "9".repeat(1e5),
  ];
  for (const text of wrong) assertEquals(parseSeed(text), undefined);
});

Deno.test("randomSeed() draws seeds of 32 bits", () => {
  const seeds = Array.from({ length: 8 }, randomSeed);
  assert(seeds.every((seed) => seed >= 0n && seed < 2n ** 32n));
  assert(new Set(seeds).size > 1);
});

Deno.test("followingSeeds() counts up, and from the last seed to 0", () => {
  assertEquals(followingSeeds(5, 3), [5n, 6n, 7n]);
  assertEquals(followingSeeds(2n ** 64n - 1n, 2), [2n ** 64n - 1n, 0n]);
  assertEquals(followingSeeds(-1, 2), [2n ** 64n - 1n, 0n]);
});
