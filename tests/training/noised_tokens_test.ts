import { assert, assertEquals } from "@std/assert";
import { noisedTokens } from "../../src/training/noised_tokens.ts";
import { GoldenArrays, goldenScheduler } from "./golden_training.ts";

const CLASSES = 17;

Deno.test("noisedTokens() draws the original's x_t", async () => {
  const scheduler = await goldenScheduler();
  const batches = [
    ["text/batch_main", ""],
    ["text/steps_batches", "step2_"],
    ["text/steps_batches", "step3_"],
  ] as const;
  for (const [file, prefix] of batches) {
    const golden = new GoldenArrays(file);
    const drawn = noisedTokens(scheduler, {
      x0: golden.ids(`${prefix}x0`),
      timesteps: golden.ids(`${prefix}t`),
      noise: golden.floats(`${prefix}uniform`),
      classes: CLASSES,
    });
    assertEquals(drawn, golden.ids(`${prefix}x_t`).slice(), `${file} ${prefix}`);
    assert(drawn.includes(CLASSES - 1), "some are masked");
  }
});
