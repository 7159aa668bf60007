import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import {
  booleanField,
  type Config,
  integerField,
  integerListField,
  numberField,
  readConfig,
  stringField,
  stringListField,
} from "../../src/checkpoints/config.ts";
import { memoryFolder } from "../../src/files/memory_folder.ts";
import { MissingFileError } from "../../src/files/paths.ts";

const config: Config = {
  description: "config.json",
  values: JSON.parse(
    `{"layers": 3, "rate": 0.5, "bias": true, "act": "silu", "sizes": [1, 2], "types": ["a", "b"],
      "none": null, "huge": 1e400, "__proto__": 1}`,
  ),
};

Deno.test("readConfig() reads a JSON object and names files that are none", async () => {
  const folder = memoryFolder({ "a.json": `{"x":1}`, "b.json": "{", "c.json": "[]" }, "model");
  assertEquals((await readConfig(folder, "a.json")).values, { x: 1 });
  assertEquals((await readConfig(folder, "a.json")).description, "model/a.json");
  await assertRejects(
    () => readConfig(folder, "b.json"),
    SyntaxError,
    "model/b.json: it is not valid",
  );
  await assertRejects(() => readConfig(folder, "c.json"), SyntaxError, "expected a JSON object");
  await assertRejects(() => readConfig(folder, "d.json"), MissingFileError, "model/d.json");
});

Deno.test("fields give their values and defaults", () => {
  assertEquals(integerField(config, "layers", { min: 1, max: 3 }), 3);
  assertEquals(integerField(config, "none", { default: 7 }), 7);
  assertEquals(integerField(config, "constructor", { default: 7 }), 7);
  assertEquals(numberField(config, "rate"), 0.5);
  assertEquals(booleanField(config, "bias"), true);
  assertEquals(booleanField(config, "other", { default: false }), false);
  assertEquals(stringField(config, "act", { oneOf: ["silu", "gelu"] }), "silu");
  assertEquals(integerListField(config, "sizes", { min: 1 }), [1, 2]);
  assertEquals(integerListField(config, "other", { default: [5] }), [5]);
  assertEquals(stringListField(config, "types", { oneOf: ["a", "b"] }), ["a", "b"]);
});

Deno.test("fields refuse other values with what was expected", () => {
  const cases: [() => unknown, typeof TypeError | typeof RangeError, string][] = [
    [() => integerField(config, "other"), TypeError, "other is missing, expected an integer"],
    [() => integerField(config, "none"), TypeError, "none is null, expected an integer"],
    [() => integerField(config, "rate"), TypeError, "rate is 0.5, expected an integer"],
    [() => integerField(config, "act"), TypeError, `act is "silu", expected an integer`],
    [() => integerField(config, "layers", { max: 2 }), RangeError, "an integer of at most 2"],
    [() => integerField(config, "layers", { min: 4 }), RangeError, "an integer of at least 4"],
    [() => integerField(config, "layers", { min: 4, max: 9 }), RangeError, "from 4 to 9"],
    [() => numberField(config, "huge"), TypeError, "expected a number"],
    [() => booleanField(config, "layers"), TypeError, "layers is 3, expected true or false"],
    [() => stringField(config, "layers"), TypeError, "expected a string"],
    [() => stringField(config, "act", { oneOf: ["relu"] }), RangeError, `expected "relu"`],
    [() => integerListField(config, "layers"), TypeError, "layers is 3, expected a list"],
    [() => integerListField(config, "types"), TypeError, `types[0] is "a", expected an integer`],
    [() => integerListField(config, "sizes", { maxLength: 1 }), RangeError, "at most 1 elements"],
    [() => stringListField(config, "types", { oneOf: ["a"] }), RangeError, "types[1] is"],
  ];
  for (const [field, type, message] of cases) assertThrows(field, type, message);
});
