/**
 * A program in Wasm memory, and the tensors that it works on.
 *
 * @module
 */

import type { DType, RunOptions, Tensor } from "../backend.ts";
import { checkShape, elements } from "../shapes.ts";
import type { Block } from "./allocator.ts";
import { Program } from "./commands.ts";
import { WasmTensor } from "./tensor.ts";
import type { WasmBackend } from "./wasm_backend.ts";

/** A list of commands with the memory it needs: all of a frame but its operations. */
export class RecordedProgram implements Disposable {
  /** Backend whose memory the program is in. */
  protected readonly backend: WasmBackend;
  /** The commands recorded so far. */
  protected readonly program: Program;
  /** Blocks of this program that no living tensor uses. */
  readonly #spare: Block[] = [];
  /** All blocks of this program. */
  readonly #blocks = new Set<Block>();
  /** Tensors made since each open scope began; the first list is the program's own. */
  readonly #scopes: WasmTensor<DType>[][] = [[]];
  #recorded: { block: Block; commands: number; scratchBytes: number } | undefined;
  #failure: unknown;
  #disposed = false;

  constructor(backend: WasmBackend) {
    this.backend = backend;
    this.program = new Program(backend.kernels.COMMAND_BYTES.value);
  }

  empty<D extends DType>(shape: readonly number[], dtype: D): WasmTensor<D> {
    this.#expectAlive();
    checkShape("empty", shape);
    const block = this.#take(4 * elements(shape));
    const tensor = new WasmTensor<D>(
      this.backend,
      shape,
      dtype,
      block,
      (block) => void (this.#disposed || this.#spare.push(block)),
      () => this.#failure,
    );
    this.#scopes.at(-1)!.push(tensor as WasmTensor<DType>);
    return tensor;
  }

  scope(): Disposable {
    this.#expectAlive();
    const tensors: WasmTensor<DType>[] = [];
    this.#scopes.push(tensors);
    return {
      [Symbol.dispose]: () => {
        for (const tensor of tensors) tensor.dispose();
        const index = this.#scopes.indexOf(tensors);
        if (index > 0) this.#scopes.splice(index, 1);
      },
    };
  }

  async run({ signal }: RunOptions = {}): Promise<void> {
    this.#expectAlive();
    signal?.throwIfAborted();
    try {
      const { block, commands, scratchBytes } = this.#store();
      const ended = await this.backend.run(
        { program: block.address, count: commands, scratchBytes },
        signal,
      );
      if (!ended) throw signal?.reason;
      this.#failure = undefined;
    } catch (error) {
      this.#failure = error;
      throw error;
    }
  }

  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    for (const tensor of this.#scopes.flat()) tensor.dispose();
    if (this.#recorded) this.#blocks.add(this.#recorded.block);
    for (const block of this.#blocks) this.backend.release(block);
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  /** A tensor of another shape over elements that are there. */
  protected view(address: number, shape: readonly number[]): WasmTensor<"f32"> {
    const block = { address, bytes: 0 };
    const view = new WasmTensor(this.backend, shape, "f32", block, () => {}, () => this.#failure);
    this.#scopes.at(-1)!.push(view);
    return view;
  }

  /** Address of a tensor that an operation was given. */
  protected at(operation: string, tensor: Tensor<DType>, dtype: DType = "f32"): number {
    this.#expectAlive();
    if (!(tensor instanceof WasmTensor) || tensor.backend !== this.backend) {
      throw new TypeError(`Cannot run ${operation}: an argument is not a tensor of this backend`);
    }
    if (tensor.dtype !== dtype) {
      throw new TypeError(
        `Cannot run ${operation}: expected ${dtype} elements, got ${tensor.dtype}`,
      );
    }
    if (tensor.disposed) {
      throw new ReferenceError(`Cannot run ${operation}: an argument was disposed of`);
    }
    return tensor.address;
  }

  /** A block of at least `bytes`: a spare one that is not much larger, or a new one. */
  #take(bytes: number): Block {
    let best = -1;
    for (const [i, block] of this.#spare.entries()) {
      const fits = block.bytes >= bytes + 64 && block.bytes <= 2 * bytes + 4096;
      if (fits && (best < 0 || block.bytes < this.#spare[best]!.bytes)) best = i;
    }
    if (best >= 0) return this.#spare.splice(best, 1)[0]!;
    const block = this.backend.allocator.allocate(bytes);
    this.#blocks.add(block);
    return block;
  }

  /** Copies the commands recorded so far to Wasm memory, unless they are there. */
  #store(): { block: Block; commands: number; scratchBytes: number } {
    const commands = this.program.length;
    if (this.#recorded?.commands === commands) return this.#recorded;
    if (this.#recorded) this.backend.release(this.#recorded.block);
    const { words } = this.program;
    const block = this.backend.allocator.allocate(4 * words.length);
    this.backend.view("i32", block.address, words.length).set(words);
    let scratchBytes = 0;
    for (let i = 0; i < commands; i++) {
      const command = block.address + i * this.backend.kernels.COMMAND_BYTES.value;
      scratchBytes = Math.max(scratchBytes, this.backend.kernels.scratchBytes(command));
    }
    return this.#recorded = { block, commands, scratchBytes };
  }

  #expectAlive(): void {
    if (this.#disposed) throw new ReferenceError("Cannot use the frame: it was disposed of");
  }
}
