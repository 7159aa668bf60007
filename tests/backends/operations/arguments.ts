// Tests of the errors for arguments that do not fit.

import { assert, assertStringIncludes, assertThrows } from "@std/assert";
import type { Frame, Tensor } from "../../../src/backends/backend.ts";
import { createOracle } from "../oracle_backend.ts";
import { type MakeBackend, Trial } from "./trial.ts";

type Call = (t: Trial, frame: Frame) => unknown;

/** Registers the tests. */
export function testArguments(name: string, makeBackend: MakeBackend): void {
  Deno.test(`${name}: Backend refuses data that does not fit its shape`, async () => {
    await using backend = await makeBackend();
    const { bytes } = backend.memoryUse();
    assertThrows(() => backend.tensor(new Float32Array(5), [2, 3]), RangeError);
    assertThrows(() => backend.tensor(new Int32Array(7), [2, 3]), RangeError);
    assertThrows(() => backend.tensor(new Float32Array(2), [-1, -2]), RangeError);
    assertThrows(() => backend.tensor(new Float32Array(1), [0.5, 2]), RangeError);
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
      ]
    ) {
      assertRefused(call, "");
    }
    assert(backend.memoryUse().bytes === bytes);
  });

  for (const [operation, calls] of Object.entries(CALLS)) {
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

const attentionOptions = { batch: 2, heads: 2, headDim: 4, scale: 1 };

function columns(tensor: Tensor, offset = 0) {
  return { tensor, offset };
}

function posteriorInputs(t: Trial) {
  return { schedule: t.floats(5, 6), row: t.ids([1], 1) };
}

function stepInputs(t: Trial) {
  return { ...posteriorInputs(t), latents: t.ids([0, 1, 2], 1, 3), noise: t.floats(1, 9, 3) };
}

const CALLS: Readonly<Record<string, readonly Call[]>> = {
  embedding: [
    (t, f) => f.embedding(t.floats(2, 3) as unknown as Tensor<"i32">, t.floats(5, 4)),
    (t, f) => f.embedding(t.ids([1], 1), t.ids([1, 2], 2, 1) as unknown as Tensor),
    (t, f) => f.embedding(t.ids([1], 1), t.floats(5, 4), t.floats(1, 3)),
  ],
  linear: [
    (t, f) => f.linear(t.floats(3, 5), t.linear([2], 4)),
    (t, f) => f.linear(t.ids([1, 2], 1, 2) as unknown as Tensor, t.linear([2], 2)),
    (t, f) => f.linear(t.floats(3, 4), t.linear([2], 4), { addTo: t.floats(3, 3) }),
    (t, f) => f.linear(t.floats(3, 4), t.linear([2], 4), { addTo: t.floats(2, 2) }),
    (t, f) => {
      const options = { addTo: t.floats(3, 2), activation: "silu" } as const;
      return f.linear(t.floats(3, 4), t.linear([2], 4), options);
    },
    (t, f) => {
      const x = t.floats(3, 4);
      return f.linear(x, t.linear([4], 4), { addTo: x });
    },
    (t, f) => {
      const x = t.floats(3, 4);
      return f.linear(x, t.linear([4], 4), { addTo: f.reshape(x, [12]) });
    },
  ],
  geglu: [(t, f) => f.geglu(t.floats(3, 5))],
  attention: [
    // Columns past the end, rows that are not those of a batch, keys without values.
    (t, f) => {
      const x = columns(t.floats(4, 8), 1);
      return f.attention(x, x, x, attentionOptions);
    },
    (t, f) => {
      const x = columns(t.floats(5, 8));
      return f.attention(x, x, x, attentionOptions);
    },
    (t, f) => {
      const x = columns(t.floats(4, 8));
      return f.attention(x, x, columns(t.floats(6, 8)), attentionOptions);
    },
    // More keys than queries with a mask, no heads, a scale that turns scores round.
    (t, f) => {
      const x = columns(t.floats(6, 8));
      return f.attention(columns(t.floats(4, 8)), x, x, { ...attentionOptions, causal: true });
    },
    (t, f) => {
      const x = columns(t.floats(4, 8));
      return f.attention(x, x, x, { ...attentionOptions, heads: 0 });
    },
    (t, f) => {
      const x = columns(t.floats(4, 8));
      return f.attention(x, x, x, { ...attentionOptions, scale: -1 });
    },
  ],
  layerNorm: [
    (t, f) => f.layerNorm(t.floats(2, 4), { weight: t.floats(3), bias: t.floats(4), eps: 1e-5 }),
    (t, f) => f.layerNorm(t.floats(2, 4), { weight: t.floats(4), bias: t.floats(5), eps: 1e-5 }),
  ],
  adaLayerNorm: [
    (t, f) =>
      f.adaLayerNorm(t.floats(2, 4), { table: t.floats(3, 4), timestep: t.ids([0], 1), eps: 1e-5 }),
    (t, f) =>
      f.adaLayerNorm(t.floats(2, 4), {
        table: t.floats(3, 8),
        timestep: t.ids([0, 1], 2),
        eps: 1e-5,
      }),
  ],
  groupNorm: [
    (t, f) => {
      const [weight, bias] = [t.floats(6), t.floats(6)];
      return f.groupNorm(t.floats(1, 2, 2, 6), { weight, bias, groups: 4, eps: 1e-6 });
    },
    (t, f) => {
      const [weight, bias] = [t.floats(6), t.floats(5)];
      return f.groupNorm(t.floats(1, 2, 2, 6), { weight, bias, groups: 2, eps: 1e-6 });
    },
    (t, f) => {
      const [weight, bias] = [t.floats(6), t.floats(6)];
      return f.groupNorm(t.floats(4, 6), { weight, bias, groups: 2, eps: 1e-6 });
    },
  ],
  conv2d: [
    (t, f) => f.conv2d(t.floats(1, 4, 4, 3), t.conv(2, 4, 3)),
    (t, f) => f.conv2d(t.floats(16, 4), t.conv(2, 4, 3)),
    (t, f) => f.conv2d(t.floats(1, 4, 4, 4), t.conv(2, 4, 3), { addTo: t.floats(1, 4, 4, 4) }),
    (t, f) => f.conv2d(t.floats(1, 1, 4, 4), t.conv(2, 4, 3), { stride: 2 }),
    (t, f) => f.conv2d(t.floats(1, 4, 4, 4), t.conv(2, 4, 1), { stride: 2 }),
    (t, f) => f.conv2d(t.floats(1, 4, 4, 4), t.conv(2, 4, 3), { stride: 2, upsample: true }),
    (t, f) => {
      const x = t.floats(1, 4, 4, 4);
      return f.conv2d(x, t.conv(4, 4, 3), { addTo: x });
    },
  ],
  transpose: [(t, f) => f.transpose(t.floats(3, 4))],
  reshape: [
    (t, f) => f.reshape(t.floats(3, 4), [3, 5]),
    (t, f) => f.reshape(t.floats(3, 4), [-3, -4]),
  ],
  repeat: [
    (t, f) => f.repeat(t.floats(3, 4), 0),
    (t, f) => f.repeat(t.floats(3, 4), 1.5),
  ],
  normalizeRows: [(t, f) => f.normalizeRows(t.ids([1, 2], 1, 2) as unknown as Tensor)],
  nearestCode: [(t, f) => f.nearestCode(t.floats(3, 4), t.floats(7, 5))],
  logSoftmax: [(t, f) => f.logSoftmax(t.ids([1, 2], 1, 2) as unknown as Tensor)],
  posterior: [
    (t, f) => f.posterior(t.floats(1, 3, 8), t.ids([1, 2], 1, 2), posteriorInputs(t)),
    (t, f) =>
      f.posterior(t.floats(1, 2, 8), t.ids([1, 2], 1, 2), {
        ...posteriorInputs(t),
        schedule: t.floats(5, 5),
      }),
    (t, f) =>
      f.posterior(t.floats(1, 2, 8), t.ids([1, 2], 1, 2), {
        ...posteriorInputs(t),
        row: t.ids([1, 2], 2),
      }),
  ],
  sampleStep: [
    (t, f) => f.sampleStep(t.floats(1, 4, 8), stepInputs(t)),
    (t, f) => f.sampleStep(t.floats(1, 3, 8), { ...stepInputs(t), guidanceScale: 5 }),
    (t, f) => f.sampleStep(t.floats(2, 3, 8), stepInputs(t)),
    (t, f) => f.sampleStep(t.floats(1, 3, 8), { ...stepInputs(t), noise: t.floats(1, 8, 3) }),
    (t, f) => f.sampleStep(t.floats(1, 3, 8), { ...stepInputs(t), schedule: t.floats(6, 5) }),
  ],
};

/** Fails unless the call throws a TypeError or RangeError that names the operation. */
function assertRefused(call: () => unknown, operation: string): void {
  const error = assertThrows(call, Error);
  assert(error instanceof TypeError || error instanceof RangeError, `${call}: ${error}`);
  assertStringIncludes(error.message, operation, `${call}`);
}
