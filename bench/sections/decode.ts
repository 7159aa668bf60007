// Decoding one image of 256 × 256 pixels. Convolutions are held in float32 whatever the type is.

import type { Backend } from "../../src/backends/backend.ts";
import type { ArraySource } from "../../src/checkpoints/arrays.ts";
import { VQModel } from "../../src/models/vq_model.ts";
import { type Bench, entries, measure, type Runnable } from "../bench.ts";
import { integers, type PeerTask } from "../peers/peer.ts";
import { peerEntries } from "../peers/peer_entries.ts";
import { decoderWork, ITHQ_VQ, latentSide, vqConfig, vqShapes } from "../random_vq_model.ts";
import { randomWeights } from "../random_weights.ts";

const SIZE = ITHQ_VQ;
const PIXELS = latentSide(SIZE) ** 2;

/** Measures decoding. */
export async function decode(bench: Bench): Promise<void> {
  await using stack = new AsyncDisposableStack();
  const weights = randomWeights(vqShapes(SIZE));
  const indices = Int32Array.from({ length: PIXELS }, (_, i) => (i * 37) % SIZE.codes);
  const fp32 = { ...bench, dtypes: ["fp32"] as const };
  const ours = await entries(fp32, (backend) => ourDecoder(backend, weights, indices, stack));
  const task: PeerTask = {
    kind: "decode",
    sizes: { ...SIZE },
    weights,
    inputs: [integers("indices", indices, [1, PIXELS])],
  };
  const peers = await peerEntries(bench, task, stack);
  const what = `decode: ${SIZE.side} × ${SIZE.side} pixels`;
  await measure(bench, what, decoderWork(SIZE), [...ours, ...peers]);
}

async function ourDecoder(
  backend: Backend,
  weights: ArraySource,
  indices: Int32Array,
  stack: AsyncDisposableStack,
): Promise<Runnable> {
  const model = stack.use(
    await VQModel.create(backend, vqConfig(SIZE), weights, { dtype: "fp32" }),
  );
  const frame = stack.use(backend.frame());
  const tokens = stack.use(backend.tensor(indices, [1, PIXELS]));
  const image = model.recordDecodeIndices(frame, tokens);
  return { run: () => frame.run(), output: () => image.data() };
}
