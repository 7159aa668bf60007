// deno-fmt-ignore-file
/**
 * The files of the embedded model: what code that was imported by URL takes for them. Made of weights/ by
 * `deno task embedded`.
 *
 * @module
 */

import type { KnownFile } from "../hub/known_folder.ts";

/** Lengths and SHA-256 by paths. */
export const EMBEDDED_FILES: Readonly<Record<string, KnownFile>> = {
  "generation_config.json": [174, "399c4244d1323105abfd350d1e25a1ca18a8495196c853c2dab080c1b06cd554"],
  "learned_classifier_free_sampling_embeddings/config.json": [774, "7e29f4af1a8fe549d102a0e69de2e1e3ece9205e75584786faec42eb010b2643"],
  "learned_classifier_free_sampling_embeddings/diffusion_pytorch_model.safetensors": [12400, "0cfa8db32440585ce3aebc7992cd21f3a9b5890e26166e241a84e146c3ff57e8"],
  "model_index.json": [506, "b8fee5367482b437c5de390cb4ccbca092b8d01021f8d5ffe967cd17657203c9"],
  "names.json": [15853, "6d491f45f20810b8ddc45980c510095d9ee41bd83d7a46362387b7860d633229"],
  "scheduler/scheduler_config.json": [281, "c19b14630deb042a5060dbcd680547f0bf6746a3948f782835046149de727886"],
  "text_encoder/config.json": [993, "a9c5e4d4d6278603c41f0ef51b9d2e3170980ffb6d9ed61af061029f7ead1841"],
  "text_encoder/model.safetensors": [2170280, "3775b7c8c2e9bb61f881c74e6f86dbfd6549eb6d22e61a262dd028461621c470"],
  "tokenizer/merges.txt": [13731, "e3fdeac22818d4d1ad1e714f50910a39287df664351adc160ec8af70629c7e39"],
  "tokenizer/special_tokens_map.json": [132, "37885aa9d70815b5b5c84f0263c5b48cfb39d5bb73e860b8c15e2ec512243bad"],
  "tokenizer/tokenizer_config.json": [221, "d78d94e8d7943408a2f010fb027aa56fedf81c53dc336dd5cdcee0139fa84c20"],
  "tokenizer/vocab.json": [31911, "4f1a2796caf403403b5fdf7e515bd3880d24f6bbd94a887cd0a9c32db058c8c6"],
  "transformer/config.json": [1025, "1b1ece5681c080d470273c5a940e5b160001ac80cf4c290d5e5eddd477f8685e"],
  "transformer/diffusion_pytorch_model.safetensors": [9531472, "52110c6f823b625f4d4fc8d34f9a0e95f31f03823985074effb134376ae1255a"],
  "vqvae/config.json": [648, "d3833d2dbc47c7b11e49678a4e1b227d210b4e4e48e7525469eae7448313068e"],
  "vqvae/diffusion_pytorch_model.safetensors": [4966422, "74cac734770ec00cab765c560ed394da7c888e05cbec5c99c19e0e6286c51f13"],
};
