import { assertEquals } from "@std/assert";
import { VERSION } from "../../src/base/version.ts";

Deno.test("VERSION is that of the package", () => {
  const { version } = JSON.parse(
    Deno.readTextFileSync(new URL("../../deno.json", import.meta.url)),
  );
  assertEquals(VERSION, version);
});
