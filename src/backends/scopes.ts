/**
 * Scopes of a frame: what was made in one goes with it.
 *
 * @module
 */

/** Something that goes with its scope. */
export interface Owned {
  /** Ends its use of memory. */
  dispose(): void;
}

/** The scopes of a frame: the frame itself and, above it, those that are open. */
export class Scopes {
  readonly #scopes: Owned[][] = [[]];

  /** Adds something to the innermost open scope. */
  own(value: Owned): void {
    this.#scopes.at(-1)!.push(value);
  }

  /**
   * Opens a scope, whose closing disposes of what was added to it.
   *
   * @throws {TypeError} When closed while a scope inside it is open.
   */
  open(): Disposable {
    const owned: Owned[] = [];
    this.#scopes.push(owned);
    return {
      [Symbol.dispose]: () => {
        if (!this.#scopes.includes(owned)) return;
        if (this.#scopes.at(-1) !== owned) {
          throw new TypeError("Cannot close a scope while one inside it is open");
        }
        this.#scopes.pop();
        owned.forEach((value) => value.dispose());
      },
    };
  }

  /** Disposes of everything. */
  dispose(): void {
    this.#scopes.splice(0).flat().forEach((value) => value.dispose());
  }
}
