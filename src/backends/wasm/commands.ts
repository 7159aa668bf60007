/**
 * The commands of a program, as words in Wasm memory. Numbers and layouts are those of `asm/`: the
 * opcode, then the fields of the command's class in order.
 *
 * @module
 */

import type { Activation } from "../backend.ts";

/** Kinds of commands: `Opcode` of `asm/program.ts`. */
export const Opcode = {
  linear: 0,
  quantizeRows: 1,
  linearQ8: 2,
  attention: 3,
  layerNorm: 4,
  groupNormSums: 5,
  groupNormApply: 6,
  convolution: 7,
  embedding: 8,
  geglu: 9,
  transpose: 10,
  repeat: 11,
  normalizeRows: 12,
  nearestCode: 13,
  logSoftmax: 14,
  posterior: 15,
  sampleStep: 16,
  winograd: 17,
} as const;

/** `Activation` of `asm/math.ts`. */
export const ACTIVATIONS: Readonly<Record<Activation, number>> = {
  none: 0,
  quickGelu: 1,
  silu: 2,
  gelu: 3,
};

/** A field that holds a float32 rather than an integer. */
export interface Float {
  /** The value. */
  readonly f32: number;
}

/** Marks a field as float32. */
export function float(value: number): Float {
  return { f32: value };
}

/** A field of a command. */
export type Field = number | boolean | Float;

/** The growing list of commands of a frame. */
export class Program {
  readonly #words: number[] = [];
  readonly #wordsPerCommand: number;
  readonly #float = new Float32Array(1);
  readonly #bits = new Int32Array(this.#float.buffer);

  /** Commands of `commandBytes` each. */
  constructor(commandBytes: number) {
    this.#wordsPerCommand = commandBytes / 4;
  }

  /** Number of commands. */
  get length(): number {
    return this.#words.length / this.#wordsPerCommand;
  }

  /** All commands, as words. */
  get words(): readonly number[] {
    return this.#words;
  }

  /** Appends a command. */
  push(opcode: number, ...fields: Field[]): void {
    this.#words.push(opcode);
    for (const field of fields) {
      if (typeof field === "object") {
        this.#float[0] = field.f32;
        this.#words.push(this.#bits[0]!);
      } else {
        // Addresses above 2 GiB wrap to negative numbers: the same 32 bits.
        this.#words.push(Number(field) | 0);
      }
    }
    const rest = this.#wordsPerCommand - 1 - fields.length;
    for (let i = 0; i < rest; i++) this.#words.push(0);
  }
}
