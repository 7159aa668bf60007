/**
 * The program of a frame: recorded once as commands in Wasm memory, run often.
 *
 * @module
 */

import type { DType, RunOptions } from "../backend.ts";
import { elementCount } from "../../base/shapes.ts";
import { COMMAND_BYTES } from "../../../wasm/commands.ts";
import { FrameLife } from "../frame_life.ts";
import type { Addressed, Block } from "./allocator.ts";
import { encodeCommand, type Fields, type Operation } from "./commands.ts";
import { FrameMemory } from "./frame_memory.ts";
import { WasmTensor } from "./tensor.ts";
import type { WasmHost } from "./host.ts";
import type { Preparation } from "./runner.ts";
import { panelColumns, WasmConvWeight, WasmLinearWeight } from "./weights.ts";

/** A program as it lies in Wasm memory. */
interface StoredProgram {
  readonly block: Block;
  readonly commands: number;
  readonly scratchBytes: number;
}

/** Records commands and runs them. */
export class Recorder {
  /** Backend of the frame. */
  readonly backend: WasmHost;
  /** How long the frame and its tensors live. */
  readonly life: FrameLife = new FrameLife();
  readonly #memory: FrameMemory;
  readonly #commands: Uint8Array[] = [];
  #portable: boolean;
  readonly #preparations: Preparation[] = [];
  #stored: StoredProgram | undefined;

  /**
   * Begins with an empty program.
   *
   * @param portable Whether to compute without fused multiply-add.
   */
  constructor(backend: WasmHost, portable: boolean) {
    this.backend = backend;
    this.#portable = portable;
    this.#memory = new FrameMemory(backend);
  }

  /** Calls what records an operation. */
  operation<T>(_name: string, record: () => T): T {
    this.life.assertAlive();
    return record();
  }

  /** Appends a command. */
  push<O extends Operation>(operation: O, fields: Fields<O>): void {
    this.#commands.push(encodeCommand(operation, fields));
    // Its weights are packed for the instructions of the backend.
    if (operation === "linearQ8") this.#portable = false;
  }

  /** Notes what has to be done before the commands run; done once more, it does nothing. */
  prepare(part: Preparation): void {
    this.#preparations.push(part);
  }

  /** Reserves memory of an input, that keeps its content from run to run. */
  input<D extends DType>(shape: readonly number[], dtype: D): WasmTensor<D> {
    return this.#tensor(shape, dtype, this.#memory.reserve(bytesOf(shape)), () => {});
  }

  /** Reserves memory of a result. */
  result<D extends DType = "f32">(
    shape: readonly number[],
    dtype: D = "f32" as D,
  ): WasmTensor<D> {
    const block = this.#memory.take(bytesOf(shape));
    return this.#tensor(shape, dtype, block, () => this.#memory.giveBack(block));
  }

  /** Reserves memory that outlives the frame. */
  kept<D extends DType>(shape: readonly number[], dtype: D): WasmTensor<D> {
    const { backend, life } = this;
    const block = backend.allocator.allocate(bytesOf(shape));
    return life.keep(
      (release) =>
        new WasmTensor(backend, shape, dtype, block.address, release, { lastRun: life.lastRun }),
      () => backend.release(block),
    );
  }

  /** Reserves memory of a linear layer's weight in float32. */
  packed(outFeatures: number, inFeatures: number): WasmLinearWeight {
    const columns = panelColumns(outFeatures);
    const panels = this.result([columns, inFeatures]);
    const bias = this.result([columns]);
    const memory = {
      get disposed() {
        return panels.disposed;
      },
      dispose() {
        panels.dispose();
        bias.dispose();
      },
    };
    const sizes = { outFeatures, inFeatures };
    return new WasmLinearWeight(this.backend, sizes, "fp32", { panels, bias, memory });
  }

  /** Reserves memory of a convolution's weight. */
  packedConv(outChannels: number, inChannels: number, kernelSize: number): WasmConvWeight {
    const matrix = this.packed(outChannels, kernelSize ** 2 * inChannels);
    const zero = this.result([inChannels]);
    return new WasmConvWeight({ outChannels, inChannels, kernelSize }, matrix, zero, zero);
  }

  /** Memory for what only the next commands need: it goes with the innermost open scope. */
  scratch(bytes: number): Addressed {
    const block = this.#memory.take(bytes);
    this.life.scopes.own({ dispose: () => this.#memory.giveBack(block) });
    return block;
  }

  /** A tensor in another shape, which goes with its scope. */
  view<D extends DType>(tensor: WasmTensor<D>, shape: readonly number[]): WasmTensor<D> {
    const view = tensor.view(shape);
    this.life.scopes.own(view);
    return view;
  }

  /** Opens a scope of memory. */
  scope(): Disposable {
    return this.life.scopes.open();
  }

  /** Runs what was recorded. */
  run({ signal }: RunOptions = {}): Promise<void> {
    return this.life.run(async () => {
      signal?.throwIfAborted();
      const { block, commands, scratchBytes } = this.#store();
      const ended = await this.backend.run(
        { program: block.address, count: commands, scratchBytes, portable: this.#portable },
        this.#preparations,
        signal,
      );
      if (!ended) throw signal?.reason;
    });
  }

  /** Gives all memory back, after the runs asked for. */
  dispose(): void {
    if (this.life.dispose()) this.#memory.dispose();
  }

  /** Copies the commands recorded so far to Wasm memory, unless they are there. */
  #store(): StoredProgram {
    const commands = this.#commands.length;
    if (this.#stored?.commands === commands) return this.#stored;
    if (this.#stored) this.#memory.free(this.#stored.block);
    this.#stored = undefined;
    const block = this.#memory.reserve(COMMAND_BYTES * commands);
    let scratchBytes = 0;
    for (const [i, command] of this.#commands.entries()) {
      this.backend.memory.write(block.address + COMMAND_BYTES * i, command);
      scratchBytes = Math.max(scratchBytes, this.backend.scratchBytes(command));
    }
    return this.#stored = { block, commands, scratchBytes };
  }

  #tensor<D extends DType>(
    shape: readonly number[],
    dtype: D,
    block: Block,
    release: () => void,
  ): WasmTensor<D> {
    const { backend } = this;
    const origin = { lastRun: this.life.lastRun };
    const tensor = new WasmTensor(backend, shape, dtype, block.address, release, origin);
    this.life.scopes.own(tensor);
    return tensor;
  }
}

/** Bytes of a tensor. */
function bytesOf(shape: readonly number[]): number {
  return 4 * elementCount(shape);
}
