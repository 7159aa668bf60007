// The operation suite: every backend runs it, and is compared with the naive functions.

import { testArguments } from "./operations/arguments.ts";
import { testAttentionGradient } from "./operations/attention_gradient.ts";
import { testAttention } from "./operations/attention.ts";
import { testConvolutionGradient } from "./operations/convolution_gradient.ts";
import { testConvolution } from "./operations/convolution.ts";
import { testDistance } from "./operations/distance.ts";
import { testFrames } from "./operations/frames.ts";
import { testGradients } from "./operations/gradients.ts";
import { testLinear } from "./operations/linear.ts";
import { testLoss } from "./operations/loss.ts";
import { testNormsGradient } from "./operations/norms_gradient.ts";
import { testNorms } from "./operations/norms.ts";
import { testPrediction } from "./operations/prediction.ts";
import { testRows } from "./operations/rows.ts";
import { testSampling } from "./operations/sampling.ts";
import type { MakeBackend } from "./operations/trial.ts";

/**
 * Registers the tests of all operations, of frames and of memory.
 *
 * @param name What test names begin with.
 * @param makeBackend Makes a backend; each test makes and disposes of its own.
 */
export function testOperations(name: string, makeBackend: MakeBackend): void {
  testLinear(name, makeBackend);
  testAttention(name, makeBackend);
  testNorms(name, makeBackend);
  testConvolution(name, makeBackend);
  testRows(name, makeBackend);
  testPrediction(name, makeBackend);
  testSampling(name, makeBackend);
  testGradients(name, makeBackend);
  testAttentionGradient(name, makeBackend);
  testConvolutionGradient(name, makeBackend);
  testNormsGradient(name, makeBackend);
  testDistance(name, makeBackend);
  testLoss(name, makeBackend);
  testFrames(name, makeBackend);
  testArguments(name, makeBackend);
}
