/**
 * The names under which files of weights lie in the folder of a component.
 *
 * @module
 */

/** Names of the weights of a model of diffusers, in order of preference. */
export const DIFFUSERS_WEIGHTS: readonly string[] = [
  "diffusion_pytorch_model.safetensors",
  "diffusion_pytorch_model.safetensors.index.json",
  "diffusion_pytorch_model.bin",
  "diffusion_pytorch_model.bin.index.json",
  "diffusion_pytorch_model.fp16.safetensors",
  "diffusion_pytorch_model.fp16.bin",
];

/** Names of the weights of a model of transformers, in order of preference. */
export const TRANSFORMERS_WEIGHTS: readonly string[] = [
  "model.safetensors",
  "model.safetensors.index.json",
  "pytorch_model.bin",
  "pytorch_model.bin.index.json",
  "model.fp16.safetensors",
  "pytorch_model.fp16.bin",
];
