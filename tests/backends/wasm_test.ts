// The Wasm backend in all its forms: with fused multiply-add and without, on one thread and on two.

import { createWasmBackend } from "../../src/backends/wasm/wasm_backend.ts";
import { testOperations } from "./operations.ts";

testOperations(
  "wasm, relaxed SIMD, 1 thread",
  () => createWasmBackend({ threads: 1, simd: "relaxed-simd" }),
);
testOperations(
  "wasm, plain SIMD, 1 thread",
  () => createWasmBackend({ threads: 1, simd: "simd" }),
);
testOperations(
  "wasm, relaxed SIMD, 2 threads",
  () => createWasmBackend({ threads: 2, simd: "relaxed-simd" }),
);
