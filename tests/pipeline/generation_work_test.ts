// What a generation is said to take, beside what it takes.

import { assertEquals, assertThrows } from "@std/assert";
import { RasterImage } from "../../src/images/raster_image.ts";
import type { StreamOptions } from "../../src/pipeline/generate_options.ts";
import { generationWork } from "../../src/pipeline/generation_work.ts";
import { VQDiffusionPipeline } from "../../src/pipeline/vq_diffusion_pipeline.ts";
import type { Scheduler } from "../../src/schedulers/scheduler.ts";
import { VQDiffusionFastScheduler } from "../../src/schedulers/vq_diffusion_fast_scheduler.ts";
import type { VQDiffusionSchedulerConfig } from "../../src/schedulers/vq_diffusion_config.ts";
import { VQDiffusionScheduler } from "../../src/schedulers/vq_diffusion_scheduler.ts";
import { folderOf, tinyFiles } from "./golden_runs.ts";

/** A scheduler that adds up the sequences of all runs of the network. */
function counted(scheduler: Scheduler, count: (sequences: number) => void): Scheduler {
  return new Proxy(scheduler, {
    get(target, name) {
      const value = Reflect.get(target, name, target);
      if (name !== "recordStep") return typeof value === "function" ? value.bind(target) : value;
      const recordStep: Scheduler["recordStep"] = (frame, inputs) => {
        const step = target.recordStep(frame, inputs);
        return {
          write: (...args) => step.write(...args),
          run: (options) => {
            count(inputs.logProbs.shape[0]!);
            return step.run(options);
          },
        };
      };
      return recordStep;
    },
  });
}

const image = new RasterImage(new Uint8ClampedArray(4 * 64).fill(200), 8, 8);
const maskImage = new RasterImage(new Uint8ClampedArray(4 * 64).fill(255), 8, 8);

const CASES: Readonly<Record<string, StreamOptions>> = {
  "without guidance": { guidanceScale: 1 },
  "with guidance": { guidanceScale: 5 },
  "with guidance below 1": { guidanceScale: 0.5 },
  "with guidance in a part of the steps": { guidanceScale: 5, guidanceInterval: [0.3, 0.8] },
  "with guidance in none of the steps": { guidanceScale: 5, guidanceInterval: [0, 0.001] },
  "for several pictures": { numImagesPerPrompt: 3 },
  "from a picture": { image },
  "from a picture with guidance where the picture is left out": {
    image,
    strength: 0.4,
    guidanceInterval: [0.3, 1],
  },
  "from a picture that is left as it is": { image, strength: 0 },
  "into a picture": { image, maskImage },
  "into a picture that shines through": { image, maskImage, strength: 0.5 },
};

Deno.test("generationWork() tells the steps and the calls of the network that a run takes", async (t) => {
  await using pipe = await VQDiffusionPipeline.fromPretrained(folderOf(tinyFiles()), {
    device: "wasm",
    threads: 1,
  });
  const { components } = pipe;
  const config = components.scheduler.config as VQDiffusionSchedulerConfig;
  const fast = VQDiffusionFastScheduler.fromConfig(config, { inferSpeed: 3 });
  const strided = new VQDiffusionScheduler({ ...config, timestepSpacing: "strided" });
  for (const [kind, own] of Object.entries({ strided, fast })) {
    let calls = 0;
    const scheduler = counted(own, (sequences) => calls += sequences);
    const counting = new VQDiffusionPipeline({ ...components, scheduler });
    for (const [name, options] of Object.entries(CASES)) {
      await t.step(`${name}, ${kind}`, async () => {
        const all = { seed: 1, ...kind === "strided" && { numInferenceSteps: 10 }, ...options };
        calls = 0;
        let taken = 0;
        for await (const { steps } of counting.stream("a cat", all)) taken = steps;
        assertEquals(generationWork(counting.components, "a cat", all), { steps: taken, calls });
      });
    }
  }
});

Deno.test("generationWork() goes by the sampler, and refuses what the pipeline refuses", async () => {
  await using pipe = await VQDiffusionPipeline.fromPretrained(folderOf(tinyFiles()), {
    device: "wasm",
    threads: 1,
  });
  const options = { seed: 1, sampler: "fast:7", guidanceScale: 1 };
  let taken = 0;
  for await (const { steps } of pipe.stream("a cat", options)) taken = steps;
  assertEquals(generationWork(pipe.components, "a cat", options), { steps: taken, calls: taken });
  const wrong = { numInferenceSteps: 1e6 };
  assertThrows(() => generationWork(pipe.components, "a cat", wrong), RangeError);
});
