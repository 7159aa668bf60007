/**
 * The commands of a program, as bytes in Wasm memory: `wasm/commands.ts`, made from `asm/`, says which
 * operations there are and where their fields lie.
 *
 * @module
 */

import { COMMAND_BYTES, COMMANDS } from "../../../wasm/commands.ts";
import type { Addressed } from "./allocator.ts";

type Commands = typeof COMMANDS;

/** Name of an operation of the kernels. */
export type Operation = keyof Commands;

/** What can be given for each kind of field. */
interface Values {
  readonly address: Addressed;
  readonly int: number;
  readonly float: number;
  readonly bool: boolean;
}

type Kind = keyof Values;

type Layout<O extends Operation> = Commands[O]["fields"];

type KindOf<Field> = Field extends readonly [infer K extends Kind, number] ? K : never;

/** The fields of an operation's command, by name. */
export type Fields<O extends Operation> = {
  readonly [Name in keyof Layout<O>]: Values[KindOf<Layout<O>[Name]>];
};

/** Writes a value of one kind at a byte of a command; Wasm memory is little-endian. */
const WRITERS: { readonly [K in Kind]: (to: DataView, at: number, value: Values[K]) => void } = {
  address: (to, at, { address }) => to.setUint32(at, address, true),
  int: (to, at, value) => to.setInt32(at, value, true),
  float: (to, at, value) => to.setFloat32(at, value, true),
  bool: (to, at, value) => to.setUint8(at, Number(value)),
};

/** The bytes of a command. */
export function encodeCommand<O extends Operation>(operation: O, fields: Fields<O>): Uint8Array {
  const command = new DataView(new ArrayBuffer(COMMAND_BYTES));
  const { opcode, fields: layout } = COMMANDS[operation];
  command.setInt32(0, opcode, true);
  for (const [name, [kind, offset]] of Object.entries<readonly [Kind, number]>(layout)) {
    writeField(command, offset, kind, fields[name as keyof Fields<O>] as Values[Kind]);
  }
  return new Uint8Array(command.buffer);
}

function writeField<K extends Kind>(to: DataView, at: number, kind: K, value: Values[K]): void {
  WRITERS[kind](to, at, value);
}
