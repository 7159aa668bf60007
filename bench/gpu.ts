// Measures the WebGPU backend: see `USAGE`.

import { WEIGHT_DTYPES, type WeightDType } from "../src/base/dtypes.ts";
import type { Tensor } from "../src/backends/backend.ts";
import { createWebGpuBackend, type WebGpuBackend } from "../src/backends/webgpu/backend.ts";
import { probeWebGpu, requestDevice } from "../src/backends/webgpu/probe.ts";
import type { MatmulTile, Tuning } from "../src/backends/webgpu/recorder.ts";
import { selfCheck } from "../src/backends/webgpu/self_check.ts";
import type { ArraySource } from "../src/checkpoints/arrays.ts";
import { integerOption } from "../src/cli/arguments.ts";
import { Parameters, ParameterScope } from "../src/models/parameters.ts";
import { Transformer2DModel } from "../src/models/transformer_2d.ts";
import { TransformerBlock } from "../src/models/transformer_block.ts";
import { markdownTable } from "../tools/markdown_table.ts";
import { runScript } from "../tools/script.ts";
import { limit } from "./gpu_limit.ts";
import { type GpuBench, type Row, timeOf } from "./gpu_timing.ts";
import {
  blockConfig,
  blockFlops,
  CONTEXT_LENGTH,
  ITHQ,
  randomTransformer,
  transformerConfig,
  transformerFlops,
  type TransformerSize,
} from "./random_transformer.ts";

const USAGE = `Measures the WebGPU backend, in one table.

    deno run --allow-all bench/gpu.ts [options]

--software   takes an adapter that computes on the CPU, and sizes that it can do
--layers n   blocks of the ithq-shaped transformer, fewer where memory is short; default: 36
--sweep      measures tiles of matrix products and of attention instead`;

/** Two sequences: without and with the prompt. */
const BATCH = 2;

/** A transformer that a GPU emulated by the CPU can do. */
const SMALL: TransformerSize = {
  layers: 2,
  heads: 4,
  headDim: 88,
  context: 64,
  side: 8,
  classes: 513,
};

/** Random numbers in −0.5 … 0.5. */
function numbers(length: number): Float32Array {
  return Float32Array.from({ length }, () => Math.random() - 0.5);
}

async function product(
  backend: WebGpuBackend,
  [rows, inner, columns]: readonly [number, number, number],
  dtype: WeightDType,
): Promise<Row> {
  const [x, w] = [numbers(rows * inner), numbers(columns * inner)];
  using input = backend.tensor(x, [rows, inner]);
  const array = { dtype: "f32", shape: [columns, inner], data: w } as const;
  using weight = backend.linearWeight([array], [], dtype);
  using frame = backend.frame();
  const result = frame.linear(input, weight);
  const milliseconds = await timeOf(frame, result);
  const name = `${rows} × ${inner} → ${columns}, ${dtype}`;
  expectProducts(name, await result.data(), x, w, inner);
  return { name, milliseconds, flops: 2 * rows * inner * columns };
}

/** Fails if one of some elements is far from the product. */
function expectProducts(
  name: string,
  y: Float32Array,
  x: Float32Array,
  w: Float32Array,
  inner: number,
): void {
  const columns = w.length / inner;
  for (let i = 0; i < 100; i++) {
    const at = Math.floor(Math.random() * y.length);
    const [m, n] = [Math.floor(at / columns), at % columns];
    let sum = 0;
    for (let k = 0; k < inner; k++) sum += x[m * inner + k]! * w[n * inner + k]!;
    if (Math.abs(sum - y[at]!) > 0.01 * Math.sqrt(inner)) {
      throw new Error(`${name}: element ${at} is ${y[at]}, expected ${sum}`);
    }
  }
}

async function products({ backend, size }: GpuBench): Promise<Row[]> {
  const rows = BATCH * size.side ** 2;
  const width = size.heads * size.headDim;
  const shapes = [[rows, width, 3 * width], [rows, width, width], [rows, width, 4 * width], [
    rows,
    4 * width,
    width,
  ], [BATCH * CONTEXT_LENGTH, size.context, 2 * width]] as const;
  const found: Row[] = [];
  for (const dtype of WEIGHT_DTYPES) {
    for (const shape of shapes) found.push(await product(backend, shape, dtype));
  }
  return found;
}

async function attention(backend: WebGpuBackend, size: TransformerSize): Promise<Row[]> {
  const { heads, headDim, side } = size;
  const [pixels, width] = [side ** 2, heads * headDim];
  const found: Row[] = [];
  for (const keys of [pixels, CONTEXT_LENGTH]) {
    using q = backend.tensor(numbers(BATCH * pixels * width), [BATCH * pixels, width]);
    using kv = backend.tensor(numbers(BATCH * keys * 2 * width), [BATCH * keys, 2 * width]);
    using frame = backend.frame();
    const result = frame.attention(
      { tensor: q, offset: 0 },
      { tensor: kv, offset: 0 },
      { tensor: kv, offset: width },
      { batch: BATCH, heads, headDim, scale: headDim ** -0.5 },
    );
    found.push({
      name: `attention ${pixels} × ${keys}, ${heads} heads of ${headDim}`,
      milliseconds: await timeOf(frame, result),
      flops: 4 * BATCH * pixels * keys * width,
    });
  }
  return found;
}

/** Blocks and steps of the transformer, guidance and sampling included. */
async function steps({ backend, size }: GpuBench): Promise<Row[]> {
  const found: Row[] = [];
  for (const dtype of WEIGHT_DTYPES) {
    const weights = randomTransformer(size);
    await using model = await Transformer2DModel.create(
      backend,
      transformerConfig(size),
      weights,
      { dtype },
    );
    found.push(await block(backend, weights, size, dtype));
    found.push(await step(backend, model, size, dtype));
  }
  return found;
}

async function block(
  backend: WebGpuBackend,
  weights: ArraySource,
  size: TransformerSize,
  dtype: WeightDType,
): Promise<Row> {
  const width = size.heads * size.headDim;
  const shape = [BATCH, size.side ** 2, width];
  using frame = backend.frame();
  using timestep = backend.tensor(Int32Array.of(50), [1]);
  using context = randomContext(backend, size);
  const state = frame.empty(shape, "f32");
  using parameters = new Parameters();
  const scope = new ParameterScope(parameters, "transformer_blocks.0");
  const first = new TransformerBlock(scope, blockConfig(size));
  // All of the checkpoint but the first block goes unused.
  await parameters.load(backend, weights, { dtype });
  const keyValues = first.keyValues(frame, context);
  first.forward(frame, state, { timestep, keyValues });
  state.write(numbers(shape.reduce((a, b) => a * b)));
  return {
    name: `block, batch ${BATCH}, ${dtype}`,
    milliseconds: await timeOf(frame, state),
    flops: BATCH * blockFlops(size),
  };
}

async function step(
  backend: WebGpuBackend,
  model: Transformer2DModel,
  size: TransformerSize,
  dtype: WeightDType,
): Promise<Row> {
  const { classes, side, layers } = size;
  const pixels = side ** 2;
  using context = randomContext(backend, size);
  using timestep = backend.tensor(Int32Array.of(50), [1]);
  using latents = backend.tensor(new Int32Array(pixels).fill(classes - 1), [1, pixels]);
  using noise = backend.tensor(numbers(classes * pixels).map((u) => u + 0.5), [1, classes, pixels]);
  using schedule = backend.tensor(new Float32Array(101 * 6).fill(-2), [101, 6]);
  using prepared = backend.frame();
  const keyValues = model.recordContext(prepared, context);
  await prepared.run();
  using frame = backend.frame();
  const logProbs = model.record(frame, { sample: latents, context: keyValues, timestep });
  const options = {
    latents,
    noise,
    schedule,
    row: timestep,
    guidanceScale: 5,
    truncationRate: 0.86,
  };
  frame.sampleStep(logProbs, options);
  return {
    name: `guided step, ${layers} blocks, ${dtype}`,
    milliseconds: await timeOf(frame, latents),
    flops: transformerFlops(size, BATCH),
  };
}

function randomContext(backend: WebGpuBackend, { context }: TransformerSize): Tensor {
  const values = numbers(BATCH * CONTEXT_LENGTH * context);
  return backend.tensor(values, [BATCH, CONTEXT_LENGTH, context]);
}

/** Tiles of matrix products with up to 256 threads that fit in the GPU's workgroup memory. */
function matmulTiles(gpu: GPUDevice): MatmulTile[] {
  const sides = [32, 64, 128];
  const perThread = [4, 8];
  return sides.flatMap((rows) =>
    sides.flatMap((columns) =>
      [8, 16, 32].flatMap((depth) =>
        perThread.flatMap((threadRows) =>
          perThread.map((threadColumns) => ({ rows, columns, depth, threadRows, threadColumns }))
        )
      )
    )
  ).filter(({ rows, columns, depth, threadRows, threadColumns }) => {
    const threads = (rows / threadRows) * (columns / threadColumns);
    const bytes = (rows + columns) * (depth / 4 + 1) * 16;
    return threads >= 32 && threads <= 256 &&
      bytes <= gpu.limits.maxComputeWorkgroupStorageSize;
  });
}

async function sweep({ gpu, tuned, size }: GpuBench): Promise<Row[]> {
  const width = size.heads * size.headDim;
  const shape = [BATCH * size.side ** 2, width, 4 * width] as const;
  const found: Row[] = [];
  for (const tile of matmulTiles(gpu)) {
    await using backend = await tuned({ matmulTile: tile });
    const { rows, columns, depth, threadRows, threadColumns } = tile;
    const row = await product(backend, shape, "fp32");
    const name = `${rows}×${columns}×${depth}, ${threadRows}×${threadColumns} a thread`;
    found.push({ ...row, name });
  }
  for (const queries of [32, 64]) {
    for (const keys of [16, 32, 64]) {
      // Pieces of queries and keys, and the weights.
      const bytes = (queries + keys) * 5 * 16 + queries * keys * 4;
      if (bytes > gpu.limits.maxComputeWorkgroupStorageSize) continue;
      await using backend = await tuned({ attentionTile: { queries, keys } });
      const rows = await attention(backend, size);
      found.push(...rows.map((row) => ({ ...row, name: `${queries}×${keys}: ${row.name}` })));
    }
  }
  return found;
}

function tableOf(rows: readonly Row[]): string {
  const rate = ({ flops, milliseconds }: Row) => (flops ?? 0) / milliseconds / 1e6;
  const most = rate(rows[0]!);
  const lines = rows.map((row) => [
    row.name,
    row.milliseconds.toPrecision(3),
    row.flops === undefined ? "" : rate(row).toFixed(rate(row) < 100 ? 1 : 0),
    row.flops === undefined ? "" : `${(100 * rate(row) / most).toFixed(0)} %`,
  ]);
  return markdownTable(["what", "ms", "GFLOP/s", "of the limit"], lines);
}

interface Options {
  readonly software: boolean;
  readonly sweep: boolean;
  readonly layers: number | undefined;
}

/** Measures, and prints the table. */
async function measure({ software, sweep: sweeps, layers }: Options): Promise<void> {
  const { adapter, reason } = await probeWebGpu({ allowSoftware: software });
  if (adapter === undefined) {
    throw new Error(`Cannot measure a GPU: ${reason}; --software takes an emulated one`);
  }
  const gpu = await requestDevice(adapter);
  const tuned = (tuning: Partial<Tuning>) =>
    createWebGpuBackend({ device: gpu, reason: "bench", allowSoftware: true, tuning });
  const backend = await tuned({});
  const shape = software ? SMALL : ITHQ;
  const size = { ...shape, layers: layers ?? shape.layers };
  const bench: GpuBench = { gpu, backend, tuned, size };
  console.log(`${reason}; self-check: ${await selfCheck(backend) ?? "all is well"}\n`);
  const sections = sweeps
    ? [limit, sweep]
    : [limit, products, () => attention(backend, size), steps];
  const rows: Row[] = [];
  for (const section of sections) rows.push(...await section(bench));
  console.log(tableOf(rows));
  gpu.destroy();
}

await runScript({
  usage: USAGE,
  options: {
    software: { type: "boolean", default: false },
    sweep: { type: "boolean", default: false },
    layers: { type: "string" },
  },
  run: ({ values }) => measure({ ...values, layers: integerOption("layers", values.layers) }),
});
