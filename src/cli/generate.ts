/**
 * The command `generate`: pictures of prompts, as PNG files.
 *
 * @module
 */

import type { DeviceInfo } from "../backends/backend.ts";
import { contactSheet } from "../images/contact_sheet.ts";
import type { RasterImage } from "../images/raster_image.ts";
import {
  checkParameters,
  type GenerationValues,
  limitsOf,
} from "../pipeline/generation_parameters.ts";
import { VQDiffusionPipeline } from "../pipeline/vq_diffusion_pipeline.ts";
import { hubOptions, quietDisplayServer } from "./environment.ts";
import {
  GENERATE_HELP,
  type GenerateArguments,
  readGenerateArguments,
  readParameters,
} from "./generate_arguments.ts";
import { exitOnInterrupt } from "./interrupt.ts";
import { LoadDisplay } from "./load_display.ts";
import { nameOutputs, type OutputPaths, writeImage, writeWhole } from "./output_files.ts";

/** Images, and the tokens (images · pixels) that they were decoded from. */
interface Drawing {
  readonly images: RasterImage[];
  readonly tokens: Int32Array;
}

/**
 * Runs the command.
 *
 * @returns The exit code.
 * @throws {UsageError} If an argument is wrong.
 */
export async function generate(args: string[]): Promise<number> {
  const request = readGenerateArguments(args);
  if (!request) {
    console.log(GENERATE_HELP);
    return 0;
  }
  const say = request.quiet ? () => {} : console.log;
  const paths = await nameOutputs(request);
  using _ = exitOnInterrupt(() => request.quiet || console.error("\nStopped"));

  quietDisplayServer();
  await using pipe = await load(request);
  const limits = limitsOf(pipe);
  const parameters = readParameters(request.parameters, limits);
  const values = { ...checkParameters(parameters, limits), seed: request.seed };
  const { device } = pipe;
  say(describeDevice(device));
  const start = performance.now();
  const drawing = await draw(pipe, request, values);
  const seconds = ((performance.now() - start) / 1000).toFixed(1);
  if (pipe.device !== device) say(describeDevice(pipe.device));

  await write(drawing, request, values, paths, say);
  say(`Seed ${values.seed}, ${values.numInferenceSteps} steps, ${seconds} s`);
  return 0;
}

/** Loads the model and shows what comes over the network. */
async function load(request: GenerateArguments): Promise<VQDiffusionPipeline> {
  const { model, revision, device, dtype, threads, quiet } = request;
  using display = new LoadDisplay();
  return await VQDiffusionPipeline.fromPretrained(model, {
    ...(model !== undefined && hubOptions()),
    device,
    revision,
    dtype,
    threads,
    onProgress: quiet ? undefined : display.onProgress,
  });
}

function describeDevice({ name, reason }: DeviceInfo): string {
  return `Device: ${name} (${reason})`;
}

async function draw(
  pipe: VQDiffusionPipeline,
  { prompts, quiet }: GenerateArguments,
  values: GenerationValues,
): Promise<Drawing> {
  let tokens: Int32Array = new Int32Array();
  const { images } = await pipe.generate(prompts, {
    ...values,
    progressBar: !quiet,
    // After the first step and the last.
    callbackSteps: Math.max(1, values.numInferenceSteps - 1),
    callback: (_step, _timestep, latents) => void (tokens = latents),
  });
  return { images, tokens };
}

/** Writes all files, and says where they are. */
async function write(
  { images, tokens }: Drawing,
  { prompts, saveTokens }: GenerateArguments,
  values: GenerationValues,
  paths: OutputPaths,
  say: (text: string) => void,
): Promise<void> {
  for (const [i, path] of paths.images.entries()) {
    await writeImage(path, images[i]!);
    const prompt = prompts[Math.floor(i / values.numImagesPerPrompt)];
    say(`Wrote ${path}${prompts.length > 1 ? `: ${prompt}` : ""}`);
  }
  if (images.length > 1) {
    await writeImage(paths.sheet, contactSheet(images));
    say(`Wrote ${paths.sheet}`);
  }
  if (saveTokens) {
    writeWhole(paths.tokens, new TextEncoder().encode(tokensJson(tokens, prompts, values)));
    say(`Wrote ${paths.tokens}`);
  }
}

/** What the images were made of, and how, to be read by other programs. */
function tokensJson(
  tokens: Int32Array,
  prompts: readonly string[],
  { seed, numImagesPerPrompt, ...values }: GenerationValues,
): string {
  const count = prompts.length * numImagesPerPrompt;
  const pixels = tokens.length / count;
  const images = Array.from({ length: count }, (_, i) => ({
    prompt: prompts[Math.floor(i / numImagesPerPrompt)],
    tokens: [...tokens.subarray(i * pixels, (i + 1) * pixels)],
  }));
  // A seed can be too big for a number of JSON.
  return JSON.stringify({ seed: String(seed), ...values, images }) + "\n";
}
