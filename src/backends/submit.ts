/**
 * Running what a model or scheduler records, for callers that have no frame of their own.
 *
 * @module
 */

import type { Backend, DataOf, DType, Frame, Tensor } from "./backend.ts";

/**
 * Records operations on a frame of their own and submits them. The results own the frame: it goes
 * when all of them have been disposed of. Reading a result rejects if the run fails.
 *
 * @param record Records the operations and returns the results.
 * @param signal Stops the run between two operations.
 * @returns The results, whose content is on its way.
 */
export function submit<T extends Readonly<Record<string, Tensor | Tensor<"i32">>>>(
  backend: Backend,
  record: (frame: Frame) => T,
  signal?: AbortSignal,
): T {
  signal?.throwIfAborted();
  const frame = backend.frame();
  try {
    const results = record(frame);
    const run = frame.run({ signal });
    // Whoever reads a result learns of the failure; no one else has to.
    run.catch(() => {});
    let remaining = Object.keys(results).length;
    const release = () => {
      if (--remaining === 0) frame.dispose();
    };
    for (const tensor of Object.values(results)) own(tensor as Tensor<DType>, run, release);
    return results;
  } catch (error) {
    frame.dispose();
    throw error;
  }
}

/**
 * Makes a tensor's `data()` wait for the run and its `dispose()` call `release`, once. A backend
 * only takes tensors of its own making, so that they are changed and not wrapped.
 */
function own(tensor: Tensor<DType>, run: Promise<void>, release: () => void): void {
  const read = tensor.data.bind(tensor);
  const data = async (): Promise<DataOf<DType>> => {
    // Asked for at once: the tensor may be disposed of before the run is over.
    const values = read();
    values.catch(() => {});
    await run;
    return await values;
  };
  let held = true;
  const dispose = () => {
    if (!held) return;
    held = false;
    // From here on the frame disposes of the tensor in the ordinary way.
    for (const key of ["dispose", Symbol.dispose, "data"]) Reflect.deleteProperty(tensor, key);
    release();
  };
  const property = (value: unknown) => ({ value, configurable: true });
  Object.defineProperties(tensor, {
    data: property(data),
    dispose: property(dispose),
    [Symbol.dispose]: property(dispose),
  });
}
