// Tests of the errors for arguments that do not fit.

import { assert, assertStringIncludes, assertThrows } from "@std/assert";
import { createOracle } from "../oracle_backend.ts";
import { ATTENTION_REFUSALS } from "./attention.ts";
import { ATTENTION_GRADIENT_REFUSALS } from "./attention_gradient.ts";
import { CONVOLUTION_GRADIENT_REFUSALS } from "./convolution_gradient.ts";
import { CONVOLUTION_REFUSALS } from "./convolution.ts";
import { DISTANCE_REFUSALS } from "./distance.ts";
import { GRADIENTS_REFUSALS } from "./gradients.ts";
import { LINEAR_REFUSALS } from "./linear.ts";
import { LOSS_REFUSALS } from "./loss.ts";
import { NORMS_GRADIENT_REFUSALS } from "./norms_gradient.ts";
import { NORMS_REFUSALS } from "./norms.ts";
import { PREDICTION_REFUSALS } from "./prediction.ts";
import { ROWS_REFUSALS } from "./rows.ts";
import { SAMPLING_REFUSALS } from "./sampling.ts";
import { type MakeBackend, type Refusals, Trial } from "./trial.ts";

/** Calls of all operations with arguments that do not fit. */
export const REFUSALS: Refusals = {
  ...LINEAR_REFUSALS,
  ...ATTENTION_REFUSALS,
  ...NORMS_REFUSALS,
  ...CONVOLUTION_REFUSALS,
  ...ROWS_REFUSALS,
  ...PREDICTION_REFUSALS,
  ...SAMPLING_REFUSALS,
  ...GRADIENTS_REFUSALS,
  ...ATTENTION_GRADIENT_REFUSALS,
  ...CONVOLUTION_GRADIENT_REFUSALS,
  ...NORMS_GRADIENT_REFUSALS,
  ...DISTANCE_REFUSALS,
  ...LOSS_REFUSALS,
};

/** Registers the tests. */
export function testArguments(name: string, makeBackend: MakeBackend): void {
  Deno.test(`${name}: Backend refuses data that does not fit its shape`, async () => {
    await using backend = await makeBackend();
    const { bytes } = backend.memoryUse();
    assertThrows(() => backend.tensor(new Float32Array(5), [2, 3]), RangeError);
    assertThrows(() => backend.tensor(new Int32Array(7), [2, 3]), RangeError);
    assertThrows(() => backend.tensor(new Float32Array(2), [-1, -2]), RangeError);
    assertThrows(() => backend.tensor(new Float32Array(1), [0.5, 2]), RangeError);
    // A GPU cannot bind what is empty; in Deno it would end the process.
    for (const shape of [[0], [0, 3], [3, 0]]) {
      assertThrows(() => backend.tensor(new Float32Array(), shape), RangeError, "from 1 on");
      assertThrows(() => backend.frame().empty(shape, "f32"), RangeError, "from 1 on");
    }
    using t = new Trial(backend);
    const array = (...shape: number[]) => t.array("f32", ...shape);
    for (
      const call of [
        () => backend.linearWeight([], []),
        () => backend.linearWeight([array(2, 3), array(2, 4)], []),
        () => backend.linearWeight([array(2, 3)], [array(3)]),
        () => backend.linearWeight([array(2, 3), array(2, 3)], [array(2)]),
        () => backend.linearWeight([array(2, 3, 3, 3)], []),
        () => backend.convWeight(array(2, 3, 5, 5), array(2)),
        () => backend.convWeight(array(2, 3, 3, 3), array(3)),
        () => backend.convWeight(array(2, 3), array(2)),
        () => backend.linearWeight([{ ...array(2, 3), shape: [2, 4] }], []),
        () => backend.convWeight({ ...array(2, 3, 1, 1), shape: [2, 3, 3, 3] }, array(2)),
        () => backend.upload({ ...array(2, 3), shape: [2, 4] }),
        () => backend.upload(array(0, 3)),
        () => backend.linearWeight([array(0, 3)], []),
        () => backend.convWeight(array(0, 3, 3, 3), array(0)),
        () => backend.convWeight(array(2, 0, 3, 3), array(2)),
      ]
    ) {
      assertRefused(call, "");
    }
    assert(backend.memoryUse().bytes === bytes);
  });

  for (const [operation, calls] of Object.entries(REFUSALS)) {
    Deno.test(`${name}: Frame.${operation}() refuses arguments that do not fit`, async () => {
      await using backend = await makeBackend();
      using t = new Trial(backend);
      for (const call of calls) assertRefused(() => call(t, t.frame), operation);
    });
  }

  Deno.test(`${name}: Frame refuses tensors of other backends and those disposed of`, async () => {
    await using backend = await makeBackend();
    await using other = await createOracle();
    using t = new Trial(backend);
    using foreign = other.tensor(new Float32Array(4), [1, 4]);
    const gone = backend.tensor(new Float32Array(4), [1, 4]);
    gone.dispose();
    const owner = t.frame.repeat(t.floats(1, 4), 1);
    const view = t.frame.reshape(owner, [2, 2]);
    owner.dispose();
    const scope = t.frame.scope();
    const closed = t.frame.empty([1, 4], "f32");
    scope[Symbol.dispose]();
    for (const tensor of [foreign, gone, view, closed]) {
      assertThrows(() => t.frame.logSoftmax(tensor), Error, "logSoftmax");
    }
  });

  Deno.test(`${name}: Frame refuses weights of other backends and those disposed of`, async () => {
    await using backend = await makeBackend();
    await using other = await createOracle();
    using t = new Trial(backend);
    using foreign = new Trial(other);
    const [linear, conv] = [t.linear([2], 4), t.conv(2, 4, 3)];
    linear.dispose();
    conv.dispose();
    for (const weight of [linear, foreign.linear([2], 4)]) {
      assertThrows(() => t.frame.linear(t.floats(3, 4), weight), Error, "linear");
    }
    for (const weight of [conv, foreign.conv(2, 4, 3)]) {
      assertThrows(() => t.frame.conv2d(t.floats(1, 4, 4, 4), weight), Error, "conv2d");
    }
  });
}

/** Fails unless the call throws a TypeError or RangeError that names the operation. */
function assertRefused(call: () => unknown, operation: string): void {
  const error = assertThrows(call, Error);
  assert(error instanceof TypeError || error instanceof RangeError, `${call}: ${error}`);
  assertStringIncludes(error.message, operation, `${call}`);
}
