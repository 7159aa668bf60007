/**
 * The types that frames of the WebGPU backend deal with.
 *
 * @module
 */

import type { Device } from "../arguments.ts";
import type { Recorder } from "./recorder.ts";
import type { FloatTensor, IntTensor } from "./tensor.ts";
import type { WebGpuConvWeight, WebGpuLinearWeight } from "./weights.ts";

/** The types of the WebGPU backend. */
export interface WebGpuDevice extends Device {
  readonly floats: FloatTensor;
  readonly ints: IntTensor;
  readonly linear: WebGpuLinearWeight;
  readonly conv: WebGpuConvWeight;
  readonly recorder: Recorder;
}
