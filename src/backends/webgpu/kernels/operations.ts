/**
 * The operations of the WebGPU backend.
 *
 * @module
 */

import type { Kernels } from "../../checked_frame.ts";
import type { WebGpuDevice } from "../types.ts";
import * as attention from "./attention.ts";
import * as attentionGradient from "./attention_gradient.ts";
import * as convolution from "./convolution.ts";
import * as convolutionGradient from "./convolution_gradient.ts";
import * as distance from "./distance.ts";
import * as gradients from "./gradients.ts";
import * as linear from "./linear.ts";
import * as loss from "./loss.ts";
import * as norms from "./norms.ts";
import * as normsGradient from "./norms_gradient.ts";
import * as prediction from "./prediction.ts";
import * as rows from "./rows.ts";
import * as sampling from "./sampling.ts";

/** A function for each operation that records it: what the files of kernels export under its name. */
export const OPERATIONS: Kernels<WebGpuDevice> = {
  ...attention,
  ...attentionGradient,
  ...convolution,
  ...convolutionGradient,
  ...distance,
  ...gradients,
  ...linear,
  ...loss,
  ...norms,
  ...normsGradient,
  ...prediction,
  ...rows,
  ...sampling,
};
