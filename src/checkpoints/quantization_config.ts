/**
 * What a config says about int8 weights.
 *
 * @module
 */

/**
 * What `config.json` says about int8 weights, in the convention of compressed-tensors: int8, symmetric,
 * a scale for each output channel; activations are quantized for each token while the model runs.
 *
 * @param ignored Names of the linear layers that are not int8.
 */
export function quantizationConfig(ignored: readonly string[]): Record<string, unknown> {
  const int8 = { num_bits: 8, type: "int", symmetric: true };
  return {
    quant_method: "compressed-tensors",
    format: "int-quantized",
    quantization_status: "compressed",
    config_groups: {
      group_0: {
        targets: ["Linear"],
        weights: { ...int8, strategy: "channel", dynamic: false },
        input_activations: { ...int8, strategy: "token", dynamic: true },
      },
    },
    ignore: [...ignored],
  };
}
