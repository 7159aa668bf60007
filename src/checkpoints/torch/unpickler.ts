/**
 * A reader of Python's pickles that executes nothing: a stack machine that knows plain values and
 * asks its caller what each global name stands for. What the caller does not know is refused.
 *
 * Python values become: None null, integers number or bigint, str string, bytes Uint8Array, list
 * Array, tuple {@linkcode Tuple}, dict Map, set Set.
 *
 * @module
 */

import { describeValue } from "../../base/check.ts";
import type { Steps } from "../../base/pauses.ts";
import { PickleReader } from "./pickle_reader.ts";

/** A tuple of Python. */
export class Tuple {
  /** Its elements. */
  readonly items: readonly unknown[];

  /** Holds the elements. */
  constructor(items: readonly unknown[]) {
    this.items = items;
  }
}

/** Stands for a function or class of Python that a pickle may call. */
export class PickleFunction {
  /** Its name in Python, with the module. */
  readonly name: string;
  /** Gives the value that a call stands for. It should not copy: it may be called often. */
  readonly call: (args: readonly unknown[]) => unknown;

  /** Holds name and function. */
  constructor(name: string, call: (args: readonly unknown[]) => unknown) {
    this.name = name;
    this.call = call;
  }
}

/** What the names in a pickle stand for. */
export interface PickleNames {
  /** Meaning of a global name, or undefined if it is not allowed. */
  find(module: string, name: string): unknown;
  /** Value of a persistent id. */
  persistent(id: unknown): unknown;
}

/**
 * Reads one pickle of protocol 0 to 5.
 *
 * @param offset Where it begins in `bytes`.
 * @param description What it is, for error messages.
 * @returns The value, and the offset of the first byte after the pickle.
 * @throws {PickleEndError} If the bytes end before the pickle does.
 * @throws {SyntaxError} If it is not a pickle.
 * @throws {TypeError} If it uses a global name that is not allowed.
 */
export function* unpickle(
  bytes: Uint8Array,
  offset: number,
  description: string,
  names: PickleNames,
): Steps<{ value: unknown; end: number }> {
  const reader = new PickleReader(bytes, offset, description);
  const machine = new Machine(reader, names);
  for (let count = 0; count < MAX_OPERATIONS; count++) {
    const opcode = reader.uint(1);
    if (opcode === STOP) return { value: machine.pop(), end: reader.offset };
    const operation = OPERATIONS.get(opcode);
    if (!operation) {
      throw reader.damaged(`the pickle operation 0x${opcode.toString(16)} is not supported`);
    }
    operation(machine, reader);
    if (count % STEP === STEP - 1) yield;
  }
  throw reader.damaged(`the pickle has more than ${MAX_OPERATIONS} operations`);
}

/** Operations between two places where reading may be interrupted. */
const STEP = 1000;

type Operation = (machine: Machine, reader: PickleReader) => void;

const STOP = 0x2e;

/** Bounds the memory that a pickle can take. A state dict needs some 25 operations an array. */
const MAX_OPERATIONS = 2_000_000;

class Machine {
  readonly names: PickleNames;
  readonly memo = new Map<number, unknown>();
  readonly #reader: PickleReader;
  readonly #stack: unknown[] = [];
  readonly #marks: number[] = [];

  constructor(reader: PickleReader, names: PickleNames) {
    this.names = names;
    this.#reader = reader;
  }

  push(value: unknown): void {
    this.#stack.push(value);
  }

  pop(): unknown {
    this.#checkNotEmpty();
    return this.#stack.pop();
  }

  top(): unknown {
    this.#checkNotEmpty();
    return this.#stack.at(-1);
  }

  mark(): void {
    this.#marks.push(this.#stack.length);
  }

  /** Takes all values above the last mark, and the mark. */
  popToMark(): unknown[] {
    const mark = this.#marks.pop();
    if (mark === undefined) throw this.#reader.damaged("a mark is missing");
    return this.#stack.splice(mark);
  }

  recall(key: number | bigint): void {
    const index = Number(key);
    if (!this.memo.has(index)) throw this.#reader.damaged("an unknown value is recalled");
    this.push(this.memo.get(index));
  }

  append(values: readonly unknown[]): void {
    const list = this.top();
    if (!Array.isArray(list)) throw this.#reader.damaged("a list is missing");
    for (const value of values) list.push(value);
  }

  setItems(items: readonly unknown[]): void {
    const dict = this.top();
    if (!(dict instanceof Map)) throw this.#reader.damaged("a dict is missing");
    if (items.length % 2 !== 0) throw this.#reader.damaged("a value is missing");
    for (let i = 0; i < items.length; i += 2) dict.set(items[i], items[i + 1]);
  }

  global(module: unknown, name: unknown): void {
    if (typeof module !== "string" || typeof name !== "string") {
      throw this.#reader.damaged("a global name is not a text");
    }
    const value = this.names.find(module, name);
    if (value === undefined) {
      const label = describeValue(`${module}.${name}`);
      throw new TypeError(
        `Cannot read ${this.#reader.description}: it uses ${label}, which is not allowed`,
      );
    }
    this.push(value);
  }

  call(): void {
    const args = this.pop();
    const callee = this.pop();
    if (!(callee instanceof PickleFunction) || !(args instanceof Tuple)) {
      throw this.#reader.damaged("something is called that cannot be");
    }
    this.push(callee.call(args.items));
  }

  #checkNotEmpty(): void {
    if (this.#stack.length <= (this.#marks.at(-1) ?? 0)) {
      throw this.#reader.damaged("a value is missing");
    }
  }
}

const MARKS: Record<number, Operation> = {
  0x28: (m) => m.mark(), // MARK
  0x30: (m) => void m.pop(), // POP
  0x31: (m) => void m.popToMark(), // POP_MARK
  0x32: (m) => m.push(m.top()), // DUP
  0x80: (_, r) => void r.uint(1), // PROTO
  0x95: (_, r) => void r.longLength(), // FRAME
};

const CONSTANTS: Record<number, Operation> = {
  0x4e: (m) => m.push(null), // NONE
  0x88: (m) => m.push(true), // NEWTRUE
  0x89: (m) => m.push(false), // NEWFALSE
  0x4a: (m, r) => m.push(r.int32()), // BININT
  0x4b: (m, r) => m.push(r.uint(1)), // BININT1
  0x4d: (m, r) => m.push(r.uint(2)), // BININT2
  0x8a: (m, r) => m.push(r.integer(r.uint(1))), // LONG1
  0x8b: (m, r) => m.push(r.integer(r.uint(4))), // LONG4
  0x49: (m, r) => m.push(r.decimal()), // INT
  0x4c: (m, r) => m.push(r.decimal()), // LONG
  0x47: (m, r) => m.push(r.float64()), // BINFLOAT
  0x46: (m, r) => m.push(Number(r.line())), // FLOAT
};

const STRINGS: Record<number, Operation> = {
  0x58: (m, r) => m.push(r.text(r.uint(4))), // BINUNICODE
  0x8c: (m, r) => m.push(r.text(r.uint(1))), // SHORT_BINUNICODE
  0x8d: (m, r) => m.push(r.text(r.longLength())), // BINUNICODE8
  0x56: (m, r) => m.push(r.line()), // UNICODE
  0x54: (m, r) => m.push(r.text(r.uint(4))), // BINSTRING
  0x55: (m, r) => m.push(r.text(r.uint(1))), // SHORT_BINSTRING
  0x42: (m, r) => m.push(r.take(r.uint(4))), // BINBYTES
  0x43: (m, r) => m.push(r.take(r.uint(1))), // SHORT_BINBYTES
  0x8e: (m, r) => m.push(r.take(r.longLength())), // BINBYTES8
  0x96: (m, r) => m.push(r.take(r.longLength())), // BYTEARRAY8
};

const CONTAINERS: Record<number, Operation> = {
  0x5d: (m) => m.push([]), // EMPTY_LIST
  0x6c: (m) => m.push(m.popToMark()), // LIST
  0x61: (m) => m.append([m.pop()]), // APPEND
  0x65: (m) => m.append(m.popToMark()), // APPENDS
  0x29: (m) => m.push(new Tuple([])), // EMPTY_TUPLE
  0x74: (m) => m.push(new Tuple(m.popToMark())), // TUPLE
  0x85: (m) => m.push(new Tuple([m.pop()])), // TUPLE1
  0x86: (m) => m.push(new Tuple([m.pop(), m.pop()].reverse())), // TUPLE2
  0x87: (m) => m.push(new Tuple([m.pop(), m.pop(), m.pop()].reverse())), // TUPLE3
  0x7d: (m) => m.push(new Map()), // EMPTY_DICT
  0x73: (m) => m.setItems([m.pop(), m.pop()].reverse()), // SETITEM
  0x75: (m) => m.setItems(m.popToMark()), // SETITEMS
  0x64(m) { // DICT
    const items = m.popToMark();
    m.push(new Map());
    m.setItems(items);
  },
  0x8f: (m) => m.push(new Set()), // EMPTY_SET
  0x91: (m) => m.push(new Set(m.popToMark())), // FROZENSET
  0x90(m, r) { // ADDITEMS
    const items = m.popToMark();
    const set = m.top();
    if (!(set instanceof Set)) throw r.damaged("a set is missing");
    for (const item of items) set.add(item);
  },
};

const MEMO: Record<number, Operation> = {
  0x71: (m, r) => void m.memo.set(r.uint(1), m.top()), // BINPUT
  0x72: (m, r) => void m.memo.set(r.uint(4), m.top()), // LONG_BINPUT
  0x70: (m, r) => void m.memo.set(Number(r.decimal()), m.top()), // PUT
  0x94: (m) => void m.memo.set(m.memo.size, m.top()), // MEMOIZE
  0x68: (m, r) => m.recall(r.uint(1)), // BINGET
  0x6a: (m, r) => m.recall(r.uint(4)), // LONG_BINGET
  0x67: (m, r) => m.recall(r.decimal()), // GET
};

const NAMES: Record<number, Operation> = {
  0x63: (m, r) => m.global(r.line(), r.line()), // GLOBAL
  0x93(m) { // STACK_GLOBAL
    const name = m.pop();
    m.global(m.pop(), name);
  },
  0x52: (m) => m.call(), // REDUCE
  0x81: (m) => m.call(), // NEWOBJ
  // Attributes that are set on an object, such as the _metadata of a state dict, are not kept.
  0x62: (m) => void m.pop(), // BUILD
  0x51: (m) => m.push(m.names.persistent(m.pop())), // BINPERSID
};

const OPERATIONS: ReadonlyMap<number, Operation> = new Map(
  [MARKS, CONSTANTS, STRINGS, CONTAINERS, MEMO, NAMES].flatMap((table) =>
    Object.entries(table).map(([opcode, operation]) => [Number(opcode), operation] as const)
  ),
);
