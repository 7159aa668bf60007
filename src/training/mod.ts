/**
 * Training a transformer: from a folder of pictures to a model, or step by step, or of its parts:
 * parameters that can change, noise, the loss, its gradients and the optimisers.
 *
 * @example
 * ```ts
 * import { train } from "@vq-diffusion/vq-diffusion/training";
 *
 * await train("pictures", { out: "model" });
 * ```
 *
 * @example Step by step
 * ```ts
 * import { encodePictures, readPictureFolder, TrainableModel, Trainer } from "@vq-diffusion/vq-diffusion/training";
 *
 * await using model = await TrainableModel.fromPretrained();
 * const pictures = await readPictureFolder("pictures");
 * const examples = await encodePictures(model.components, pictures);
 * using trainer = await Trainer.create(model, examples, { steps: 500, batch: 16 });
 * for (let i = 0; i < 500; i++) {
 *   const { step, loss } = await trainer.step();
 *   console.log(step, loss);
 * }
 * await trainer.exchangeAverages();
 * await model.savePretrained("model");
 * ```
 *
 * @example Of its parts
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
export type { AnewOptions } from "./anew.ts";
export type {
  CaptionBatch,
  CaptionSources,
  TrainableTextEncoder,
  UnconditionalEmbeddings,
} from "./caption_embeddings.ts";
export type { VQCritic } from "./critic_terms.ts";
export { CriticTrainer } from "./critic_trainer.ts";
export {
  type DiffusionBatch,
  DiffusionLoss,
  type DiffusionLossOptions,
  type DiffusionLossResult,
  type TensorGradient,
} from "./diffusion_loss.ts";
export { EmaCodebook, type EmaCodebookOptions } from "./ema_codebook.ts";
export {
  ExponentialMovingAverage,
  type ExponentialMovingAverageOptions,
  type HasTensors,
} from "./ema.ts";
export { GradientSum } from "./gradient_sum.ts";
export {
  CosineLearningRate,
  type CosineOptions,
  type LearningRate,
  PlateauLearningRate,
  type PlateauOptions,
  type WarmUpOptions,
} from "./learning_rate.ts";
export { isHiddenMatrix, Muon, type MuonOptions } from "./muon.ts";
export type { NewModelOptions } from "./new_model.ts";
export { noisedTokens, type NoisedTokensInputs } from "./noised_tokens.ts";
export type { Optimizer, OptimizerMemory, ParameterGradient } from "./optimizer.ts";
export { type Criticism, PatchCritic } from "./patch_critic.ts";
export { type DrawnTimesteps, type RawGenerator, TimestepSampler } from "./timestep_sampler.ts";
export { readPictureFolder } from "./picture_folder.ts";
export { train, type TrainEvent, type TrainOptions } from "./train.ts";
export {
  TrainableModel,
  type TrainableModelOptions,
  type TrainedComponents,
} from "./trainable_model.ts";
export { TrainableParameters, type TrainableTensor } from "./trainable_parameters.ts";
export { Trainer, type TrainerOptions, type TrainerSettings } from "./trainer.ts";
export type { StateArray, StateArrays, TrainingStep } from "./trainer_state.ts";
export {
  encodePictures,
  type EncodePicturesOptions,
  type TrainingExample,
  type TrainingPicture,
} from "./training_examples.ts";
export { VQLoss, type VQLossOptions, type VQLossResult } from "./vq_loss.ts";
export {
  VQTrainer,
  type VQTrainerOptions,
  type VQTrainerSettings,
  type VQTrainingStep,
} from "./vq_trainer.ts";
