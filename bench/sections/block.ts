// One block of the ithq transformer, for the two sequences of guidance.

import type { WeightDType } from "../../src/base/dtypes.ts";
import type { Backend } from "../../src/backends/backend.ts";
import type { ArraySource } from "../../src/checkpoints/arrays.ts";
import { Parameters, ParameterScope } from "../../src/models/parameters.ts";
import { TransformerBlock } from "../../src/models/transformer_block.ts";
import { type Bench, entries, measure, type Runnable } from "../bench.ts";
import { blockModel } from "../peers/onnx_transformer.ts";
import { floats, integers, type PeerTask } from "../peers/peer.ts";
import { peerEntries } from "../peers/peer_entries.ts";
import {
  blockConfig,
  blockShapes,
  blockWork,
  CONTEXT_LENGTH,
  ITHQ,
} from "../random_transformer.ts";
import { randomNumbers, randomWeights } from "../random_weights.ts";

const SIZE = ITHQ;
const BATCH = 2;
const TIMESTEP = 50;
const NAME = "transformer_blocks.0";
const PIXELS = SIZE.side ** 2;
const COLUMNS = SIZE.heads * SIZE.headDim;

/** Measures a block. */
export async function block(bench: Bench): Promise<void> {
  await using stack = new AsyncDisposableStack();
  const weights = randomWeights(blockShapes(SIZE, NAME));
  const x = randomNumbers("x", BATCH * PIXELS * COLUMNS, Math.sqrt(3));
  const context = randomNumbers("context", BATCH * CONTEXT_LENGTH * SIZE.context, Math.sqrt(3));
  const ours = await entries(
    bench,
    (backend, dtype) => ourBlock(backend, dtype, { weights, x, context }, stack),
  );
  const task: PeerTask = {
    kind: "block",
    sizes: { ...SIZE, batch: BATCH, contextLength: CONTEXT_LENGTH },
    weights,
    inputs: [
      floats("x", x, [BATCH * PIXELS, COLUMNS]),
      floats("context", context, [BATCH * CONTEXT_LENGTH, SIZE.context]),
      integers("timestep", Int32Array.of(TIMESTEP), [1]),
    ],
    onnx: () => blockModel(SIZE, BATCH, weights),
  };
  const peers = await peerEntries(bench, task, stack);
  const what = `block: ${PIXELS} × ${COLUMNS}, batch ${BATCH}`;
  await measure(bench, what, blockWork(SIZE, BATCH), [...ours, ...peers]);
}

interface BlockInputs {
  readonly weights: ArraySource;
  readonly x: Float32Array;
  readonly context: Float32Array;
}

async function ourBlock(
  backend: Backend,
  dtype: WeightDType,
  inputs: BlockInputs,
  stack: AsyncDisposableStack,
): Promise<Runnable> {
  const parameters = stack.use(new Parameters());
  const model = new TransformerBlock(new ParameterScope(parameters, NAME), blockConfig(SIZE));
  await parameters.load(backend, inputs.weights, { dtype });
  const timestep = stack.use(backend.tensor(Int32Array.of(TIMESTEP), [1]));
  const shape = [BATCH, CONTEXT_LENGTH, SIZE.context];
  const context = stack.use(backend.tensor(inputs.context, shape));
  const contextFrame = stack.use(backend.frame());
  const keyValues = model.keyValues(contextFrame, context);
  await contextFrame.run();

  const frame = stack.use(backend.frame());
  const x = stack.use(backend.tensor(inputs.x, [BATCH, PIXELS, COLUMNS]));
  // A block uses its argument up, so that it gets a copy.
  const y = model.forward(frame, frame.repeat(x, 1), { timestep, keyValues });
  return { run: () => frame.run(), output: () => y.data() };
}
