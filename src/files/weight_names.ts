/**
 * The names under which files of weights lie in the folder of a component.
 *
 * @module
 */

/** Names of the weights of a model of diffusers, in order of preference. */
export const DIFFUSERS_WEIGHTS: readonly string[] = weightNames(
  "diffusion_pytorch_model",
  "diffusion_pytorch_model",
);

/** Names of the weights of a model of transformers, in order of preference. */
export const TRANSFORMERS_WEIGHTS: readonly string[] = weightNames("model", "pytorch_model");

/** Whether a name is that of an index of several files. */
export function isIndex(name: string): boolean {
  return /\.index(\.[\w-]+)?\.json$/.test(name);
}

/**
 * Names of a variant of weights, by the names without one. diffusers and transformers write
 * `model.fp16.safetensors` and `model.safetensors.index.fp16.json`; some versions put it before `index`.
 */
export function variantNames(names: readonly string[], variant: string): string[] {
  const plain = names.filter((name) => /^\w+\.(safetensors|bin)(\.index\.json)?$/.test(name));
  return plain.flatMap((name) => {
    if (!isIndex(name)) return [name.replace(/(\.\w+)$/, `.${variant}$1`)];
    return [
      name.replace(/\.json$/, `.${variant}.json`),
      name.replace(/\.index\.json$/, `.${variant}.index.json`),
    ];
  });
}

/** Those of float32 first; those of float16 only where there are no others. */
function weightNames(safetensors: string, bin: string): string[] {
  const files = [`${safetensors}.safetensors`, `${bin}.bin`];
  const names = files.flatMap((file) => [file, `${file}.index.json`]);
  return [...names, ...variantNames(names, "fp16")];
}
