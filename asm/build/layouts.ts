/**
 * Reads from the sources of the kernels what the host has to know of them: which operations there are,
 * how the fields of their commands lie in memory, and how enums are numbered.
 *
 * It understands the few forms in which `asm/` declares these, and refuses all others:
 *
 * - a command: `@unmanaged export class … { opcode: i32; … }`, whose fields have a type of
 *   {@linkcode FIELD_TYPES} or an exported enum;
 * - an enum: `export const enum … { … }`, whose members have no values;
 * - an operation: a case of the `switch` of `perform` in `program.ts`.
 *
 * @module
 */

/** What a field of a command holds: an address in Wasm memory, a whole number, a float32 or a flag. */
export type FieldKind = typeof FIELD_KINDS[number];

const FIELD_KINDS = ["address", "int", "float", "bool"] as const;

/** A field of a command. */
export interface Field {
  /** Its name. */
  readonly name: string;
  /** What it holds. */
  readonly kind: FieldKind;
  /** Its first byte, from the beginning of the command. */
  readonly offset: number;
  /** Its comment in the source, `""` if there is none. */
  readonly comment: string;
}

/** A class of commands. */
export interface Layout {
  /** Its name. */
  readonly name: string;
  /** Its source, such as `linear.ts`. */
  readonly file: string;
  /** The comment above it: shapes of the arrays. `""` if there is none. */
  readonly comment: string;
  /** Its fields without the opcode, in the order of the source. */
  readonly fields: readonly Field[];
}

/** An enum, whose members are numbered from 0. */
export interface Enumeration {
  /** Its name. */
  readonly name: string;
  /** Its source. */
  readonly file: string;
  /** Names of the members. */
  readonly members: readonly string[];
}

/** An operation, whose opcode is its index among all. */
export interface Operation {
  /** Its name, that of its kernel. */
  readonly name: string;
  /** Name of the class of its commands. */
  readonly layout: string;
}

/** What the host has to know of the kernels. */
export interface Interface {
  /** Bytes from one command to the next. */
  readonly commandBytes: number;
  /** All exported enums. */
  readonly enumerations: readonly Enumeration[];
  /** The classes that operations use. */
  readonly layouts: readonly Layout[];
  /** All operations, by opcode. */
  readonly operations: readonly Operation[];
}

/** AssemblyScript types that a field can have; enums are like `i32`. */
const FIELD_TYPES: Readonly<Record<string, { readonly kind: FieldKind; readonly bytes: number }>> =
  {
    usize: { kind: "address", bytes: 4 },
    i32: { kind: "int", bytes: 4 },
    f32: { kind: "float", bytes: 4 },
    bool: { kind: "bool", bytes: 1 },
  };

/**
 * Reads the sources of the kernels.
 *
 * @param sources Texts by the name of the file, `program.ts` among them.
 * @throws {SyntaxError} If something is not in one of the forms that are understood.
 */
export function readInterface(sources: ReadonlyMap<string, string>): Interface {
  const program = sources.get("program.ts") ?? refuse("program.ts", "missing", "a source");
  const enumerations = [...sources].flatMap(([file, text]) => readEnumerations(file, text));
  const enums = new Set(enumerations.map(({ name }) => name));
  const commandBytes = readCommandBytes(program);
  const operations = readOperations(program);
  const layouts = [...new Set(operations.map(({ layout }) => layout))].map((name) => {
    return readLayout(name, sources, enums, commandBytes);
  });
  return { commandBytes, enumerations, layouts, operations };
}

function readCommandBytes(program: string): number {
  const match = /^export const COMMAND_BYTES: i32 = (\d+);$/m.exec(program);
  return Number(match?.[1] ?? refuse("COMMAND_BYTES", "missing", "an exported number"));
}

function readEnumerations(file: string, text: string): Enumeration[] {
  return [...text.matchAll(/^export const enum (\w+) \{([^]*?)^\}/gm)].map(([, name, body]) => {
    const members = body!.split(",").map((member) => member.trim()).filter((m) => m !== "");
    for (const member of members) {
      if (!/^\w+$/.test(member)) refuse(`a member of ${name}`, quote(member), "only a name");
    }
    return { name: name!, file, members };
  });
}

function readOperations(program: string): Operation[] {
  const start = /^function perform\([^]*?\n {2}switch \(load<i32>\(command\)\) \{\n/m.exec(program);
  if (start === null) return refuse("perform", "missing", "a function with a switch of the opcode");
  const form = /\s*case (\d+):\s*return \w+<(\w+)>\(command, control, (?:scratch, )?(\w+)[^;]*;/y;
  form.lastIndex = start.index + start[0].length;
  const operations: Operation[] = [];
  for (;;) {
    const rest = form.lastIndex;
    const match = form.exec(program);
    if (match === null) {
      const next = program.slice(rest).trimStart();
      if (next.startsWith("default:")) return operations;
      return refuse(
        `case ${operations.length} of perform`,
        quote(next.slice(0, 80)),
        "case …: return …<Command>(command, control, kernel);",
      );
    }
    const [, opcode, layout, name] = match;
    if (opcode !== String(operations.length)) {
      refuse(`the opcode of ${name}`, opcode!, `the number of its place, ${operations.length}`);
    }
    if (operations.some((other) => other.name === name)) refuse(name!, "there twice", "once");
    operations.push({ name: name!, layout: layout! });
  }
}

function readLayout(
  name: string,
  sources: ReadonlyMap<string, string>,
  enums: ReadonlySet<string>,
  commandBytes: number,
): Layout {
  const form = new RegExp(
    `((?:^// .*\\n)*)^@unmanaged\\nexport class ${name} \\{\\n([^]*?)^\\}`,
    "m",
  );
  const found = [...sources].flatMap(([file, text]) => {
    const match = form.exec(text);
    return match === null ? [] : [{ file, comment: match[1]!, body: match[2]! }];
  });
  const [only] = found;
  if (only === undefined || found.length > 1) {
    return refuse(name, `in ${found.length} files`, "one unmanaged, exported class");
  }
  const { fields, bytes } = readFields(name, only.body, enums);
  if (bytes > commandBytes) refuse(`the size of ${name}`, `${bytes}`, `at most ${commandBytes}`);
  return { name, file: only.file, comment: textOf(only.comment), fields };
}

/** The fields behind the opcode, each aligned to its size, and their bytes. */
function readFields(name: string, body: string, enums: ReadonlySet<string>) {
  const fields: Field[] = [];
  let offset = 0;
  const form = /\s*((?:\/\*\*[^]*?\*\/\s*|\/\/ .*\s*)*)(\w+): (\w+);/y;
  const end = body.trimEnd().length;
  while (form.lastIndex < end) {
    const rest = form.lastIndex;
    const [, comment, field, type] = form.exec(body) ??
      refuse(`a field of ${name}`, quote(body.slice(rest).trim()), "name: type;");
    const { kind, bytes } = FIELD_TYPES[enums.has(type!) ? "i32" : type!] ??
      refuse(
        `the type of ${name}.${field}`,
        type!,
        `${Object.keys(FIELD_TYPES).join(", ")} or an enum`,
      );
    offset = Math.ceil(offset / bytes) * bytes;
    fields.push({ name: field!, kind, offset, comment: textOf(comment!) });
    offset += bytes;
  }
  const opcode = fields.shift();
  if (opcode?.name !== "opcode" || opcode.kind !== "int") {
    refuse(`the first field of ${name}`, opcode?.name ?? "missing", "opcode: i32");
  }
  return { fields, bytes: offset };
}

/** The text of comments, without their signs, in one line. */
function textOf(comments: string): string {
  return comments.replace(/^\s*(\/\*\*|\*\/|\*|\/\/)|\*\/\s*$/gm, "").replace(/\s+/g, " ").trim();
}

function quote(text: string): string {
  return JSON.stringify(text);
}

function refuse(name: string, given: string, expected: string): never {
  throw new SyntaxError(`Cannot read the kernels: ${name} is ${given}, expected ${expected}`);
}

/** The module for the host, without a header. */
export function writeInterface(
  { commandBytes, enumerations, layouts, operations }: Interface,
): string {
  const parts = [
    "/** Bytes from one command to the next. */",
    `export const COMMAND_BYTES = ${commandBytes};\n`,
  ];
  for (const { name, file, members } of enumerations) {
    parts.push(`/** \`${name}\` of asm/${file}. */`);
    const numbered = members.map((member, i) => `${member}: ${i}`);
    parts.push(`export const ${name} = { ${numbered.join(", ")} } as const;\n`);
  }
  // Functions, so that what programs load stays small.
  for (const kind of FIELD_KINDS) {
    parts.push(`const ${kind} = <const N extends number>(at: N) => ["${kind}", at] as const;`);
  }
  parts.push("");
  for (const { name, file, comment, fields } of layouts) {
    const shapes = comment === "" ? "" : `: ${comment}`;
    parts.push(`/** \`${name}\` of asm/${file}${shapes}. */`, `const ${name} = {`);
    for (const { name, kind, offset, comment } of fields) {
      if (comment !== "") parts.push(`  /** ${comment} */`);
      parts.push(`  ${name}: ${kind}(${offset}),`);
    }
    parts.push("} as const;\n");
  }
  parts.push(
    "/** Opcode of each operation, and the fields of its command: what they hold, first byte. */",
  );
  parts.push("export const COMMANDS = {");
  for (const [opcode, { name, layout }] of operations.entries()) {
    parts.push(`  ${name}: { opcode: ${opcode}, fields: ${layout} },`);
  }
  parts.push("} as const;\n");
  return parts.join("\n");
}
