// Tables for people.

import { assertEquals } from "@std/assert";
import { markdownTable, percent } from "../../tools/markdown_table.ts";

Deno.test("markdownTable() aligns the first column to the left, the others to the right", () => {
  assertEquals(
    markdownTable(["what", "ms"], [["a step", "123.4"], ["b", ""]]),
    [
      "| what   |    ms |",
      "| ------ | ----: |",
      "| a step | 123.4 |",
      "| b      |       |",
    ].join("\n"),
  );
});

Deno.test("percent() rounds to a tenth", () => {
  assertEquals([percent(0.9876), percent(0), percent(1)], ["98.8 %", "0.0 %", "100.0 %"]);
});
