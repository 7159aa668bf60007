// What code that was imported by URL takes for the embedded model.

import { assertEquals } from "@std/assert";
import { makeModule, TARGET } from "../../tools/embedded_files.ts";

Deno.test("src/pipeline/embedded_files.ts has the hashes of weights/; deno task embedded writes them", async () => {
  assertEquals(await Deno.readTextFile(TARGET), await makeModule());
});
