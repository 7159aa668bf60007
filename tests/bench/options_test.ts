import { assertEquals, assertThrows } from "@std/assert";
import { OPTIONS, readOptions } from "../../bench/options.ts";
import { parseArguments, UsageError } from "../../src/cli/arguments.ts";

const SECTIONS = ["gemm", "image", "headline"];

function read(...args: string[]) {
  return readOptions(parseArguments(args, OPTIONS), SECTIONS);
}

Deno.test("readOptions() takes all sections but the headline, which is to be asked for", () => {
  assertEquals(read().sections, ["gemm", "image"]);
  assertEquals(read("--section", "headline").sections, ["headline"]);
  assertEquals(read("--section", "headline,gemm").sections, ["gemm", "headline"]);
  assertEquals(read("--quick").quick, true);
});

Deno.test("readOptions() refuses sections that there are not", () => {
  const error = assertThrows(() => read("--section", "gem"), UsageError);
  assertEquals(error.message, `--section is "gem", expected some of gemm, image, headline`);
});
