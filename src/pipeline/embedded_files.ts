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
  "generation_config.json": [222, "2977d29570afd12d13943305a25424cf4e565fa7c0ed1d4fb44ec9bec9936d9e"],
  "learned_classifier_free_sampling_embeddings/config.json": [774, "7e29f4af1a8fe549d102a0e69de2e1e3ece9205e75584786faec42eb010b2643"],
  "learned_classifier_free_sampling_embeddings/diffusion_pytorch_model.safetensors": [12400, "a9f20760f0d961f01001b9b79596c0205f2487106054d553f6eefa243d3bec09"],
  "model_index.json": [506, "b8fee5367482b437c5de390cb4ccbca092b8d01021f8d5ffe967cd17657203c9"],
  "names.json": [15889, "d8c0513146bf763e3446baa963ddd738d35e97b31f0ef5bc29009c39652c0515"],
  "scheduler/scheduler_config.json": [281, "c19b14630deb042a5060dbcd680547f0bf6746a3948f782835046149de727886"],
  "text_encoder/config.json": [993, "a9c5e4d4d6278603c41f0ef51b9d2e3170980ffb6d9ed61af061029f7ead1841"],
  "text_encoder/model.safetensors": [2170280, "1f08e26e0be6383440975085958c1fe93f6571e784e7d05bf20b52d18a04fa47"],
  "tokenizer/merges.txt": [13731, "e3fdeac22818d4d1ad1e714f50910a39287df664351adc160ec8af70629c7e39"],
  "tokenizer/special_tokens_map.json": [132, "37885aa9d70815b5b5c84f0263c5b48cfb39d5bb73e860b8c15e2ec512243bad"],
  "tokenizer/tokenizer_config.json": [221, "d78d94e8d7943408a2f010fb027aa56fedf81c53dc336dd5cdcee0139fa84c20"],
  "tokenizer/vocab.json": [31911, "4f1a2796caf403403b5fdf7e515bd3880d24f6bbd94a887cd0a9c32db058c8c6"],
  "transformer/config.json": [1025, "1b1ece5681c080d470273c5a940e5b160001ac80cf4c290d5e5eddd477f8685e"],
  "transformer/diffusion_pytorch_model.safetensors": [9531472, "2f1ced372c880d0711814ed8b7183bbf5e3936e53cd231620610fee1f9a62649"],
  "vqvae/config.json": [648, "d3833d2dbc47c7b11e49678a4e1b227d210b4e4e48e7525469eae7448313068e"],
  "vqvae/diffusion_pytorch_model.safetensors": [4966422, "7354219ff541c93060c1e1232076d7117002ef28c8c6639be105cb09982b203a"],
};
