/**
 * What memory models take, found out without a device.
 *
 * @module
 */

import type { Backend } from "../backends/backend.ts";
import { createDryBackend, type DryBackendOptions } from "../backends/select.ts";
import { WEIGHT_DTYPES, type WeightDType } from "../base/dtypes.ts";
import type { Model } from "../models/model.ts";
import { Transformer2DModel } from "../models/transformer_2d.ts";
import { VQModel } from "../models/vq_model.ts";
import type { LoadedComponents } from "../pipeline/components.ts";
import { makeFirstImage } from "../pipeline/first_image.ts";

/** Bytes for each way to hold weights. */
export type BytesByDType = Readonly<Record<WeightDType, number>>;

/** What a pipeline holds at most until a first image is made: weights, and what they are worked on in. */
export interface FirstImageMemory {
  /** Threads of the CPU: each has memory of its own. */
  readonly threads: number;
  /** On the CPU, which holds as much from then on. */
  readonly wasm: BytesByDType;
  /** On a GPU, which holds no more than the weights afterwards. */
  readonly webgpu: BytesByDType;
}

/** Bytes that the weights of a model take on the CPU once it was used. */
export async function weightsMemory(model: Model): Promise<BytesByDType> {
  return await byDType({}, async (backend, dtype) => {
    const copy = await model.dryCopy(backend, dtype);
    // Convolutions keep more of their weights once they are used.
    if (copy instanceof VQModel) {
      using tokens = backend.tensor(new Int32Array(1), [1, 1]);
      using images = copy.decodeIndices(tokens);
      await images.data();
    }
    if (copy instanceof Transformer2DModel && copy.config.feedForwardType === "conv") {
      await predictOnce(copy, backend);
    }
    return backend.memoryUse().bytes;
  });
}

async function predictOnce(transformer: Transformer2DModel, backend: Backend): Promise<void> {
  const { conditionType, crossAttentionDim, sampleSize } = transformer.config;
  using inputs = new DisposableStack();
  const sample = inputs.use(backend.tensor(new Int32Array(sampleSize ** 2), [1, sampleSize ** 2]));
  const condition = {
    text: () => ({
      encoderHiddenStates: inputs.use(
        backend.tensor(new Float32Array(crossAttentionDim), [1, 1, crossAttentionDim]),
      ),
    }),
    class: () => ({ classLabels: inputs.use(backend.tensor(new Int32Array(1), [1])) }),
    none: () => ({}),
  }[conditionType]();
  using predicted = transformer.forward({ sample, timestep: 0, ...condition });
  await predicted.data();
}

/** Bytes that a pipeline takes. */
export async function firstImageMemory(components: LoadedComponents): Promise<FirstImageMemory> {
  const measure = async (backend: Backend, dtype: WeightDType) => {
    await makeFirstImage(components, backend, dtype);
    return backend.memoryHeld().peakBytes;
  };
  await using cpu = await createDryBackend();
  return {
    threads: cpu.device.threads,
    wasm: await byDType({ device: "wasm" }, measure),
    webgpu: await byDType({ device: "webgpu" }, measure),
  };
}

async function byDType(
  options: DryBackendOptions,
  measure: (backend: Backend, dtype: WeightDType) => Promise<number>,
): Promise<BytesByDType> {
  const bytes: [WeightDType, number][] = [];
  for (const dtype of WEIGHT_DTYPES) {
    await using backend = await createDryBackend(options);
    bytes.push([dtype, await measure(backend, dtype)]);
  }
  return Object.fromEntries(bytes) as Record<WeightDType, number>;
}
