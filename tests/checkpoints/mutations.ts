/**
 * Damaging files at random, but always in the same way for the same seed.
 *
 * @module
 */

/** A generator of random numbers (mulberry32). */
export class Dice {
  #state: number;

  /** Begins with a seed. */
  constructor(seed: number) {
    this.#state = seed;
  }

  /** A natural number below a limit. */
  below(limit: number): number {
    this.#state = this.#state + 0x6d2b79f5 | 0;
    let mixed = Math.imul(this.#state ^ this.#state >>> 15, 1 | this.#state);
    mixed = mixed + Math.imul(mixed ^ mixed >>> 7, 61 | mixed) ^ mixed;
    return Math.floor(((mixed ^ mixed >>> 14) >>> 0) / 2 ** 32 * limit);
  }

  /** One of some values. */
  pick<T>(values: readonly T[]): T {
    const value = values[this.below(values.length)];
    if (value === undefined) throw new RangeError("Nothing to pick from");
    return value;
  }
}

/** Numbers at which programs break. */
const NUMBERS: readonly bigint[] = [
  0n,
  1n,
  127n,
  255n,
  0x7fffn,
  0xffffn,
  0x7fffffffn,
  0x80000000n,
  0xffffffffn,
  2n ** 53n,
  2n ** 63n - 1n,
  2n ** 64n - 1n,
];

/** What a file can suffer. */
const DAMAGES: readonly Damage[] = [
  flipBits,
  flipBits,
  overwriteNumber,
  overwriteNumber,
  truncate,
  remove,
  repeat,
  exchange,
];

type Damage = (bytes: Uint8Array<ArrayBuffer>, dice: Dice) => Uint8Array<ArrayBuffer>;

/**
 * A damaged copy of a file.
 *
 * @param focus Bytes from the beginning or the end that most damages hit: there the structure lies.
 */
export function damaged(
  bytes: Uint8Array<ArrayBuffer>,
  dice: Dice,
  focus = bytes.length,
): Uint8Array<ArrayBuffer> {
  let copy = bytes.slice();
  for (let i = 1 + dice.below(3); i > 0; i--) {
    const size = Math.min(copy.length, dice.below(4) === 0 ? copy.length : focus);
    const atEnd = dice.below(2) === 0;
    const begin = atEnd ? copy.length - size : 0;
    const part = dice.pick(DAMAGES)(copy.slice(begin, begin + size), dice);
    copy = concat(copy.subarray(0, begin), part, copy.subarray(begin + size));
  }
  return copy;
}

/** Text that is damaged by changing its tokens: numbers, strings and brackets. */
export function damagedText(text: string, dice: Dice): string {
  const replacements: readonly string[] = [
    ...[
      "-1",
      "0",
      "1.5",
      "1e999",
      "9007199254740993",
      "null",
      "true",
      "[]",
      "{}",
      `""`,
      `"__proto__"`,
    ],
    ...[
      "[[[[[[",
      "}",
      "]",
      ",",
      ":",
      "\\ud800",
      "\0",
      "NaN",
      `{"a":1,"a":2}`,
      `"../../etc/passwd"`,
    ],
    "[".repeat(5000),
  ];
  let result = text;
  for (let i = 1 + dice.below(3); i > 0; i--) {
    const tokens = [...result.matchAll(/"(?:[^"\\]|\\.)*"|-?[\d.]+|[^\s"]/g)];
    const token = tokens[dice.below(Math.max(1, tokens.length))];
    if (!token) return result;
    const end = token.index + token[0].length;
    result = result.slice(0, token.index) + dice.pick(replacements) + result.slice(end);
  }
  return result;
}

function flipBits(bytes: Uint8Array<ArrayBuffer>, dice: Dice): Uint8Array<ArrayBuffer> {
  for (let i = 1 + dice.below(4); i > 0 && bytes.length > 0; i--) {
    const at = dice.below(bytes.length);
    bytes[at] = (bytes[at] ?? 0) ^ 1 << dice.below(8);
  }
  return bytes;
}

function overwriteNumber(bytes: Uint8Array<ArrayBuffer>, dice: Dice): Uint8Array<ArrayBuffer> {
  const size = dice.pick([1, 2, 4, 8]);
  if (bytes.length < size) return bytes;
  const number = new Uint8Array(8);
  new DataView(number.buffer).setBigUint64(0, dice.pick(NUMBERS), true);
  bytes.set(number.subarray(0, size), dice.below(bytes.length - size + 1));
  return bytes;
}

function truncate(bytes: Uint8Array<ArrayBuffer>, dice: Dice): Uint8Array<ArrayBuffer> {
  return bytes.slice(0, dice.below(bytes.length + 1));
}

function remove(bytes: Uint8Array<ArrayBuffer>, dice: Dice): Uint8Array<ArrayBuffer> {
  const [begin, end] = range(bytes, dice);
  return concat(bytes.subarray(0, begin), bytes.subarray(end));
}

function repeat(bytes: Uint8Array<ArrayBuffer>, dice: Dice): Uint8Array<ArrayBuffer> {
  const [begin, end] = range(bytes, dice);
  return concat(bytes.subarray(0, end), bytes.subarray(begin));
}

function exchange(bytes: Uint8Array<ArrayBuffer>, dice: Dice): Uint8Array<ArrayBuffer> {
  const [begin, end] = range(bytes, dice);
  const part = bytes.slice(begin, end);
  const target = dice.below(bytes.length - part.length + 1);
  bytes.copyWithin(begin, target, target + part.length);
  bytes.set(part, target);
  return bytes;
}

function range(bytes: Uint8Array, dice: Dice): [begin: number, end: number] {
  const begin = dice.below(bytes.length + 1);
  return [begin, begin + dice.below(Math.min(64, bytes.length - begin) + 1)];
}

function concat(...parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let offset = 0;
  for (const part of parts) {
    all.set(part, offset);
    offset += part.length;
  }
  return all;
}
