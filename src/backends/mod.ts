/**
 * Devices, and the operations that models are written in: a `Frame` records operations on tensors of a
 * `Backend` and runs them together.
 *
 * @example
 * ```ts
 * import { createBackend, evaluate } from "@vq-diffusion/vq-diffusion/backends";
 *
 * await using backend = await createBackend({ device: "wasm", threads: 1 });
 * using x = backend.tensor(Float32Array.of(3, 4), [1, 2]);
 * using unit = evaluate(backend, (frame) => frame.keep(frame.normalizeRows(x)));
 * console.log(await unit.data()); // 0.6, 0.8
 * ```
 *
 * @module
 */

export type {
  Activation,
  AdaLayerNormOptions,
  AttentionOptions,
  Backend,
  Columns,
  ConvOptions,
  ConvSampling,
  ConvWeight,
  DataOf,
  DeviceInfo,
  DeviceType,
  DType,
  Frame,
  FrameOptions,
  GroupNormOptions,
  HeldMemory,
  HostArray,
  LayerNormOptions,
  LinearOptions,
  LinearWeight,
  LinearWeightSources,
  MemoryUse,
  PosteriorOptions,
  PredictStartOptions,
  RunOptions,
  SampleStepOptions,
  Tensor,
} from "./backend.ts";
export type {
  AttentionGradients,
  ConvGradientOptions,
  DiffusionLossTargets,
  DistanceKind,
  GradientOperations,
  NormGradients,
  PackOptions,
} from "./backend.ts";
export { SCHEDULE_COLUMNS } from "./backend.ts";
export { WEIGHT_DTYPES, type WeightDType } from "../base/dtypes.ts";
export {
  compileKernels,
  createBackend,
  type CreateBackendOptions,
  type KernelModule,
  type SimdVariant,
} from "./select.ts";
export { evaluate } from "./evaluate.ts";
export { DeviceLostError } from "./errors.ts";
