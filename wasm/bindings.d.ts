// Made from asm/ by `deno task build`; do not edit.
declare namespace __AdaptedExports {
  /** Exported memory */
  export const memory: WebAssembly.Memory;
  /** kernels/HEAP_BASE */
  export const HEAP_BASE: {
    /** @type `usize` */
    get value(): number
  };
  /**
   * convert/packPanels
   * @param from `usize`
   * @param rows `i32`
   * @param k `i32`
   * @param to `usize`
   * @param first `i32`
   * @param half `i32`
   * @returns `bool`
   */
  export function packPanels(from: number, rows: number, k: number, to: number, first: number, half: number): boolean;
  /**
   * convert/widen
   * @param from `usize`
   * @param format `i32`
   * @param to `usize`
   * @param count `i32`
   * @param scale `usize`
   * @param columns `i32`
   */
  export function widen(from: number, format: number, to: number, count: number, scale: number, columns: number): void;
  /**
   * linear_q8/packPanelsI8
   * @param from `usize`
   * @param fromScales `usize`
   * @param rows `i32`
   * @param k `i32`
   * @param to `usize`
   * @param first `i32`
   * @param scales `usize`
   * @param offsets `usize`
   */
  export function packPanelsI8(from: number, fromScales: number, rows: number, k: number, to: number, first: number, scales: number, offsets: number): void;
  /**
   * linear_q8/packPanelsQ8
   * @param from `usize`
   * @param rows `i32`
   * @param k `i32`
   * @param to `usize`
   * @param first `i32`
   * @param scales `usize`
   * @param offsets `usize`
   */
  export function packPanelsQ8(from: number, rows: number, k: number, to: number, first: number, scales: number, offsets: number): void;
  /**
   * linear_q8/quantizedRowBytes
   * @param k `i32`
   * @returns `usize`
   */
  export function quantizedRowBytes(k: number): number;
  /**
   * norms/groupNormBlocks
   * @param pixels `i32`
   * @returns `i32`
   */
  export function groupNormBlocks(pixels: number): number;
  /**
   * program/run
   * @param program `usize`
   * @param count `i32`
   * @param control `usize`
   * @param threads `i32`
   * @param scratch `usize`
   * @returns `bool`
   */
  export function run(program: number, count: number, control: number, threads: number, scratch: number): boolean;
  /**
   * program/runChunks
   * @param command `usize`
   * @param control `usize`
   * @param first `i32`
   * @param count `i32`
   * @param scratch `usize`
   * @returns `bool`
   */
  export function runChunks(command: number, control: number, first: number, count: number, scratch: number): boolean;
  /**
   * program/scratchBytes
   * @param command `usize`
   * @returns `usize`
   */
  export function scratchBytes(command: number): number;
  /**
   * winograd/packWinograd
   * @param from `usize`
   * @param outChannels `i32`
   * @param inChannels `i32`
   * @param to `usize`
   */
  export function packWinograd(from: number, outChannels: number, inChannels: number, to: number): void;
}
/** Instantiates the compiled WebAssembly module with the given imports. */
export declare function instantiate(module: WebAssembly.Module, imports: {
}): Promise<typeof __AdaptedExports>;
