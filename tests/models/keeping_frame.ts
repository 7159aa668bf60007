// A frame that keeps every result, as gradients need it: no scope is closed early and nothing is added in
// place.

import type { DType, Frame, Tensor } from "../../src/backends/backend.ts";

/** An operation, and what it gave. */
export interface KeptOperation {
  /** Its name. */
  readonly name: string;
  /** Records it again, of the same arguments. */
  readonly record: (frame: Frame) => Tensor<DType>;
  /** Its result. */
  readonly result: Tensor<DType>;
}

/** A part of a model, as frames record it. */
type Part = Parameters<Frame["checkpoint"]>[1];

/** A frame that keeps what is recorded on it. */
export interface KeepingFrame {
  /** Records on the frame that it was made of, which stays the caller's. */
  readonly frame: Frame;
  /** The operations so far, in order. */
  readonly tape: readonly KeptOperation[];
}

/** Methods of a frame that are no operations, with what takes their place. */
const OTHERS: Readonly<Record<string, ((frame: Frame) => unknown) | undefined>> = {
  empty: (frame) => frame.empty.bind(frame),
  keep: (frame) => frame.keep.bind(frame),
  run: (frame) => frame.run.bind(frame),
  scope: () => () => ({ [Symbol.dispose]: () => {} }),
  dispose: () => () => {},
};

/** Wraps a frame, whatever operations it has. */
export function keepingFrame(wrapped: Frame): KeepingFrame {
  const tape: KeptOperation[] = [];
  const operation = (name: keyof Frame & string) => (...args: unknown[]) => {
    if (name === "sampleStep") {
      throw new TypeError("Cannot keep the argument of sampleStep, which replaces it");
    }
    const record = (frame: Frame): Tensor<DType> => {
      const method = frame[name] as (...args: unknown[]) => Tensor<DType>;
      return Reflect.apply(method, frame, args.map((arg) => ofCopy(frame, arg)));
    };
    const result = record(wrapped);
    tape.push({ name, record, result });
    return result;
  };
  const frame: Frame = new Proxy(wrapped, {
    get(_, name) {
      if (name === Symbol.dispose) return () => {};
      // The operations of a part are kept one by one.
      if (name === "checkpoint") return (x: Tensor, part: Part) => part(frame, x);
      if (typeof name === "symbol") return Reflect.get(wrapped, name);
      return OTHERS[name]?.(wrapped) ?? operation(name as keyof Frame & string);
    },
  });
  return { frame, tape };
}

/** Options whose `addTo` is a copy, so that the sum is computed out of place; other arguments as they are. */
function ofCopy(frame: Frame, arg: unknown): unknown {
  if (typeof arg !== "object" || arg === null || !("addTo" in arg)) return arg;
  const addTo = arg.addTo as Tensor | undefined;
  return addTo === undefined ? arg : { ...arg, addTo: frame.repeat(addTo, 1) };
}
