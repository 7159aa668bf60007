// Made from asm/ by `deno task build`; do not edit.
export async function instantiate(module, imports = {}) {
  const adaptedImports = {
    env: Object.setPrototypeOf({
      abort(message, fileName, lineNumber, columnNumber) {
        // ~lib/builtins/abort(~lib/string/String | null?, ~lib/string/String | null?, u32?, u32?) => void
        message = __liftString(message >>> 0);
        fileName = __liftString(fileName >>> 0);
        lineNumber = lineNumber >>> 0;
        columnNumber = columnNumber >>> 0;
        (() => {
          // @external.js
          throw Error(`${message} in ${fileName}:${lineNumber}:${columnNumber}`);
        })();
      },
    }, Object.assign(Object.create(globalThis), imports.env || {})),
  };
  const { exports } = await WebAssembly.instantiate(module, adaptedImports);
  const memory = exports.memory || imports.env.memory;
  const adaptedExports = Object.setPrototypeOf({
    quantizedRowBytes(k) {
      // linear_q8/quantizedRowBytes(i32) => usize
      return exports.quantizedRowBytes(k) >>> 0;
    },
    run(program, count, control, threads, scratch) {
      // program/run(usize, i32, threads/Control, i32, usize) => bool
      control = __lowerRecord0(control) || __notnull();
      return exports.run(program, count, control, threads, scratch) != 0;
    },
    scratchBytes(command) {
      // program/scratchBytes(usize) => usize
      return exports.scratchBytes(command) >>> 0;
    },
  }, exports);
  function __lowerRecord0(value) {
    // threads/Control
    // Hint: Opt-out from lowering as a record by providing an empty constructor
    if (value == null) return 0;
    const pointer = exports.__pin(exports.__new(20, 0));
    __setU32(pointer + 0, value.nextChunk);
    __setU32(pointer + 4, value.arrived);
    __setU32(pointer + 8, value.generation);
    __setU32(pointer + 12, value.abort);
    __setU32(pointer + 16, value.stopped);
    exports.__unpin(pointer);
    return pointer;
  }
  function __liftString(pointer) {
    if (!pointer) return null;
    const
      end = pointer + new Uint32Array(memory.buffer)[pointer - 4 >>> 2] >>> 1,
      memoryU16 = new Uint16Array(memory.buffer);
    let
      start = pointer >>> 1,
      string = "";
    while (end - start > 1024) string += String.fromCharCode(...memoryU16.subarray(start, start += 1024));
    return string + String.fromCharCode(...memoryU16.subarray(start, end));
  }
  function __notnull() {
    throw TypeError("value must not be null");
  }
  let __dataview = new DataView(memory.buffer);
  function __setU32(pointer, value) {
    try {
      __dataview.setUint32(pointer, value, true);
    } catch {
      __dataview = new DataView(memory.buffer);
      __dataview.setUint32(pointer, value, true);
    }
  }
  return adaptedExports;
}
