/**
 * Hashes of contents. Files of the hub are named by them: big ones by their SHA-256, small ones as git
 * names them, by a SHA-1. Web Crypto cannot take data piece by piece.
 *
 * @module
 */

/** Takes data piece by piece and gives its hash. */
export interface Hasher {
  /** Takes the next piece. */
  update(bytes: Uint8Array): void;
  /** The hash of all pieces, in hexadecimal digits. To be called once. */
  digest(): string;
}

/** A hash that a content has to have, and how it is made. */
export interface ContentHash {
  /** `sha1` is git's: that of the word `blob`, the length, a zero byte and the content. */
  readonly algorithm: "sha256" | "sha1";
  /** The hash in hexadecimal digits. */
  readonly hex: string;
}

/** The hash that a name is, if it looks like one: 64 digits of SHA-256 or 40 of git's SHA-1. */
export function hashOfName(name: string): ContentHash | undefined {
  if (isSha256(name)) return { algorithm: "sha256", hex: name };
  return /^[0-9a-f]{40}$/.test(name) ? { algorithm: "sha1", hex: name } : undefined;
}

/** Whether something is a SHA-256 in hexadecimal digits. */
export function isSha256(value: unknown): value is string {
  return typeof value === "string" && /^[0-9a-f]{64}$/.test(value);
}

/** What a hash is called in messages. */
export function describeHash({ algorithm, hex }: ContentHash): string {
  return `${algorithm === "sha256" ? "SHA-256" : "SHA-1 of git"} ${hex}`;
}

/** Begins a SHA-256: native where the runtime offers it, else in JavaScript. */
export function createSha256(): Hasher {
  return createNative("sha256") ?? new Sha256();
}

/**
 * Begins a hash of one of the two kinds.
 *
 * @param size Length of the content, which is part of git's hash.
 */
export function createHasher(algorithm: ContentHash["algorithm"], size: number): Hasher {
  if (algorithm === "sha256") return createSha256();
  const hasher = createNative("sha1") ?? new Sha1();
  hasher.update(new TextEncoder().encode(`blob ${size}\0`));
  return hasher;
}

/** The SHA-256 of bytes that are all there, off the thread where there is Web Crypto. */
export async function sha256Of(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  const { subtle } = globalThis.crypto as { readonly subtle?: SubtleCrypto };
  if (subtle) return hexOf(new Uint8Array(await subtle.digest("SHA-256", bytes)));
  const hasher = createSha256();
  hasher.update(bytes);
  return hasher.digest();
}

const BLOCK_BYTES = 64;

/** What SHA-1 and SHA-256 have in common (FIPS 180-4): blocks of 64 bytes, padding, a state of words. */
abstract class BlockHasher implements Hasher {
  /** The state: the hash, at last. */
  protected readonly state: Int32Array;
  readonly #block = new Uint8Array(BLOCK_BYTES);
  #length = 0;

  constructor(state: Int32Array) {
    this.state = state.slice();
  }

  /** Takes the next piece. */
  update(bytes: Uint8Array): void {
    let offset = 0;
    const filled = this.#length % BLOCK_BYTES;
    this.#length += bytes.length;
    if (filled > 0) {
      offset = Math.min(bytes.length, BLOCK_BYTES - filled);
      this.#block.set(bytes.subarray(0, offset), filled);
      if (filled + offset < BLOCK_BYTES) return;
      this.compress(new DataView(this.#block.buffer));
    }
    for (; offset + BLOCK_BYTES <= bytes.length; offset += BLOCK_BYTES) {
      this.compress(new DataView(bytes.buffer, bytes.byteOffset + offset, BLOCK_BYTES));
    }
    this.#block.set(bytes.subarray(offset));
  }

  /** The hash of all pieces, in hexadecimal digits. To be called once. */
  digest(): string {
    const bits = BigInt(this.#length) * 8n;
    const used = this.#length % BLOCK_BYTES;
    const padding = new Uint8Array((used < 56 ? 64 : 128) - used);
    padding[0] = 0x80;
    new DataView(padding.buffer).setBigUint64(padding.length - 8, bits);
    this.update(padding);
    return Array.from(this.state, (word) => (word >>> 0).toString(16).padStart(8, "0")).join("");
  }

  /** Mixes a block into the state. */
  protected abstract compress(block: DataView): void;
}

/** First 32 bits of the fractional parts of the cube (square) roots of the first primes. */
const ROUND_CONSTANTS = primeRoots(64, 3);
const SHA256_STATE = primeRoots(8, 2);

/** SHA-256 in JavaScript (FIPS 180-4, 6.2). */
export class Sha256 extends BlockHasher {
  readonly #schedule = new Int32Array(64);

  /** Begins without data. */
  constructor() {
    super(SHA256_STATE);
  }

  protected override compress(block: DataView): void {
    const w = this.#schedule;
    for (let i = 0; i < 16; i++) w[i] = block.getInt32(4 * i);
    for (let i = 16; i < 64; i++) {
      const x = w[i - 15]!;
      const y = w[i - 2]!;
      const s0 = (x >>> 7 | x << 25) ^ (x >>> 18 | x << 14) ^ x >>> 3;
      const s1 = (y >>> 17 | y << 15) ^ (y >>> 19 | y << 13) ^ y >>> 10;
      w[i] = w[i - 16]! + s0 + w[i - 7]! + s1;
    }
    const { state } = this;
    let [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0, g = 0, h = 0] = state;
    for (let i = 0; i < 64; i++) {
      const s1 = (e >>> 6 | e << 26) ^ (e >>> 11 | e << 21) ^ (e >>> 25 | e << 7);
      const t1 = h + s1 + (e & f ^ ~e & g) + ROUND_CONSTANTS[i]! + w[i]! | 0;
      const s0 = (a >>> 2 | a << 30) ^ (a >>> 13 | a << 19) ^ (a >>> 22 | a << 10);
      const t2 = s0 + (a & b ^ a & c ^ b & c) | 0;
      [h, g, f, e, d, c, b, a] = [g, f, e, d + t1 | 0, c, b, a, t1 + t2 | 0];
    }
    for (const [i, value] of [a, b, c, d, e, f, g, h].entries()) state[i]! += value;
  }
}

const SHA1_STATE = Int32Array.of(
  ...[0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0],
);
/** Constants of the four times twenty rounds of SHA-1. */
const SHA1_CONSTANTS = [0x5a827999, 0x6ed9eba1, 0x8f1bbcdc, 0xca62c1d6] as const;

/** SHA-1 in JavaScript (FIPS 180-4, 6.1), which git's names are made by. */
export class Sha1 extends BlockHasher {
  readonly #schedule = new Int32Array(80);

  /** Begins without data. */
  constructor() {
    super(SHA1_STATE);
  }

  protected override compress(block: DataView): void {
    const w = this.#schedule;
    for (let i = 0; i < 16; i++) w[i] = block.getInt32(4 * i);
    for (let i = 16; i < 80; i++) {
      const x = w[i - 3]! ^ w[i - 8]! ^ w[i - 14]! ^ w[i - 16]!;
      w[i] = x << 1 | x >>> 31;
    }
    const { state } = this;
    let [a = 0, b = 0, c = 0, d = 0, e = 0] = state;
    for (let i = 0; i < 80; i++) {
      const round = Math.floor(i / 20);
      const f = round === 0 ? b & c | ~b & d : round === 2 ? b & c | b & d | c & d : b ^ c ^ d;
      const t = (a << 5 | a >>> 27) + f + e + SHA1_CONSTANTS[round]! + w[i]! | 0;
      [e, d, c, b, a] = [d, c, b << 30 | b >>> 2, a, t];
    }
    for (const [i, value] of [a, b, c, d, e].entries()) state[i]! += value;
  }
}

function primeRoots(count: number, degree: 2 | 3): Int32Array {
  const roots: number[] = [];
  for (let n = 2; roots.length < count; n++) {
    let prime = true;
    for (let d = 2; d * d <= n; d++) if (n % d === 0) prime = false;
    if (!prime) continue;
    const root = degree === 2 ? Math.sqrt(n) : Math.cbrt(n);
    roots.push((root % 1) * 2 ** 32);
  }
  return Int32Array.from(roots, (root) => Math.floor(root) | 0);
}

function hexOf(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** The hash of node:crypto, which Deno and others have without asking for a permission. */
function createNative(algorithm: ContentHash["algorithm"]): Hasher | undefined {
  const runtime: unknown = Reflect.get(globalThis, "process");
  if (!hasBuiltins(runtime)) return undefined;
  const hash = runtime.getBuiltinModule("node:crypto")?.createHash(algorithm);
  return hash && { update: (bytes) => void hash.update(bytes), digest: () => hash.digest("hex") };
}

interface NodeHash {
  update(bytes: Uint8Array): void;
  digest(encoding: "hex"): string;
}

interface Builtins {
  getBuiltinModule(name: string): { createHash(name: string): NodeHash } | undefined;
}

function hasBuiltins(value: unknown): value is Builtins {
  return typeof value === "object" && value !== null && "getBuiltinModule" in value &&
    typeof value.getBuiltinModule === "function";
}
