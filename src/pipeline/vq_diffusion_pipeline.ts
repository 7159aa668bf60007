/**
 * Text to image with VQ-Diffusion.
 *
 * @module
 */

import type { Backend, DeviceInfo } from "../backends/backend.ts";
import { createBackend } from "../backends/select.ts";
import { createWasmBackend } from "../backends/wasm/wasm_backend.ts";
import type { DeviceLostError } from "../backends/errors.ts";
import { openFolder } from "../checkpoints/folders.ts";
import type { ModelFolder } from "../files/source.ts";
import type { RasterImage } from "../images/raster_image.ts";
import { disposeComponents, loadComponents, type PipelineComponents } from "./components.ts";
import { encodePrompt } from "./encode_prompt.ts";
import {
  checkGenerateOptions,
  checkOutputOptions,
  checkStreamOptions,
  type GenerateOptions,
  type GenerateRequest,
  type OutputType,
  type StreamOptions,
} from "./generate_options.ts";
import { limitsOf } from "./generation_parameters.ts";
import {
  checkLoadOptions,
  linkedSignal,
  type PipelineFromPretrainedOptions,
} from "./load_options.ts";
import { NoiseSource } from "./noise_source.ts";
import { fillMasks, type ImagePipelineOutput, makeOutput, type OutputImage } from "./outputs.ts";
import { ProgressBar } from "../base/progress_bar.ts";
import {
  denoiseResumably,
  type Fallback,
  type TokensStep,
  withFallback,
} from "./resumable_loop.ts";
import { savePipeline, type SavePretrainedOptions } from "./save_pipeline.ts";

/** Where the embedded model lies: beside the code, whether that is on disk or behind a URL. */
const EMBEDDED_MODEL = new URL("../../weights/", import.meta.url);
/** It is stored as int8 to be small; computing in float32 gives one image for a seed on every device. */
const EMBEDDED_DTYPE = "fp32";

/** The state after a denoising step, as told by {@linkcode VQDiffusionPipeline.stream}. */
export interface StreamEvent {
  /** Number of the step, from 0. */
  readonly step: number;
  /** Number of steps in all. */
  readonly steps: number;
  /** Timestep that the step went from. */
  readonly timestep: number;
  /** Tokens (images · pixels); the mask is the last class. */
  readonly tokens: Int32Array;
  /**
   * Decodes the tokens as they are now, one image for each. Masked tokens are shown as the most
   * frequent other one. After the last step there are none, and these are the result.
   */
  preview(): Promise<RasterImage[]>;
}

/** A generation with what belongs to its steps. */
interface Generation {
  readonly request: GenerateRequest;
  readonly steps: AsyncGenerator<TokensStep, void, void>;
}

/**
 * Text to image with VQ-Diffusion (Gu et al., arXiv 2111.14822; Tang et al., arXiv 2205.16007): diffusers'
 * `VQDiffusionPipeline` with the same tokens for the same seed.
 *
 * @example
 * ```ts ignore
 * await using pipe = await VQDiffusionPipeline.fromPretrained();
 * const { images } = await pipe.generate("a red apple on a blue background", { seed: 1 });
 * await Deno.writeFile("apple.png", await images[0].toPng());
 * ```
 */
export class VQDiffusionPipeline implements AsyncDisposable {
  #components: PipelineComponents;
  #backend: Backend;
  #recovery: Promise<void> | undefined;
  /** Frees what the pipeline owns. */
  readonly #owned: AsyncDisposableStack;
  #progressBar = false;
  #disposal: Promise<void> | undefined;
  readonly #folder: ModelFolder;
  readonly #options: PipelineFromPretrainedOptions;

  private constructor(
    components: PipelineComponents,
    owned: AsyncDisposableStack,
    folder: ModelFolder,
    options: PipelineFromPretrainedOptions,
  ) {
    this.#components = components;
    this.#backend = components.transformer.backend;
    this.#owned = owned;
    this.#folder = folder;
    this.#options = options;
  }

  /**
   * Loads a pipeline in the layout of diffusers.
   *
   * @param source A folder, a `file:` or `http(s):` URL, a hub id `owner/name`, or an open folder; or an
   *   original checkpoint of Microsoft's (`.pth`), whose other parts `options.original` names. Default:
   *   the embedded model, which draws emoji.
   * @throws {MissingFileError} If a file is not there.
   * @throws {TypeError} If a file is damaged or not that of a VQ-Diffusion pipeline.
   * @throws {RangeError} If an option is out of range, or components do not fit each other.
   */
  static async fromPretrained(
    source: string | URL | ModelFolder = EMBEDDED_MODEL,
    options: PipelineFromPretrainedOptions = {},
  ): Promise<VQDiffusionPipeline> {
    checkLoadOptions(source, options);
    if (source === EMBEDDED_MODEL) options = { ...options, dtype: options.dtype ?? EMBEDDED_DTYPE };
    options.signal?.throwIfAborted();
    using loading = linkedSignal(options.signal);
    const { signal } = loading;
    await using owned = new AsyncDisposableStack();
    const opening = openFolder(source, { ...options, signal });
    // Waited for below, or not at all if there is no backend.
    opening.catch(() => {});
    const backend = options.backend ?? owned.use(await createBackend(options));
    const folder = await opening;
    const components = await loadComponents(folder, backend, { ...options, signal });
    owned.defer(() => disposeComponents(components));
    options.onProgress?.({ type: "ready" });
    return new VQDiffusionPipeline(components, owned.move(), folder, options);
  }

  /** The parts, which can be used alone. They stay the pipeline's. */
  get components(): PipelineComponents {
    this.#expectAlive();
    return this.#components;
  }

  /** Which device computes, and why it was chosen. */
  get device(): DeviceInfo {
    return this.#backend.device;
  }

  /** Where the components compute. */
  get backend(): Backend {
    return this.#backend;
  }

  /** Whether generations draw a progress bar, if they are not told otherwise. At first they do not. */
  setProgressBar(enabled: boolean): void {
    this.#progressBar = enabled;
  }

  /** Generates images for one or many prompts. */
  generate<O extends OutputType = "image">(
    prompt: string | readonly string[],
    options: GenerateOptions<O, false> & { readonly returnDict: false },
  ): Promise<[OutputImage[O][]]>;
  /**
   * Generates images for one or many prompts.
   *
   * @returns The images of the first prompt, then those of the next.
   * @throws {TypeError} If an argument is of the wrong type.
   * @throws {RangeError} If an argument is out of range.
   * @throws {DOMException} If the signal is aborted.
   */
  generate<O extends OutputType = "image">(
    prompt: string | readonly string[],
    options?: GenerateOptions<O, boolean>,
  ): Promise<ImagePipelineOutput<O>>;
  async generate(
    prompt: string | readonly string[],
    options: GenerateOptions<OutputType, boolean> = {},
  ): Promise<ImagePipelineOutput<OutputType> | [OutputImage[OutputType][]]> {
    checkOutputOptions(options);
    const { outputType = "image", callback, callbackSteps = 1, signal } = options;
    const wantsTokens = (step: number) => callback !== undefined && step % callbackSteps === 0;
    const { steps } = this.#start(prompt, options, wantsTokens);
    let tokens: Int32Array | undefined;
    for await (const state of steps) {
      tokens = state.tokens;
      if (tokens && wantsTokens(state.step)) {
        await callback!(state.step, state.timestep, tokens.slice());
      }
    }
    const images = await this.#decode(tokens!, outputType, signal);
    return options.returnDict === false ? [images] : { images };
  }

  /**
   * Generates images and tells about every step.
   *
   * @throws {TypeError} If an argument is of the wrong type.
   * @throws {RangeError} If an argument is out of range.
   *
   * @example
   * ```ts ignore
   * for await (const event of pipe.stream("a red apple", { seed: 1 })) {
   *   if (event.step % 10 === 9) show(await event.preview());
   * }
   * ```
   */
  stream(
    prompt: string | readonly string[],
    options: StreamOptions = {},
  ): AsyncGenerator<StreamEvent, void, void> {
    checkStreamOptions(options);
    const { request, steps } = this.#start(prompt, options, () => true);
    return this.#events(request, steps);
  }

  async *#events(
    { numInferenceSteps, signal }: GenerateRequest,
    steps: AsyncGenerator<TokensStep, void, void>,
  ): AsyncGenerator<StreamEvent, void, void> {
    const pixels = this.#pixels;
    const mask = this.#components.scheduler.maskClass;
    for await (const { step, timestep, tokens } of steps) {
      const preview = () => this.#decode(fillMasks(tokens!, pixels, mask), "image", signal);
      yield { step, steps: numInferenceSteps, timestep, tokens: tokens!.slice(), preview };
    }
  }

  /**
   * Saves the pipeline in diffusers' layout, as safetensors.
   *
   * @param folder Path of the folder; files in it are replaced when all are complete.
   */
  async savePretrained(folder: string, options: SavePretrainedOptions = {}): Promise<void> {
    this.#expectAlive();
    await savePipeline(this.#components, folder, options);
  }

  /** Frees workers, Wasm and GPU memory, and closes files. */
  dispose(): Promise<void> {
    return this.#disposal ??= this.#dispose();
  }

  async #dispose(): Promise<void> {
    await this.#recovery?.catch(() => {});
    await this.#owned.disposeAsync();
  }

  /** Does what {@linkcode dispose} does. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.dispose();
  }

  /** Checks all arguments at once and prepares the steps, which begin when they are asked for. */
  #start(
    prompt: string | readonly string[],
    options: StreamOptions,
    wantsTokens: (step: number) => boolean,
  ): Generation {
    this.#expectAlive();
    const { scheduler } = this.#components;
    const { numVecClasses } = scheduler.config;
    const limits = { ...limitsOf(this), numVecClasses, pixels: this.#pixels };
    const request = checkGenerateOptions(prompt, options, limits);
    request.signal?.throwIfAborted();
    const steps = this.#steps(request, wantsTokens);
    return { request, steps: this.#watched(steps, request, options) };
  }

  async *#steps(
    request: GenerateRequest,
    wantsTokens: (step: number) => boolean,
  ): AsyncGenerator<TokensStep, void, void> {
    const { prompts, numImagesPerPrompt, numInferenceSteps, signal } = request;
    const guided = request.guidanceScale > 1;
    const embeddings = await withFallback(
      this.#fallback,
      (components) => encodePrompt(components, { prompts, numImagesPerPrompt, guided, signal }),
    );
    const { maskClass } = this.#components.scheduler;
    const batch = prompts.length * numImagesPerPrompt;
    const sizes = { batch, pixels: this.#pixels, classes: maskClass + 1 };
    const latents = request.latents ?? new Int32Array(batch * this.#pixels).fill(maskClass);
    const loop = denoiseResumably(this.#fallback, {
      embeddings,
      latents,
      timesteps: Int32Array.from(
        { length: numInferenceSteps },
        (_, i) => numInferenceSteps - 1 - i,
      ),
      guidanceScale: guided ? request.guidanceScale : undefined,
      truncationRate: request.truncationRate,
      noise: new NoiseSource(request.generator, sizes),
      signal,
    }, wantsTokens);
    for await (const step of loop) {
      yield step;
      this.#expectAlive();
    }
  }

  async *#watched(
    steps: AsyncGenerator<TokensStep, void, void>,
    { numInferenceSteps }: GenerateRequest,
    { onProgress, progressBar = this.#progressBar }: StreamOptions,
  ): AsyncGenerator<TokensStep, void, void> {
    const bar = progressBar ? new ProgressBar("Denoising") : undefined;
    try {
      for await (const state of steps) {
        bar?.update(state.step + 1, numInferenceSteps);
        onProgress?.({ step: state.step + 1, steps: numInferenceSteps });
        yield state;
      }
    } finally {
      bar?.end();
    }
  }

  #decode<O extends OutputType>(
    tokens: Int32Array,
    outputType: O,
    signal: AbortSignal | undefined,
  ): Promise<OutputImage[O][]> {
    return withFallback(
      this.#fallback,
      ({ vqvae }) => makeOutput(vqvae, tokens, this.#pixels, outputType, signal),
    );
  }

  get #pixels(): number {
    return this.#components.transformer.config.sampleSize ** 2;
  }

  /** The CPU takes over from a GPU that is lost. */
  get #fallback(): Fallback<PipelineComponents> {
    return {
      current: () => {
        this.#expectAlive();
        return this.#components;
      },
      recover: async (lost, error) => {
        // Several generations may notice the loss; the first replaces the components.
        if (lost === this.#components) this.#recovery ??= this.#moveToCpu(error);
        await this.#recovery;
      },
    };
  }

  async #moveToCpu(error: DeviceLostError): Promise<void> {
    try {
      const { dtype } = this.#options;
      const reason = error.message.replace(/^The/, "the");
      const backend = await createWasmBackend({ ...this.#options, reason });
      // What was lost is freed with the rest: other generations have yet to notice the loss.
      this.#owned.use(backend);
      const components = await loadComponents(this.#folder, backend, { ...(dtype && { dtype }) });
      this.#owned.defer(() => disposeComponents(components));
      this.#components = components;
      this.#backend = backend;
    } finally {
      this.#recovery = undefined;
    }
  }

  #expectAlive(): void {
    if (this.#disposal) throw new ReferenceError("Cannot use the pipeline: it was disposed of");
  }
}
