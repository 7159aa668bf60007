/**
 * What the library uses of `DisposableStack` and `AsyncDisposableStack`, for engines without them, such as
 * Node 20 and 22 and Safari. Put into bundles only; a complete one would be as large as a third of the library.
 *
 * @module
 */

type Disposal = () => unknown;

/** Takes disposals until they are moved elsewhere or done. */
class Disposals {
  #disposals: Disposal[] = [];

  /** Takes one more; they are done in reverse order. */
  add(disposal: Disposal): void {
    this.#disposals.push(disposal);
  }

  /** Takes over those of another one. */
  takeFrom(other: Disposals): this {
    this.#disposals = other.#disposals;
    other.#disposals = [];
    return this;
  }

  /** Removes and gives the last, if there is one. */
  next(): Disposal | undefined {
    return this.#disposals.pop();
  }
}

/** Throws what disposals failed of, if any did. */
function throwAll(errors: readonly unknown[]): void {
  if (errors.length === 1) throw errors[0];
  if (errors.length > 1) throw new AggregateError(errors, "Several resources could not be freed");
}

class SmallDisposableStack {
  readonly #disposals = new Disposals();

  use<T extends Disposable>(value: T): T {
    this.#disposals.add(() => value[Symbol.dispose]());
    return value;
  }

  defer(disposal: () => void): void {
    this.#disposals.add(disposal);
  }

  move(): SmallDisposableStack {
    const moved = new SmallDisposableStack();
    moved.#disposals.takeFrom(this.#disposals);
    return moved;
  }

  dispose(): void {
    const errors: unknown[] = [];
    for (let disposal; (disposal = this.#disposals.next());) {
      try {
        disposal();
      } catch (error) {
        errors.push(error);
      }
    }
    throwAll(errors);
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

class SmallAsyncDisposableStack {
  readonly #disposals = new Disposals();

  use<T extends Partial<AsyncDisposable & Disposable>>(value: T): T {
    this.#disposals.add(() => (value[Symbol.asyncDispose] ?? value[Symbol.dispose])!.call(value));
    return value;
  }

  defer(disposal: () => unknown): void {
    this.#disposals.add(disposal);
  }

  move(): SmallAsyncDisposableStack {
    const moved = new SmallAsyncDisposableStack();
    moved.#disposals.takeFrom(this.#disposals);
    return moved;
  }

  async disposeAsync(): Promise<void> {
    const errors: unknown[] = [];
    for (let disposal; (disposal = this.#disposals.next());) {
      try {
        await disposal();
      } catch (error) {
        errors.push(error);
      }
    }
    throwAll(errors);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.disposeAsync();
  }
}

const native = globalThis as {
  DisposableStack?: unknown;
  AsyncDisposableStack?: unknown;
};

/** The engine's own, or one that does what the library needs. */
const DisposableStack: unknown = native.DisposableStack ?? SmallDisposableStack;
/** The engine's own, or one that does what the library needs. */
const AsyncDisposableStack: unknown = native.AsyncDisposableStack ?? SmallAsyncDisposableStack;

export { AsyncDisposableStack, DisposableStack };
