/**
 * Reading the parts of which pickles are made.
 *
 * @module
 */

/** Longest integer that is read, in bytes or digits: no checkpoint has longer ones. */
const MAX_INTEGER_LENGTH = 256;

/** A pickle ends before its time: there may be more of it. */
export class PickleEndError extends SyntaxError {}

/** A position in the bytes of a pickle. All integers are little-endian. */
export class PickleReader {
  /** What is being read, for error messages: a path or URL. */
  readonly description: string;
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #offset: number;

  /** Begins at an offset. */
  constructor(bytes: Uint8Array, offset: number, description: string) {
    this.description = description;
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#offset = offset;
  }

  /** Offset of the next byte. */
  get offset(): number {
    return this.#offset;
  }

  /** The error for something that is not a sound pickle. */
  damaged(what: string): SyntaxError {
    return new SyntaxError(`Cannot read ${this.description}: ${what} at byte ${this.#offset}`);
  }

  /** The next bytes, as a view. */
  take(length: number): Uint8Array {
    const begin = this.#advance(length);
    return this.#bytes.subarray(begin, begin + length);
  }

  /** An integer of 1, 2 or 4 bytes without sign. */
  uint(size: 1 | 2 | 4): number {
    const begin = this.#advance(size);
    if (size === 1) return this.#view.getUint8(begin);
    return size === 2 ? this.#view.getUint16(begin, true) : this.#view.getUint32(begin, true);
  }

  /** A length of 8 bytes. */
  longLength(): number {
    const length = this.#view.getBigUint64(this.#advance(8), true);
    // Nothing so long can follow, which is what the next reading will say.
    return length > Number.MAX_SAFE_INTEGER ? Number.MAX_SAFE_INTEGER : Number(length);
  }

  /** An integer of 4 bytes with sign. */
  int32(): number {
    return this.#view.getInt32(this.#advance(4), true);
  }

  /** A float64, which is big-endian. */
  float64(): number {
    return this.#view.getFloat64(this.#advance(8), false);
  }

  /** Text in UTF-8. */
  text(length: number): string {
    const bytes = this.take(length);
    try {
      return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
    } catch {
      throw this.damaged("a text is not UTF-8");
    }
  }

  /** Text up to the next line feed. */
  line(): string {
    const end = this.#bytes.indexOf(0x0a, this.#offset);
    if (end < 0) throw this.#ended();
    const text = this.text(end - this.#offset);
    this.#offset++;
    return text;
  }

  /** An integer in two's complement; a number if it is safe to be one. */
  integer(length: number): number | bigint {
    if (length > MAX_INTEGER_LENGTH) throw this.damaged("an integer is too long");
    let value = 0n;
    for (const byte of this.take(length).toReversed()) value = value << 8n | BigInt(byte);
    return simplify(BigInt.asIntN(8 * length, value));
  }

  /** An integer written in decimal digits. */
  decimal(): number | bigint {
    const digits = this.line().replace(/L$/, "");
    if (digits.length > MAX_INTEGER_LENGTH || !/^-?\d+$/.test(digits)) {
      throw this.damaged("an integer is malformed");
    }
    return simplify(BigInt(digits));
  }

  #advance(length: number): number {
    if (length > this.#bytes.length - this.#offset) throw this.#ended();
    const begin = this.#offset;
    this.#offset += length;
    return begin;
  }

  #ended(): PickleEndError {
    return new PickleEndError(`Cannot read ${this.description}: its pickle is cut off`);
  }
}

function simplify(value: bigint): number | bigint {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}
