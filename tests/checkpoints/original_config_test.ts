import { assert, assertEquals, assertThrows } from "@std/assert";
import { parseOriginalConfig } from "../../src/checkpoints/original/original_config.ts";

/** What matters of a config of Microsoft's, in the ways that they write YAML. */
function yaml(changes: Record<string, string> = {}): string {
  const value = (key: string, byDefault: string) => changes[key] ?? byDefault;
  return `# a comment
model:
  target: image_synthesis.modeling.models.${value("model", "dalle.DALLE")}
  params:
    content_info: {key: image}
    condition_codec_config:
      params:
       context_length: 77     ############# 77 for clip
       pad_value: ${value("pad_value", "0")} # 0 for clip
    diffusion_config:
      params:
        diffusion_step: 100
        alpha_init_type: '${value("alpha_init_type", "alpha1")}'
        auxiliary_loss_weight: 5.0e-4
        ${value("learnable_cf", "")}
        mask_weight: [1, 1]

        transformer_config:
          target: image_synthesis.modeling.transformers.transformer_utils.Text2ImageTransformer
          params:
            attn_type: '${value("attn_type", "selfcross")}'
            n_layer: 36
            n_embd: 1408
            n_head: ${value("n_head", "16")}
            block_activate: ${value("block_activate", "GELU2")}
            timestep_type: adalayernorm
            checkpoint: True
        condition_emb_config:
          params:
            normalize: True
        content_emb_config:
          params:
            num_embed: 4096
            spatial_size: !!python/tuple [32, 32]
            pos_emb_type: embedding
solver:
  optimizers_and_schedulers:
  - name: none
    optimizer:
      params:
        betas: !!python/tuple
        - 0.9
        - 0.96
`;
}

Deno.test("parseOriginalConfig() reads YAML with Python's tags", () => {
  const { heads, layers, columns, learnable } = parseOriginalConfig(yaml(), "ithq.yaml");
  assertEquals([heads, layers, columns, learnable], [16, 36, 1408, undefined]);
  const learned = yaml({ learnable_cf: "learnable_cf: true" });
  assertEquals(parseOriginalConfig(learned, "ithq.yaml").learnable, true);
});

Deno.test("parseOriginalConfig() refuses what is not implemented", () => {
  const cases: [Record<string, string>, string][] = [
    [{ model: "conditional_dalle.C_DALLE" }, 'attn_type is "selfcross", expected "selfcondition"'],
    [{ model: "unconditional_dalle.UC_DALLE" }, 'attn_type is "selfcross", expected "self"'],
    [{ model: "vqgan.Other" }, "model.target is Other, expected DALLE, C_DALLE or UC_DALLE"],
    [{ pad_value: "-100" }, "condition_codec_config.params.pad_value is -100, expected 0"],
    [{ alpha_init_type: "cos" }, 'alpha_init_type is "cos", expected "alpha1"'],
    [{ attn_type: "self" }, 'attn_type is "self", expected "selfcross"'],
    [{ block_activate: "GELU" }, 'block_activate is "GELU", expected "GELU2"'],
    [{ n_head: "many" }, 'n_head is "many", expected an integer'],
    [{ learnable_cf: "learnable_cf: maybe" }, 'learnable_cf is "maybe", expected true or false'],
  ];
  for (const [changes, message] of cases) {
    const error = assertThrows(() => parseOriginalConfig(yaml(changes), "x.yaml"), Error, message);
    assert(error.message.startsWith("Cannot use x.yaml: "), error.message);
  }
});

Deno.test("parseOriginalConfig() refuses what is no config", () => {
  for (const text of ["", "just words", "[1, 2]", "model: {params: {}}", '{"a": 1}']) {
    assertThrows(() => parseOriginalConfig(text, "x.yaml"), TypeError, "model.target is nothing");
  }
  for (const text of ["a: *unknown", "a: b: c", "a: 'x"]) {
    assertThrows(() => parseOriginalConfig(text, "x.yaml"), SyntaxError, "it is not valid YAML");
  }
});
