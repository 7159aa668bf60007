// Gradients through checkpoints, against those through all that was kept.

import { assert, assertEquals } from "@std/assert";
import { backward } from "../../src/autograd/backward.ts";
import { TapeFrame } from "../../src/autograd/tape_frame.ts";
import type { Backend, Frame, Tensor } from "../../src/backends/backend.ts";
import { BACKENDS, type TestedBackend } from "../backends/backends.ts";
import { product, Random } from "../backends/operations/trial.ts";
import { makeWebGpu, WITHOUT_WEBGPU } from "../backends/webgpu_adapter.ts";

/** A function of tensors with a checkpoint in it. */
interface Case {
  readonly shapes: readonly (readonly number[])[];
  readonly record: (frame: Frame, tensors: readonly Tensor[]) => Tensor;
  /** Which of the tensors gradients are asked for by. Default: all. */
  readonly by?: readonly number[];
}

const CASES: Readonly<Record<string, Case>> = {
  "a block with weights from outside, used up in place": {
    shapes: [[2, 3, 4], [4], [4], [8, 4], [8], [4, 4]],
    record: (f, [x, weight, bias, w1, b1, w2]) => {
      const [up, down] = [f.pack(w1!, { bias: b1! }), f.pack(w2!)];
      return f.checkpoint(f.activate(x!, "silu"), (f, x) => {
        using _scope = f.scope();
        const normed = f.layerNorm(x, { weight: weight!, bias: bias!, eps: 0.1 });
        const hidden = f.geglu(f.linear(normed, up));
        return f.linear(hidden, down, { addTo: x });
      });
    },
  },
  "an activation behind a linear layer": {
    shapes: [[3, 5], [4, 5], [4]],
    record: (f, [x, w, bias]) => {
      const weight = f.pack(w!, { bias: bias! });
      return f.checkpoint(x!, (f, x) => f.linear(x, weight, { activation: "quickGelu" }));
    },
  },
  "a convolution of a weight from outside": {
    shapes: [[1, 3, 2, 3], [3, 3, 3, 3]],
    record: (f, [x, kernel]) => {
      const weight = f.packConv(kernel!);
      return f.checkpoint(x!, (f, x) => f.conv2d(f.activate(x, "gelu"), weight, { addTo: x }));
    },
  },
  "a weight that is packed inside": {
    shapes: [[3, 4], [4, 4]],
    record: (f, [x, w]) => f.checkpoint(x!, (f, x) => f.linear(x, f.pack(w!))),
  },
  "one after the other": {
    shapes: [[3, 4], [4, 4]],
    record: (f, [x, w]) => {
      const weight = f.pack(w!);
      const part = (f: Frame, x: Tensor) => f.linear(f.activate(x, "silu"), weight, { addTo: x });
      return [1, 2, 3].reduce((x) => f.checkpoint(x, part), x!);
    },
  },
  "one inside of another": {
    shapes: [[3, 4]],
    record: (f, [x]) =>
      f.checkpoint(
        x!,
        (f, x) =>
          f.multiply(x, f.checkpoint(x, (f, x) => f.activate(f.activate(x, "silu"), "gelu"))),
      ),
  },
  "two tensors that have one gradient": {
    shapes: [[2, 3], [2, 3]],
    record: (f, [x, y]) => {
      const sum = f.checkpoint(x!, (f, x) => f.activate(f.add(x, y!), "silu"));
      // What comes after adds to the gradient by one of them.
      return f.multiply(f.multiply(sum, x!), y!);
    },
  },
  "two tensors whose gradient is that of the result": {
    shapes: [[2, 3], [2, 3]],
    record: (f, [x, y]) => f.multiply(f.checkpoint(x!, (f, x) => f.add(x, y!)), y!),
  },
  "a result of another shape": {
    shapes: [[2, 3, 4]],
    record: (f, [x]) =>
      f.activate(f.checkpoint(x!, (f, x) => f.reshape(f.transpose(x), [6, 4])), "silu"),
  },
  "nothing": {
    shapes: [[2, 3]],
    record: (f, [x]) => f.multiply(f.checkpoint(x!, (_, x) => x), x!),
  },
  "a part, by what it takes from outside alone": {
    shapes: [[2, 3], [2, 3]],
    record: (f, [x, y]) =>
      f.checkpoint(x!, (f, x) => f.multiply(f.activate(x, "silu"), f.activate(y!, "silu"))),
    by: [1],
  },
};

/** The result and the gradients; the memory that was taken for them. */
async function computed(
  backend: Backend,
  { shapes, record, by = shapes.map((_, i) => i) }: Case,
  recompute: boolean,
) {
  const random = new Random(1);
  const before = backend.memoryUse().bytes;
  using frame = backend.frame();
  const tape = new TapeFrame(frame, { recompute });
  const filled = (shape: readonly number[]) => {
    const tensor = frame.empty(shape, "f32");
    tensor.write(random.floats(product(shape)));
    return tensor;
  };
  const tensors = shapes.map(filled);
  const result = record(tape, tensors);
  const gradients = backward(
    tape,
    { result, gradient: filled(result.shape) },
    by.map((i) => tensors[i]!),
  );
  // Run twice: nothing may be added to what the run before left.
  await frame.run();
  await frame.run();
  const bytes = backend.memoryUse().bytes - before;
  const values = await Promise.all([result, ...gradients].map((tensor) => tensor!.data()));
  return { values, bytes, names: tape.entries.map(({ name }) => name) };
}

const MAKERS: readonly (Omit<TestedBackend, "slow"> & { readonly ignore?: boolean })[] = [
  ...BACKENDS,
  { name: "WebGPU", ignore: WITHOUT_WEBGPU, make: makeWebGpu },
];

for (const { name, make, ignore = false } of MAKERS) {
  Deno.test({
    name: `${name}: TapeFrame.checkpoint() computes again what was kept, bit for bit`,
    ignore,
    fn: async (t) => {
      await using backend = await make();
      for (const [what, example] of Object.entries(CASES)) {
        await t.step(what, async () => {
          const kept = await computed(backend, example, false);
          const again = await computed(backend, example, true);
          assert(again.names.includes("checkpoint") && !kept.names.includes("checkpoint"));
          assert(kept.values.every((values) => values.some((value) => value !== 0)));
          assertEquals(again.values, kept.values);
        });
      }
    },
  });
}

Deno.test("TapeFrame.checkpoint() keeps of a deep network the results of its parts", async () => {
  await using backend = await BACKENDS[1]!.make();
  const [parts, rows, columns] = [12, 256, 64];
  const shape = [rows, columns];
  const deep = (inside: number): Case => ({
    shapes: [shape, shape],
    record: (frame, [x, other]) =>
      Array.from({ length: parts }).reduce<Tensor>((x) =>
        frame.checkpoint(x, (frame, x) => {
          let constant = other!;
          for (let i = 0; i < inside; i++) {
            x = frame.activate(x, "silu");
            constant = frame.activate(constant, "silu");
          }
          return frame.multiply(x, constant);
        }), x!),
    by: [0],
  });
  const bytesOf = async (inside: number, recompute: boolean) =>
    (await computed(backend, deep(inside), recompute)).bytes;
  // What is more in each part is kept for all parts, or for one of them.
  const size = 4 * rows * columns;
  const [kept, again] = [
    await bytesOf(9, false) - await bytesOf(1, false),
    await bytesOf(9, true) - await bytesOf(1, true),
  ];
  assert(kept >= 2 * 8 * parts * size, `${kept}`);
  assert(again <= 2 * 10 * size, `${again}`);
});
