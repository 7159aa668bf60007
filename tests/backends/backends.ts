// The backends that golden tests run on.

import type { Backend } from "../../src/backends/backend.ts";
import { createWasmBackend } from "../../src/backends/wasm/wasm_backend.ts";
import { createOracle } from "./oracle_backend.ts";

/** A backend that tests are repeated for. */
export interface TestedBackend {
  /** What test names begin with. */
  readonly name: string;
  /** Whether only the smallest cases are to be run. */
  readonly slow: boolean;
  /** Makes one. */
  readonly make: () => Promise<Backend>;
}

/** All backends that can run here. */
export const BACKENDS: readonly TestedBackend[] = [
  { name: "oracle", slow: true, make: createOracle },
  {
    name: "wasm",
    slow: false,
    make: () => createWasmBackend({ threads: 2, simd: "relaxed-simd" }),
  },
  {
    name: "wasm, plain SIMD",
    slow: false,
    make: () => createWasmBackend({ threads: 1, simd: "simd" }),
  },
];
