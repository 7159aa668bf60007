// Writes ONNX models: the few messages of onnx.proto that a graph needs, in protobuf's wire format.

/** Element type of an ONNX tensor. */
export type OnnxType = "float32" | "int32" | "int64";

/** Value of an attribute of a node. */
export type OnnxAttribute = number | string | readonly number[] | { readonly float: number };

/** Numbers of `TensorProto.DataType`. */
const DATA_TYPES: Readonly<Record<OnnxType, number>> = { float32: 1, int32: 6, int64: 7 };
/** Numbers of `AttributeProto.AttributeType`. */
const ATTRIBUTE_TYPES = { float: 1, int: 2, string: 3, ints: 7 } as const;
const IR_VERSION = 9;
const OPSET = 17;

/** Wire types of protobuf. */
const Wire = { varint: 0, bytes: 2, fixed32: 5 } as const;

/** A message: its parts follow each other. Big arrays are not copied. */
type Message = readonly Uint8Array[];

function varint(value: number): Uint8Array {
  const bytes: number[] = [];
  let rest = BigInt.asUintN(64, BigInt(value));
  while (rest > 0x7fn) {
    bytes.push(Number(rest & 0x7fn) | 0x80);
    rest >>= 7n;
  }
  return Uint8Array.of(...bytes, Number(rest));
}

function lengthOf(message: Message): number {
  return message.reduce((sum, part) => sum + part.length, 0);
}

function integer(field: number, value: number): Message {
  return [varint(field << 3 | Wire.varint), varint(value)];
}

function float(field: number, value: number): Message {
  const bytes = new Uint8Array(Float32Array.of(value).buffer);
  return [varint(field << 3 | Wire.fixed32), bytes];
}

function nested(field: number, ...content: readonly Message[]): Message {
  const parts = content.flat();
  return [varint(field << 3 | Wire.bytes), varint(lengthOf(parts)), ...parts];
}

function text(field: number, value: string): Message {
  return nested(field, [new TextEncoder().encode(value)]);
}

function attribute(name: string, value: OnnxAttribute): Message {
  const typed = (type: keyof typeof ATTRIBUTE_TYPES, ...content: Message[]) => [
    ...text(1, name),
    ...content.flat(),
    ...integer(20, ATTRIBUTE_TYPES[type]),
  ];
  if (typeof value === "number") return typed("int", integer(3, value));
  if (typeof value === "string") return typed("string", text(4, value));
  if ("float" in value) return typed("float", float(2, value.float));
  return typed("ints", ...value.map((element) => integer(8, element)));
}

/** `ValueInfoProto`: name and type of an input or output. */
function valueInfo(name: string, type: OnnxType, shape: readonly number[]): Message {
  const dimensions = shape.map((length) => nested(1, integer(1, length)));
  const tensorType = nested(1, integer(1, DATA_TYPES[type]), nested(2, ...dimensions));
  return [...text(1, name), ...nested(2, tensorType)];
}

/** A graph that grows node by node; values are known by their names. */
export class OnnxGraph {
  readonly #nodes: Message[] = [];
  readonly #initializers: Message[] = [];
  readonly #inputs: Message[] = [];
  readonly #outputs: Message[] = [];
  #names = 0;

  /** Declares an input. */
  input(name: string, type: OnnxType, shape: readonly number[]): string {
    this.#inputs.push(nested(11, valueInfo(name, type, shape)));
    return name;
  }

  /** Declares that a float32 value is an output. */
  output(name: string, shape: readonly number[]): void {
    this.#outputs.push(nested(12, valueInfo(name, "float32", shape)));
  }

  /** Adds float32 weights or other constants. */
  floats(data: Float32Array, shape: readonly number[]): string {
    return this.#constant("float32", data, shape);
  }

  /** Adds a list of integers, such as a shape. */
  integers(...values: readonly number[]): string {
    return this.#constant("int64", BigInt64Array.from(values, BigInt), [values.length]);
  }

  /** Adds an operation; gives the name of its (first) result. */
  node(
    operator: string,
    inputs: readonly string[],
    attributes: Readonly<Record<string, OnnxAttribute>> = {},
    output: string = this.#name(),
  ): string {
    this.nodes(operator, inputs, attributes, [output]);
    return output;
  }

  /** Adds an operation with several results of the given names. */
  nodes(
    operator: string,
    inputs: readonly string[],
    attributes: Readonly<Record<string, OnnxAttribute>>,
    outputs: readonly string[],
  ): void {
    this.#nodes.push(nested(
      1,
      ...inputs.map((name) => text(1, name)),
      ...outputs.map((name) => text(2, name)),
      text(4, operator),
      ...Object.entries(attributes).map(([name, value]) => nested(5, attribute(name, value))),
    ));
  }

  /** The model, in pieces that follow each other. */
  model(): readonly Uint8Array[] {
    const graph = nested(
      7,
      ...this.#nodes,
      text(2, "graph"),
      ...this.#initializers,
      ...this.#inputs,
      ...this.#outputs,
    );
    return [...integer(1, IR_VERSION), ...nested(8, integer(2, OPSET)), ...graph];
  }

  #constant(type: OnnxType, data: ArrayBufferView, shape: readonly number[]): string {
    const name = this.#name();
    const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    this.#initializers.push(nested(
      5,
      ...shape.map((length) => integer(1, length)),
      integer(2, DATA_TYPES[type]),
      text(8, name),
      nested(9, [bytes]),
    ));
    return name;
  }

  #name(): string {
    return `v${this.#names++}`;
  }
}
