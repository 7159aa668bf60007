/**
 * SHA-256 of data that comes piece by piece, which Web Crypto cannot do.
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

/** Begins a SHA-256: native where the runtime offers it, else in JavaScript. */
export function createSha256(): Hasher {
  return createNative() ?? new Sha256();
}

const BLOCK_BYTES = 64;

/** First 32 bits of the fractional parts of the cube (square) roots of the first primes. */
const ROUND_CONSTANTS = primeRoots(64, 3);
const INITIAL_STATE = primeRoots(8, 2);

/** SHA-256 in JavaScript (FIPS 180-4). */
export class Sha256 implements Hasher {
  readonly #state = INITIAL_STATE.slice();
  readonly #block = new Uint8Array(BLOCK_BYTES);
  readonly #schedule = new Int32Array(64);
  #length = 0;

  /** Takes the next piece. */
  update(bytes: Uint8Array): void {
    let offset = 0;
    const filled = this.#length % BLOCK_BYTES;
    this.#length += bytes.length;
    if (filled > 0) {
      offset = Math.min(bytes.length, BLOCK_BYTES - filled);
      this.#block.set(bytes.subarray(0, offset), filled);
      if (filled + offset < BLOCK_BYTES) return;
      this.#compress(this.#block, 0);
    }
    for (; offset + BLOCK_BYTES <= bytes.length; offset += BLOCK_BYTES) {
      this.#compress(bytes, offset);
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
    return Array.from(this.#state, (word) => (word >>> 0).toString(16).padStart(8, "0")).join("");
  }

  #compress(bytes: Uint8Array, offset: number): void {
    const w = this.#schedule;
    const view = new DataView(bytes.buffer, bytes.byteOffset + offset, BLOCK_BYTES);
    for (let i = 0; i < 16; i++) w[i] = view.getInt32(4 * i);
    for (let i = 16; i < 64; i++) {
      const x = w[i - 15]!;
      const y = w[i - 2]!;
      const s0 = (x >>> 7 | x << 25) ^ (x >>> 18 | x << 14) ^ x >>> 3;
      const s1 = (y >>> 17 | y << 15) ^ (y >>> 19 | y << 13) ^ y >>> 10;
      w[i] = w[i - 16]! + s0 + w[i - 7]! + s1;
    }
    const state = this.#state;
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

/** The hash of node:crypto, which Deno and others have without asking for a permission. */
function createNative(): Hasher | undefined {
  const runtime: unknown = Reflect.get(globalThis, "process");
  if (!hasBuiltins(runtime)) return undefined;
  const hash = runtime.getBuiltinModule("node:crypto")?.createHash("sha256");
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
