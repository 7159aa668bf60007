/**
 * The compiled kernels: which variant this engine runs, and an instance of it.
 *
 * @module
 */

import { decodeBase64 } from "../../base/base64.ts";
import { instantiate } from "../../../wasm/bindings.js";
import { KernelMemory, PAGE_BYTES } from "./linear_memory.ts";

/** Functions that the module exports. */
export type Kernels = Awaited<ReturnType<typeof instantiate>>;

/** The kernels that the calling thread uses itself: they pack weights, and tell sizes. */
export type HostKernels = Pick<
  Kernels,
  | "HEAP_BASE"
  | "groupNormBlocks"
  | "packPanels"
  | "packPanelsI8"
  | "packPanelsQ8"
  | "packWinograd"
  | "quantizedRowBytes"
  | "widen"
>;

/** Instruction set of a variant: relaxed SIMD has fused multiply-add and an int8 dot product. */
export type SimdVariant = "relaxed-simd" | "simd";

/** A compiled module and the variant that it is. */
export interface KernelModule {
  /** Instruction set it needs. */
  readonly simd: SimdVariant;
  /** The module. */
  readonly module: WebAssembly.Module;
}

/** The modules that a backend computes with. */
export interface KernelModules extends KernelModule {
  /** Kernels without fused multiply-add, for results that are the same everywhere; undefined if not to be had. */
  readonly portable: WebAssembly.Module | undefined;
}

/** A function with one relaxed instruction, i8x16.relaxed_swizzle: valid only where relaxed SIMD is. */
// deno-fmt-ignore
const RELAXED_SIMD_PROBE = new Uint8Array([
  0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 15, 1, 13, 0,
  65, 1, 253, 15, 65, 2, 253, 15, 253, 128, 2, 11,
]);

/** The best variant that this engine accepts. */
export function bestSimd(): SimdVariant {
  return WebAssembly.validate(RELAXED_SIMD_PROBE) ? "relaxed-simd" : "simd";
}

const compiled = new Map<SimdVariant, Promise<WebAssembly.Module>>();

/**
 * Compiles the embedded module, once a process.
 *
 * @throws {WebAssembly.CompileError} If the engine forbids compiling or lacks SIMD.
 */
export function compileKernels(simd: SimdVariant = bestSimd()): Promise<KernelModule> {
  let module = compiled.get(simd);
  if (!module) {
    module = compileVariant(simd);
    compiled.set(simd, module);
    // What failed once, such as fetching the kernels, may be tried again.
    module.catch(() => compiled.delete(simd));
  }
  return module.then((module) => ({ simd, module }));
}

/**
 * The modules of a backend: those that are given, the best variant first, or the embedded ones.
 *
 * @throws {TypeError} If none is given.
 * @throws {WebAssembly.CompileError} If the engine forbids compiling or lacks SIMD.
 */
export async function kernelModules(
  given: KernelModule | readonly KernelModule[] | undefined,
  simd?: SimdVariant,
): Promise<KernelModules> {
  const modules = given === undefined
    ? await Promise.all([compileKernels(simd), compileKernels("simd")])
    : [given].flat();
  const best = modules.find(({ simd }) => simd === "relaxed-simd") ?? modules[0];
  if (best === undefined) {
    throw new TypeError("Cannot create a backend: module is an empty list, expected kernels");
  }
  return { ...best, portable: modules.find(({ simd }) => simd === "simd")?.module };
}

async function compileVariant(simd: SimdVariant): Promise<WebAssembly.Module> {
  const { base64 } = simd === "relaxed-simd"
    ? await import("../../../wasm/relaxed_simd.ts")
    : await import("../../../wasm/simd.ts");
  return await WebAssembly.compile(decodeBase64(base64));
}

/** Pages of 64 KiB that the module asks for at first. */
export const INITIAL_PAGES = 16;
/** Largest sizes to try: some engines cannot reserve 4 GiB. */
const MAXIMUM_PAGES = [65536, 32768, 16384, 4096];

/**
 * Makes a memory that instances share.
 *
 * @param initial Pages that it has at first.
 * @throws {RangeError} If the engine has not so much.
 */
export function createMemory(initial: number = INITIAL_PAGES): KernelMemory {
  let failure: unknown;
  for (const maximum of MAXIMUM_PAGES) {
    if (maximum < initial) continue;
    try {
      const memory = new WebAssembly.Memory({ initial, maximum, shared: true });
      return new KernelMemory(memory, maximum * PAGE_BYTES);
    } catch (error) {
      failure = error;
    }
  }
  throw failure;
}

/** The kernels on the calling thread, and the memory that they share with workers. */
export class KernelHost {
  /** The memory, in which all stays at its address. */
  readonly memory: KernelMemory;
  readonly #module: WebAssembly.Module;
  #kernels: Kernels;

  private constructor(module: WebAssembly.Module, memory: KernelMemory, kernels: Kernels) {
    this.#module = module;
    this.memory = memory;
    this.#kernels = kernels;
  }

  /** Makes an instance on a memory. */
  static async create(
    module: WebAssembly.Module,
    memory: KernelMemory = createMemory(),
  ): Promise<KernelHost> {
    const kernels = await instantiate(module, { env: { memory: memory.memory } });
    return new KernelHost(module, memory, kernels);
  }

  /** The kernels. */
  get kernels(): Kernels {
    return this.#kernels;
  }

  /**
   * Moves all to another memory, where what still writes to this one does no harm.
   *
   * @throws {RangeError} If the engine has not so much more.
   */
  async renew(): Promise<WebAssembly.Memory> {
    const { memory } = createMemory(this.memory.byteLength / PAGE_BYTES);
    const kernels = await instantiate(this.#module, { env: { memory } });
    this.memory.moveTo(memory);
    this.#kernels = kernels;
    return memory;
  }
}

/**
 * Tells how many bytes of scratch memory each thread needs for a command.
 *
 * @param address Room for a command in the memory.
 */
export function scratchMeter(host: KernelHost, address: number): (command: Uint8Array) => number {
  return (command) => {
    host.memory.write(address, command);
    return host.kernels.scratchBytes(address);
  };
}
