/**
 * A Wasm backend that takes memory on paper only: the real one, with stand-ins for what computes.
 *
 * @module
 */

import type { Backend, DataOf, DType } from "../backend.ts";
import { Allocator } from "./allocator.ts";
import {
  compileKernels,
  type HostKernels,
  INITIAL_PAGES,
  KernelHost,
  scratchMeter,
} from "./kernels.ts";
import { KernelMemory, type LinearMemory, PAGE_BYTES } from "./linear_memory.ts";
import type { Execution, Runner } from "./runner.ts";
import { defaultThreads, OWN_BYTES, WasmBackend } from "./wasm_backend.ts";

/** Options of {@linkcode createDryWasmBackend}. */
export interface DryWasmOptions {
  /** Number of threads. Default: as many as a backend has by default. */
  readonly threads?: number | undefined;
  /** Bytes that the memory can have at most. Default: any number. */
  readonly memoryLimit?: number | undefined;
  /** A backend to ask for sizes. Default: the kernels are compiled for it. */
  readonly like?: Backend | undefined;
}

/** Makes a backend that only counts memory. */
export async function createDryWasmBackend(
  { threads = defaultThreads(), memoryLimit = Infinity, like }: DryWasmOptions = {},
): Promise<WasmBackend> {
  const { kernels, scratchBytes } = like instanceof WasmBackend ? like : await sizeKernels();
  const memory = new HollowMemory(memoryLimit);
  const allocator = new Allocator(memory, kernels.HEAP_BASE.value);
  allocator.allocate(OWN_BYTES);
  return new WasmBackend({
    device: { type: "wasm", name: "Wasm, on paper", reason: "asked for", threads },
    host: { kernels: dryKernels(kernels), memory },
    scratchBytes,
    allocator,
    runner: new DryRunner(threads),
  });
}

/** Kernels that are there only to be asked for sizes, in the least memory. */
async function sizeKernels(): Promise<Pick<WasmBackend, "kernels" | "scratchBytes">> {
  const { module } = await compileKernels();
  const pages = { initial: INITIAL_PAGES, maximum: INITIAL_PAGES };
  const memory = new WebAssembly.Memory({ ...pages, shared: true });
  const host = await KernelHost.create(
    module,
    new KernelMemory(memory, INITIAL_PAGES * PAGE_BYTES),
  );
  const { kernels } = host;
  return { kernels, scratchBytes: scratchMeter(host, kernels.HEAP_BASE.value) };
}

/** Memory of which there is only the size. What is read from it is zero. */
class HollowMemory implements LinearMemory {
  readonly hollow = true;
  #pages = INITIAL_PAGES;

  /** @param limit Bytes that it can have at most. */
  constructor(readonly limit: number) {}

  get byteLength(): number {
    return this.#pages * PAGE_BYTES;
  }

  grow(pages: number): void {
    if (this.byteLength + pages * PAGE_BYTES > this.limit) {
      throw new RangeError(`Cannot grow the memory: its limit is ${this.limit} bytes`);
    }
    this.#pages += pages;
  }

  read<D extends DType>(dtype: D, _address: number, count: number): DataOf<D> {
    const zeros = dtype === "f32" ? new Float32Array(count) : new Int32Array(count);
    return zeros as DataOf<D>;
  }

  write(): void {}

  clear(): void {}
}

/** Kernels that tell sizes and pack nothing. */
function dryKernels({ HEAP_BASE, quantizedRowBytes, groupNormBlocks }: HostKernels): HostKernels {
  return {
    HEAP_BASE,
    quantizedRowBytes,
    groupNormBlocks,
    packPanels: () => true,
    packPanelsI8: () => {},
    packPanelsQ8: () => {},
    packWinograd: () => {},
    widen: () => {},
  };
}

/** Runs nothing, as if on so many threads. */
class DryRunner implements Runner {
  constructor(readonly threads: number) {}

  start(): Execution {
    return { ended: true, advance: () => undefined };
  }

  dispose(): void {}
}
