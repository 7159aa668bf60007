// Gradients through every operation of a tape, against differences of the results.

import { assertEquals, assertRejects, assertStrictEquals, assertThrows } from "@std/assert";
import { backward } from "../../src/autograd/backward.ts";
import { TapeFrame } from "../../src/autograd/tape_frame.ts";
import type { Backend, Frame, Tensor } from "../../src/backends/backend.ts";
import { BACKENDS } from "../backends/backends.ts";
import { assertClose, product, Random } from "../backends/operations/trial.ts";

/** A function of tensors, made of operations. */
interface Case {
  readonly shapes: readonly (readonly number[])[];
  readonly record: (frame: Frame, tensors: readonly Tensor[]) => Tensor;
}

function ids(frame: Frame, values: readonly number[], shape: readonly number[]): Tensor<"i32"> {
  const tensor = frame.empty(shape, "i32");
  tensor.write(Int32Array.from(values));
  return tensor;
}

/** One for each rule, over odd shapes; some use a tensor twice, whose gradients add up. */
const CASES: Readonly<Record<string, Case>> = {
  "linear with bias": {
    shapes: [[2, 3, 5], [7, 5], [7]],
    record: (f, [x, w, bias]) => f.linear(x!, f.pack(w!, { bias: bias! })),
  },
  "linear of a transposed weight": {
    shapes: [[3, 5], [5, 2]],
    record: (f, [x, w]) => f.linear(x!, f.pack(w!, { transpose: true })),
  },
  "linear with an activation": {
    shapes: [[3, 5], [4, 5]],
    record: (f, [x, w]) => f.linear(x!, f.pack(w!), { activation: "quickGelu" }),
  },
  "linear that adds to its own argument's source": {
    shapes: [[3, 4], [4, 4]],
    record: (f, [x, w]) => f.linear(f.activate(x!, "silu"), f.pack(w!), { addTo: x! }),
  },
  "a weight that serves twice": {
    shapes: [[3, 4], [4, 4]],
    record: (f, [x, w]) => {
      const weight = f.pack(w!);
      return f.linear(f.linear(x!, weight), weight);
    },
  },
  "activate": { shapes: [[7]], record: (f, [x]) => f.activate(x!, "gelu") },
  "geglu": { shapes: [[3, 10]], record: (f, [x]) => f.geglu(x!) },
  "attention of a joined tensor": {
    shapes: [[2, 3, 12]],
    record: (f, [tensor]) => {
      const part = (offset: number) => ({ tensor: tensor!, offset });
      return f.attention(part(0), part(4), part(8), { batch: 2, heads: 2, headDim: 2, scale: 0.7 });
    },
  },
  "causal attention of three tensors": {
    shapes: [[5, 6], [5, 6], [5, 6]],
    record: (f, tensors) => {
      const [q, k, v] = tensors.map((tensor) => ({ tensor, offset: 0 }));
      const options = { batch: 1, heads: 3, headDim: 2, scale: 1, causal: true };
      return f.attention(q!, k!, v!, options);
    },
  },
  "attention to keys and values in one tensor": {
    shapes: [[6, 4], [10, 8]],
    record: (f, [q, kv]) =>
      f.attention(
        { tensor: q!, offset: 0 },
        { tensor: kv!, offset: 4 },
        { tensor: kv!, offset: 0 },
        { batch: 2, heads: 1, headDim: 4, scale: 0.5 },
      ),
  },
  "layerNorm": {
    shapes: [[2, 3, 5], [5], [5]],
    record: (f, [x, weight, bias]) => f.layerNorm(x!, { weight: weight!, bias: bias!, eps: 0.1 }),
  },
  "adaLayerNorm": {
    shapes: [[3, 2, 5], [4, 10]],
    record: (f, [x, table]) =>
      f.adaLayerNorm(x!, { table: table!, timestep: ids(f, [3, 0, 3], [3]), eps: 0.1 }),
  },
  "groupNorm": {
    shapes: [[2, 2, 3, 4], [4], [4]],
    record: (f, [x, weight, bias]) =>
      f.groupNorm(x!, { weight: weight!, bias: bias!, groups: 2, eps: 0.1 }),
  },
  "groupNorm with silu": {
    shapes: [[1, 3, 2, 6], [6], [6]],
    record: (f, [x, weight, bias]) =>
      f.groupNorm(x!, { weight: weight!, bias: bias!, groups: 3, eps: 0.1, silu: true }),
  },
  "normalizeRows": { shapes: [[3, 5]], record: (f, [x]) => f.normalizeRows(x!) },
  "conv2d": {
    shapes: [[2, 3, 4, 3], [5, 3, 3, 3], [5]],
    record: (f, [x, kernel, bias]) => f.conv2d(x!, f.packConv(kernel!, { bias: bias! })),
  },
  "conv2d of one pixel, that adds": {
    shapes: [[1, 3, 2, 3], [2, 3, 1, 1], [1, 3, 2, 2]],
    record: (f, [x, kernel, addTo]) =>
      f.conv2d(x!, f.packConv(kernel!), { addTo: f.activate(addTo!, "silu") }),
  },
  "conv2d of stride 2, of an even number of pixels": {
    shapes: [[1, 4, 6, 2], [3, 2, 3, 3]],
    record: (f, [x, kernel]) => f.conv2d(x!, f.packConv(kernel!), { stride: 2 }),
  },
  "conv2d of stride 2, of an odd number of pixels": {
    shapes: [[2, 5, 3, 2], [1, 2, 3, 3]],
    record: (f, [x, kernel]) => f.conv2d(x!, f.packConv(kernel!), { stride: 2 }),
  },
  "conv2d of a doubled image": {
    shapes: [[1, 2, 3, 2], [3, 2, 3, 3]],
    record: (f, [x, kernel]) => f.conv2d(x!, f.packConv(kernel!), { upsample: true }),
  },
  "conv2d of one pixel of a doubled image": {
    shapes: [[1, 2, 2, 3], [2, 3, 1, 1]],
    record: (f, [x, kernel]) => f.conv2d(x!, f.packConv(kernel!), { upsample: true }),
  },
  "distance l1": { shapes: [[2, 3], [2, 3]], record: (f, [x, y]) => f.distance(x!, y!, "l1") },
  "distance l2": { shapes: [[2, 3], [6]], record: (f, [x, y]) => f.distance(x!, y!, "l2") },
  "sums of many rows": {
    shapes: [[2], [258, 3], [2, 3]],
    record: (f, [bias, x, w]) => f.linear(x!, f.pack(w!, { bias: bias! })),
  },
  "embedding with positions": {
    shapes: [[4, 3], [2, 3]],
    record: (f, [table, position]) =>
      f.embedding(ids(f, [0, 3, 1, 3, 3, 0], [3, 2]), table!, position!),
  },
  "logSoftmax": { shapes: [[3, 5]], record: (f, [x]) => f.logSoftmax(x!) },
  "transpose, reshape and repeat": {
    shapes: [[2, 3, 4]],
    record: (f, [x]) => f.repeat(f.reshape(f.transpose(x!), [4, 6]), 3),
  },
  "multiply": { shapes: [[2, 3], [6]], record: (f, [x, y]) => f.multiply(x!, y!) },
  "multiply of a tensor by itself": { shapes: [[2, 3]], record: (f, [x]) => f.multiply(x!, x!) },
  "add of a tensor to itself": { shapes: [[2, 3]], record: (f, [x]) => f.add(x!, x!) },
};

/** Half the distance of two arguments: its square, and rounding divided by it, are below 1e-3. */
const STEP = 2 ** -7;

for (const { name, make } of BACKENDS) {
  for (const [what, { shapes, record }] of Object.entries(CASES)) {
    Deno.test(`${name}: backward() through ${what}`, async () => {
      await using backend = await make();
      const random = new Random(1);
      const values = shapes.map((shape) => random.floats(product(shape)));
      const { shape } = await evaluated(backend, shapes, values, record);
      const weights = random.floats(product(shape));
      const gradients = await gradientsOf(backend, shapes, values, record, weights);
      for (const [s, value] of values.entries()) {
        const slopes = [];
        for (let i = 0; i < value.length; i++) {
          const at = async (x: number) => {
            const moved = values.with(s, value.with(i, x));
            const { data } = await evaluated(backend, shapes, moved, record);
            return data.reduce((sum, y, j) => sum + y * weights[j]!, 0);
          };
          slopes.push((await at(value[i]! + STEP) - await at(value[i]! - STEP)) / (2 * STEP));
        }
        assertClose(gradients[s]!, slopes, { absolute: 2e-3 }, `${what}: tensor ${s}`);
      }
    });
  }
}

async function evaluated(
  backend: Backend,
  shapes: Case["shapes"],
  values: readonly Float32Array[],
  record: Case["record"],
): Promise<{ shape: readonly number[]; data: Float32Array }> {
  using frame = backend.frame();
  const result = record(frame, inputs(frame, shapes, values));
  await frame.run();
  return { shape: result.shape, data: await result.data() };
}

async function gradientsOf(
  backend: Backend,
  shapes: Case["shapes"],
  values: readonly Float32Array[],
  record: Case["record"],
  weights: Float32Array,
): Promise<Float32Array[]> {
  using frame = backend.frame();
  const tape = new TapeFrame(frame);
  const tensors = inputs(frame, shapes, values);
  const result = record(tape, tensors);
  const gradient = frame.empty(result.shape, "f32");
  gradient.write(weights);
  const gradients = backward(tape, { result, gradient }, tensors);
  // Run twice: nothing may be added to what the run before left.
  await frame.run();
  await frame.run();
  assertEquals(gradients.map((g) => g?.shape), shapes.map((shape) => [...shape]));
  return await Promise.all(gradients.map((g) => g!.data()));
}

function inputs(frame: Frame, shapes: Case["shapes"], values: readonly Float32Array[]): Tensor[] {
  return shapes.map((shape, i) => {
    const tensor = frame.empty(shape, "f32");
    tensor.write(values[i]!);
    return tensor;
  });
}

Deno.test("backward() gives nothing for tensors that the result does not depend on", async () => {
  await using backend = await BACKENDS[0]!.make();
  using frame = backend.frame();
  const tape = new TapeFrame(frame);
  const [x, other] = [frame.empty([3], "f32"), frame.empty([3], "f32")];
  const result = tape.activate(x, "silu");
  const gradient = frame.empty([3], "f32");
  tape.activate(other, "silu");
  const [byX, byOther] = backward(tape, { result, gradient }, [x, other]);
  assertEquals([byX?.shape, byOther], [[3], undefined]);
});

Deno.test("backward() adds the gradients of several results up", async () => {
  await using backend = await BACKENDS[0]!.make();
  using frame = backend.frame();
  const tape = new TapeFrame(frame);
  const tensor = (...values: number[]) => {
    const tensor = frame.empty([values.length], "f32");
    tensor.write(Float32Array.from(values));
    return tensor;
  };
  const [x, y] = [tensor(1, 2), tensor(5, 5)];
  const sum = tape.add(x, y);
  const square = tape.distance(sum, tensor(0, 0), "l2");
  const starts = [
    { result: square, gradient: tensor(1, 10) },
    { result: sum, gradient: tensor(100, 1000) },
  ];
  const [byX, byY] = backward(tape, starts, [x, y]);
  await frame.run();
  assertEquals(await byX!.data(), Float32Array.of(112, 1140));
  assertEquals(await byY!.data(), Float32Array.of(112, 1140));
});

Deno.test("TapeFrame.straightThrough() and detach() lead gradients past an operation", async () => {
  await using backend = await BACKENDS[0]!.make();
  using frame = backend.frame();
  const tape = new TapeFrame(frame);
  const [x, y] = [frame.empty([2], "f32"), frame.empty([1, 2], "f32")];
  x.write(Float32Array.of(1, 2));
  y.write(Float32Array.of(3, 4));
  const through = tape.straightThrough(tape.activate(x, "none"), tape.activate(y, "none"));
  const result = tape.distance(through, tape.detach(tape.add(x, x)), "l2");
  const gradient = frame.empty(result.shape, "f32");
  gradient.write(Float32Array.of(1, 1));
  const [byX, byY] = backward(tape, { result, gradient }, [x, y]);
  await frame.run();
  assertEquals(await result.data(), Float32Array.of(1, 0));
  assertEquals([await byX!.data(), byY], [Float32Array.of(2, 0), undefined]);
});

Deno.test("backward() refuses gradients of another shape, and operations without one", async () => {
  await using backend = await BACKENDS[0]!.make();
  using frame = backend.frame();
  const tape = new TapeFrame(frame);
  const [x, gradient] = [frame.empty([2, 3], "f32"), frame.empty([2, 3], "f32")];
  const result = tape.rowMax(tape.reshape(x, [2, 3, 1]));
  assertThrows(
    () => backward(tape, { result, gradient: frame.empty([3, 2], "f32") }, [x]),
    RangeError,
    "the shape of gradient is (3, 2), expected (2, 3)",
  );
  assertThrows(() => backward(tape, { result, gradient }, [x]), TypeError, "rowMax");
  // Not asked for what lies behind it, it is not in the way.
  assertStrictEquals(backward(tape, { result, gradient }, [result])[0], gradient);
  assertThrows(() => tape.sampleStep(), TypeError, "it replaces its argument");
  await assertRejects(
    async () => {
      using weight = backend.linearWeight([{
        shape: [3, 3],
        dtype: "f32",
        data: new Float32Array(9),
      }], []);
      const result = tape.linear(x, weight);
      backward(tape, { result, gradient }, [x]);
      await Promise.resolve();
    },
    TypeError,
    "a weight packed elsewhere",
  );
});
