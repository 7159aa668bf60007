import { assertEquals, assertThrows } from "@std/assert";
import { createWasmBackend } from "../../src/backends/wasm/wasm_backend.ts";
import { Transformer2DModel } from "../../src/models/transformer_2d.ts";
import { VQDiffusionScheduler } from "../../src/schedulers/vq_diffusion_scheduler.ts";
import { DiffusionLoss } from "../../src/training/diffusion_loss.ts";
import { TrainableParameters } from "../../src/training/trainable_parameters.ts";
import { CLASS_MODELS } from "../pipeline/class_models.ts";

Deno.test("DiffusionLoss refuses transformers that do not draw from text", async () => {
  await using backend = await createWasmBackend({ threads: 1 });
  const kinds = { imagenet: "draws from classes", ffhq: "is unconditional" } as const;
  for (const [name, kind] of Object.entries(kinds)) {
    await using model = await Transformer2DModel.fromPretrained(
      CLASS_MODELS[name as keyof typeof kinds],
      { backend, subfolder: "transformer" },
    );
    const { bytes } = backend.memoryUse();
    const schedules = new VQDiffusionScheduler({ numVecClasses: model.config.numVectorEmbeds });
    assertThrows(
      () => new DiffusionLoss(model, new TrainableParameters(), schedules, { batch: 1, length: 1 }),
      TypeError,
      `Cannot make DiffusionLoss: the transformer ${kind}, expected one that draws from text`,
    );
    assertEquals(backend.memoryUse().bytes, bytes);
  }
});
