/**
 * The denoising loop: from masked tokens to the tokens of an image.
 *
 * @module
 */

import type { Frame, Tensor } from "../backends/backend.ts";
import type { PipelineComponents } from "./components.ts";
import type { PromptEmbeddings } from "../conditioning/text.ts";
import type { NoiseSource } from "./noise_source.ts";

/** The components that denoise. */
export type DenoisingComponents = Pick<PipelineComponents, "transformer" | "scheduler">;

/** What a loop starts from. */
export interface DenoisingRequest {
  /** Embeddings of the prompts, as `encodePrompt` orders them. */
  readonly embeddings: PromptEmbeddings;
  /** Tokens (images · pixels) to start from. */
  readonly latents: Int32Array;
  /** Timesteps to go through. */
  readonly timesteps: Int32Array;
  /** Scale of the guidance; undefined for none. */
  readonly guidanceScale: number | undefined;
  /** Sum of probabilities up to which tokens are kept. */
  readonly truncationRate: number;
  /** Where the noise comes from. */
  readonly noise: NoiseSource;
  /** Stops the loop. */
  readonly signal: AbortSignal | undefined;
}

/** The state after a denoising step. */
export interface DenoisingStep {
  /** Timestep that the step went from. */
  readonly timestep: number;
  /** Reads the tokens (images · pixels); only before the next step. */
  readTokens(): Promise<Int32Array>;
}

/**
 * Denoises tokens step by step. A step predicts log p(x_0), applies guidance, truncation and the
 * posterior, and draws the tokens of the timestep before (Gu et al., algorithm 2).
 */
export async function* denoise(
  components: DenoisingComponents,
  request: DenoisingRequest,
): AsyncGenerator<DenoisingStep, void, void> {
  const { transformer, scheduler } = components;
  const { timesteps, noise, signal } = request;
  using contextFrame = transformer.backend.frame();
  using stepFrame = transformer.backend.frame();
  using schedule = scheduler.scheduleTable(transformer.backend);
  const step = recordStep(components, request, schedule, contextFrame, stepFrame);
  await contextFrame.run({ signal });

  step.latents.write(request.latents);
  for (const [i, timestep] of timesteps.entries()) {
    step.timestep.write(Int32Array.of(timestep));
    step.noise.write(noise.take(timestep));
    const run = stepFrame.run({ signal });
    try {
      // While the device computes, the noise of the next step is drawn here.
      if (i + 1 < timesteps.length) noise.draw(timesteps[i + 1]!);
    } finally {
      await run;
    }
    yield { timestep, readTokens: () => step.latents.data() };
  }
}

/** The inputs of a recorded step: its run replaces the latents. */
interface RecordedStep {
  readonly latents: Tensor<"i32">;
  readonly noise: Tensor;
  readonly timestep: Tensor<"i32">;
}

/** Records what all steps share on one frame, and on another the step that every timestep runs. */
function recordStep(
  { transformer, scheduler }: DenoisingComponents,
  { embeddings, latents, guidanceScale, truncationRate }: DenoisingRequest,
  schedule: Tensor,
  contextFrame: Frame,
  stepFrame: Frame,
): RecordedStep {
  const encoderHiddenStates = contextFrame.empty(embeddings.shape, "f32");
  encoderHiddenStates.write(embeddings.data);
  const context = transformer.recordContext(contextFrame, encoderHiddenStates);

  const pixels = transformer.config.sampleSize ** 2;
  const batch = latents.length / pixels;
  const sample = stepFrame.empty([batch, pixels], "i32");
  const noise = stepFrame.empty([batch, scheduler.config.numVecClasses, pixels], "f32");
  const timestep = stepFrame.empty([1], "i32");
  const logProbs = transformer.record(stepFrame, { sample, context, timestep });
  stepFrame.sampleStep(logProbs, {
    latents: sample,
    noise,
    schedule,
    row: timestep,
    truncationRate,
    ...(guidanceScale !== undefined && { guidanceScale }),
  });
  return { latents: sample, noise, timestep };
}
