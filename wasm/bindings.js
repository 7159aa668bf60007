// Made from asm/ by `deno task build`; do not edit.
export async function instantiate(module, imports = {}) {
  const { exports } = await WebAssembly.instantiate(module, imports);
  const memory = exports.memory || imports.env.memory;
  const adaptedExports = Object.setPrototypeOf({
    HEAP_BASE: {
      // kernels/HEAP_BASE: usize
      valueOf() { return this.value; },
      get value() {
        return exports.HEAP_BASE.value >>> 0;
      }
    },
    packPanels(from, rows, k, to, first, half) {
      // convert/packPanels(usize, i32, i32, usize, i32, i32) => bool
      return exports.packPanels(from, rows, k, to, first, half) != 0;
    },
    quantizedRowBytes(k) {
      // linear_q8/quantizedRowBytes(i32) => usize
      return exports.quantizedRowBytes(k) >>> 0;
    },
    run(program, count, control, threads, scratch) {
      // program/run(usize, i32, usize, i32, usize) => bool
      return exports.run(program, count, control, threads, scratch) != 0;
    },
    runChunks(command, control, first, count, scratch) {
      // program/runChunks(usize, usize, i32, i32, usize) => bool
      return exports.runChunks(command, control, first, count, scratch) != 0;
    },
    scratchBytes(command) {
      // program/scratchBytes(usize) => usize
      return exports.scratchBytes(command) >>> 0;
    },
  }, exports);
  return adaptedExports;
}
