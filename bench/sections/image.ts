// A whole image of the embedded model, from the prompt to the pixels.

import { VQDiffusionPipeline } from "../../src/pipeline/vq_diffusion_pipeline.ts";
import { type Bench, entries, measure } from "../bench.ts";
import { guidedWork, SMALL } from "../random_transformer.ts";

const STEPS = 100;
const PROMPT = "a red apple on a blue background";

/** Measures a generation. */
export async function image(bench: Bench): Promise<void> {
  await using stack = new AsyncDisposableStack();
  const ours = await entries(bench, async (backend, dtype) => {
    const pipe = stack.use(await VQDiffusionPipeline.fromPretrained(undefined, { backend, dtype }));
    return {
      // Guided, whatever the model wants: that is the work that is counted.
      run: () =>
        pipe.generate(PROMPT, {
          numInferenceSteps: STEPS,
          guidanceScale: 5,
          truncationRate: 1,
          seed: 1,
        }),
    };
  });
  const { linear, other } = guidedWork(SMALL);
  const work = { linear: STEPS * linear, other: STEPS * other };
  await measure(bench, `image: embedded model, ${STEPS} steps`, work, ours);
}
