/**
 * What training a transformer is made of: parameters that can change, noise, the loss, its gradients and
 * the optimiser.
 *
 * @example
 * ```ts
 * import { TorchGenerator, Transformer2DModel, VQDiffusionScheduler } from "@vq-diffusion/vq-diffusion";
 * import {
 *   AdamW,
 *   DiffusionLoss,
 *   noisedTokens,
 *   TimestepSampler,
 *   TrainableParameters,
 * } from "@vq-diffusion/vq-diffusion/training";
 *
 * declare const x0: Int32Array; // tokens of 8 images, by VQModel.encode
 * declare const encoderHiddenStates: Float32Array; // embeddings of their captions
 *
 * const parameters = new TrainableParameters();
 * await using transformer = await Transformer2DModel.fromPretrained("model/transformer", {
 *   parameters,
 * });
 * const scheduler = await VQDiffusionScheduler.fromPretrained("model/scheduler");
 * const generator = new TorchGenerator(0);
 * const sampler = new TimestepSampler(scheduler.config.numTrainTimesteps);
 * using objective = new DiffusionLoss(transformer, parameters, scheduler, { batch: 8, length: 77 });
 * const optimizer = new AdamW();
 *
 * const classes = transformer.config.numVectorEmbeds;
 * const { timesteps, probabilities } = sampler.draw(generator, 8);
 * const noise = new Float32Array(x0.length * classes);
 * generator.fill(noise);
 * const xt = noisedTokens(scheduler, { x0, timesteps, noise, classes });
 * const batch = { x0, xt, encoderHiddenStates, timesteps, probabilities };
 * const { loss, bounds } = await objective.compute(batch);
 * sampler.update(timesteps, bounds);
 * const norm = await optimizer.step(objective.gradients, 2e-4);
 * console.log(loss, norm);
 * await transformer.savePretrained("trained/transformer");
 * ```
 *
 * @module
 */

export { AdamW, type AdamWOptions } from "./adamw.ts";
export type { UnconditionalEmbeddings } from "./caption_embeddings.ts";
export {
  type DiffusionBatch,
  DiffusionLoss,
  type DiffusionLossOptions,
  type DiffusionLossResult,
  type TensorGradient,
} from "./diffusion_loss.ts";
export {
  ExponentialMovingAverage,
  type ExponentialMovingAverageOptions,
  type HasTensors,
} from "./ema.ts";
export { GradientSum } from "./gradient_sum.ts";
export { isHiddenMatrix, Muon, type MuonOptions } from "./muon.ts";
export { noisedTokens, type NoisedTokensInputs } from "./noised_tokens.ts";
export type { Optimizer, OptimizerMemory, ParameterGradient } from "./optimizer.ts";
export { type DrawnTimesteps, type RawGenerator, TimestepSampler } from "./timestep_sampler.ts";
export { TrainableParameters, type TrainableTensor } from "./trainable_parameters.ts";
