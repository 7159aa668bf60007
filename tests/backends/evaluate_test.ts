import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { evaluate } from "../../src/backends/evaluate.ts";
import { BACKENDS } from "./backends.ts";
import { settle } from "./operations/trial.ts";

for (const { name, make } of BACKENDS) {
  Deno.test(`${name}: evaluate() gives what is kept and frees the rest`, async () => {
    await using backend = await make();
    using x = backend.tensor(Float32Array.of(1, 2), [1, 2]);
    // The first run may set up what stays.
    evaluate(backend, (frame) => frame.keep(x)).dispose();
    await settle(backend);
    const before = backend.memoryUse();
    const { twice, count } = evaluate(backend, (frame) => {
      const twice = frame.repeat(x, 2);
      return { twice: frame.keep(twice), count: twice.shape[0] };
    });
    assertEquals(await twice.data(), Float32Array.of(1, 2, 1, 2));
    assertEquals(count, 2);
    await settle(backend);
    assertEquals(backend.memoryUse().allocations, before.allocations + 1);
    twice.dispose();
    await settle(backend);
    assertEquals(backend.memoryUse(), before);
  });

  Deno.test(`${name}: evaluate() frees all if it cannot record`, async () => {
    await using backend = await make();
    using x = backend.tensor(Float32Array.of(1, 2), [1, 2]);
    const before = backend.memoryUse();
    const record = () =>
      evaluate(backend, (frame) => {
        frame.keep(x);
        return frame.geglu(frame.reshape(x, [2, 1]));
      });
    assertThrows(record, RangeError, "geglu");
    await settle(backend);
    assertEquals(backend.memoryUse(), before);
  });

  Deno.test(`${name}: evaluate() heeds its signal before, while recording and after`, async () => {
    await using backend = await make();
    using x = backend.tensor(Float32Array.of(1, 2), [1, 2]);
    const reason = new Error("enough");
    const aborted = { signal: AbortSignal.abort(reason) };
    assertThrows(() => evaluate(backend, (frame) => frame.keep(x), aborted), Error, "enough");
    const controller = new AbortController();
    using kept = evaluate(backend, (frame) => {
      controller.abort(reason);
      return frame.keep(x);
    }, controller);
    await assertRejects(() => kept.data(), Error, "enough");
    // What is not read is nobody's failure.
    evaluate(backend, (frame) => frame.keep(x), { signal: abortedSoon(reason) }).dispose();
    await settle(backend);
  });
}

/** A signal that is aborted once the present task is over. */
function abortedSoon(reason: Error): AbortSignal {
  const controller = new AbortController();
  queueMicrotask(() => controller.abort(reason));
  return controller.signal;
}
