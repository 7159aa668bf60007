// What the build reads from the sources of the kernels: held to the compiler, and to small sources.

import { assertEquals, assertThrows } from "@std/assert";
import { main as asc } from "npm:assemblyscript@0.28.20/asc";
import { type Interface, readInterface, writeInterface } from "../../asm/build/layouts.ts";
import { COMMAND_BYTES, COMMANDS } from "../../wasm/commands.ts";

const FOLDER = new URL("../../asm/", import.meta.url);

const PROGRAM = `
export const COMMAND_BYTES: i32 = 24;

function perform(command: usize, control: Control, scratch: usize): usize {
  switch (load<i32>(command)) {
    case 0:
      return inScratch<ScaleCommand>(command, control, scratch, scale, scaleScratch);
    case 1:
      return plain<ScaleCommand>(command, control, shift);
    default:
      return unreachable();
  }
}
`;

const SCALE = `
/** How to round. */
export const enum Rounding {
  down,
  nearest,
}

// x is (count),
// out is (count)
@unmanaged
export class ScaleCommand {
  opcode: i32;
  x: usize;
  /** Whether x is
   *  negated. */
  negated: bool;
  clamped: bool;
  // From 0 on.
  factor: f32;
  rounding: Rounding;
}
`;

function read(program: string, scale: string): Interface {
  return readInterface(new Map([["program.ts", program], ["scale.ts", scale]]));
}

Deno.test("readInterface() reads operations, layouts and enums", () => {
  assertEquals(read(PROGRAM, SCALE), {
    commandBytes: 24,
    enumerations: [{ name: "Rounding", file: "scale.ts", members: ["down", "nearest"] }],
    layouts: [{
      name: "ScaleCommand",
      file: "scale.ts",
      comment: "x is (count), out is (count)",
      fields: [
        { name: "x", kind: "address", offset: 4, comment: "" },
        { name: "negated", kind: "bool", offset: 8, comment: "Whether x is negated." },
        { name: "clamped", kind: "bool", offset: 9, comment: "" },
        { name: "factor", kind: "float", offset: 12, comment: "From 0 on." },
        { name: "rounding", kind: "int", offset: 16, comment: "" },
      ],
    }],
    operations: [
      { name: "scale", layout: "ScaleCommand" },
      { name: "shift", layout: "ScaleCommand" },
    ],
  });
});

/** Faults: what is replaced in the sources, by what, and the error. */
const FAULTS: readonly (readonly [string, string, string])[] = [
  [
    "factor: f32;",
    "factor: f64;",
    "the type of ScaleCommand.factor is f64, expected usize, i32, f32, bool or an enum",
  ],
  ["factor: f32;", "factor: f32 = 1;", 'a field of ScaleCommand is "// From 0 on.'],
  ["factor: f32;", "get factor(): f32 { return 1; }", "a field of ScaleCommand is"],
  ["opcode: i32;\n", "", "the first field of ScaleCommand is x, expected opcode: i32"],
  ["opcode: i32;", "opcode: usize;", "the first field of ScaleCommand is opcode"],
  ["@unmanaged\n", "", "ScaleCommand is in 0 files, expected one unmanaged, exported class"],
  ["i32 = 24", "i32 = 16", "the size of ScaleCommand is 20, expected at most 16"],
  ["i32 = 24", "i32 = 4 * 6", "COMMAND_BYTES is missing"],
  ["nearest,", "nearest = 4,", 'a member of Rounding is "nearest = 4", expected only a name'],
  ["case 1:", "case 2:", "the opcode of shift is 2, expected the number of its place, 1"],
  ["control, shift)", "control, scale)", "scale is there twice, expected once"],
  ["      return plain", "      trace(); return plain", "case 1 of perform is"],
  ["function perform", "function execute", "perform is missing"],
];

for (const [from, to, message] of FAULTS) {
  Deno.test(`readInterface() refuses ${JSON.stringify(to)} for ${JSON.stringify(from)}`, () => {
    assertEquals((PROGRAM + SCALE).split(from).length, 2);
    assertThrows(
      () => read(PROGRAM.replace(from, to), SCALE.replace(from, to)),
      SyntaxError,
      `Cannot read the kernels: ${message}`,
    );
  });
}

Deno.test("writeInterface() writes a module of what was read", async () => {
  const text = writeInterface(read(PROGRAM, SCALE));
  const code = `data:application/typescript,${encodeURIComponent(text)}`;
  const fields = {
    x: ["address", 4],
    negated: ["bool", 8],
    clamped: ["bool", 9],
    factor: ["float", 12],
    rounding: ["int", 16],
  };
  assertEquals({ ...await import(code) }, {
    COMMAND_BYTES: 24,
    Rounding: { down: 0, nearest: 1 },
    COMMANDS: { scale: { opcode: 0, fields }, shift: { opcode: 1, fields } },
  });
});

Deno.test("readInterface() finds the offsets, sizes and numbers that the compiler uses", async () => {
  const sources = new Map<string, string>();
  for await (const { name, isFile } of Deno.readDir(FOLDER)) {
    if (isFile) sources.set(name, await Deno.readTextFile(new URL(name, FOLDER)));
  }
  const { commandBytes, enumerations, layouts, operations } = readInterface(sources);
  const expected: Record<string, number> = {};
  const lines: string[] = [];
  const expect = (name: string, value: number, expression: string) => {
    expected[name] = value;
    lines.push(`export const ${name}: i32 = <i32> ${expression};`);
  };
  for (const { name, file, fields } of layouts) {
    lines.push(`import { ${name} } from "./${file.replace(".ts", "")}";`);
    for (const { name: field, offset } of fields) {
      expect(`${name}_${field}`, offset, `offsetof<${name}>("${field}")`);
    }
  }
  for (const { name, file, members } of enumerations) {
    lines.push(`import { ${name} } from "./${file.replace(".ts", "")}";`);
    members.forEach((member, i) => expect(`${name}_${member}`, i, `${name}.${member}`));
  }
  const exports = await compile(sources, lines.join("\n"));
  const actual = Object.keys(expected).map((name) => [name, exports[name]?.value]);
  assertEquals(Object.fromEntries(actual), expected);

  assertEquals(COMMAND_BYTES, commandBytes);
  assertEquals(Object.keys(COMMANDS), operations.map(({ name }) => name));
});

/** Compiles and instantiates a module that may import the sources; its exported globals. */
async function compile(sources: ReadonlyMap<string, string>, text: string) {
  let module = new Uint8Array(0);
  const options = ["--runtime", "stub", "--importMemory", "--sharedMemory"];
  const features = ["--initialMemory", "16", "--maximumMemory", "16", "--enable", "simd,threads"];
  const { error, stderr } = await asc(["offsets.ts", ...options, ...features, "-o", "out.wasm"], {
    readFile: (name: string) => name === "offsets.ts" ? text : sources.get(name) ?? null,
    writeFile: (_name: string, data: string | Uint8Array) => {
      if (typeof data !== "string") module = new Uint8Array(data);
    },
    listFiles: () => [],
  });
  if (error) throw new Error(`${error.message}\n${stderr}`);
  const memory = new WebAssembly.Memory({ initial: 16, maximum: 16, shared: true });
  const { instance } = await WebAssembly.instantiate(module, { env: { memory } });
  return instance.exports as Record<string, WebAssembly.Global>;
}
