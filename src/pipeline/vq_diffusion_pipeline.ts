/**
 * Text to image with VQ-Diffusion.
 *
 * @module
 */

import type { Backend, DeviceInfo, Tensor } from "../backends/backend.ts";
import type { KnownNames } from "../conditioning/known_names.ts";
import type { GenerateInput } from "../conditioning/condition.ts";
import {
  checkPrompts,
  checkTextRequest,
  encodePrompt,
  type PromptEmbeds,
} from "../conditioning/text.ts";
import { needComponent } from "../conditioning/needed_component.ts";
import type { PromptNote } from "../conditioning/prompt_notes.ts";
import type { FolderWriter } from "../files/folder_writer.ts";
import type { ModelFolder } from "../files/source.ts";
import type { RasterImage } from "../images/raster_image.ts";
import { checkParts } from "./component_fit.ts";
import type { PipelineComponents, PipelineParts } from "./components.ts";
import {
  checkOutputOptions,
  checkStreamOptions,
  type GenerateOptions,
  type OutputType,
  type StreamOptions,
} from "./generate_options.ts";
import type { GenerationConfig } from "./generation_config.ts";
import { generateTokens, type GenerationState } from "./generation.ts";
import { type GenerationRequest, generationRequest, withPicture } from "./generation_request.ts";
import { endedWhenDropped } from "./dropped_streams.ts";
import { initialTokens } from "./initial_tokens.ts";
import type { PipelineFromPretrainedOptions } from "./load_options.ts";
import { fillMasks, type ImagePipelineOutput, makeOutput, type OutputImage } from "./outputs.ts";
import type { SavePretrainedOptions } from "./save_pipeline.ts";
import { Session } from "./session.ts";

/** The state after a denoising step, as given by {@linkcode VQDiffusionPipeline.stream}. */
export interface StreamEvent {
  /** Number of the step, from 1 to `steps`. */
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
   *
   * @throws {TypeError} If the pipeline has no `vqvae`.
   */
  preview(): Promise<RasterImage[]>;
}

/**
 * Text to image with VQ-Diffusion (Gu et al., arXiv 2111.14822; Tang et al., arXiv 2205.16007): diffusers'
 * `VQDiffusionPipeline` with the same tokens for the same seed and prompt. (A model may have `styles`, of which
 * the seed puts one behind a prompt; with `styles: []` prompts are drawn as they stand.)
 *
 * @example
 * ```ts
 * import { VQDiffusionPipeline } from "@vq-diffusion/vq-diffusion";
 *
 * await using pipe = await VQDiffusionPipeline.fromPretrained();
 * const { images } = await pipe.generate("a red apple on a blue background", { seed: 1 });
 * await Deno.writeFile("apple.png", await images[0]!.toPng());
 * ```
 */
export class VQDiffusionPipeline<C extends PipelineParts = PipelineComponents>
  implements AsyncDisposable {
  #session: Session<C>;
  #names: Promise<KnownNames | undefined> | undefined;
  #progressBar = false;

  /**
   * Makes a pipeline of components, such as those of another pipeline with another scheduler. They
   * stay the caller's: disposing of the pipeline does not free them. What a call does not need may be
   * missing: `vqvae` where tokens are asked for; `tokenizer` and `textEncoder` where embeddings are
   * given; the learned embeddings where there is no guidance or `negativePromptEmbeds` are given. How a
   * model wants to be drawn with is the component `generationConfig`; without it the defaults are those
   * of diffusers.
   *
   * Such a pipeline has no folder to load from again: if a GPU is lost, its calls reject with the
   * `DeviceLostError`.
   *
   * @throws {TypeError} If there is no transformer or scheduler, or something else among them.
   * @throws {RangeError} If components do not fit each other, or are on different backends.
   *
   * @example
   * ```ts
   * import { VQDiffusionPipeline, VQDiffusionScheduler } from "@vq-diffusion/vq-diffusion";
   *
   * await using pipe = await VQDiffusionPipeline.fromPretrained();
   * const { numVecClasses } = pipe.components.scheduler.config;
   * const scheduler = new VQDiffusionScheduler({ numVecClasses, gammaCumEnd: 0.8 });
   * const other = new VQDiffusionPipeline({ ...pipe.components, scheduler });
   * ```
   */
  constructor(components: C) {
    checkParts(components);
    this.#session = new Session({ ...components });
  }

  /**
   * Loads a pipeline in the layout of diffusers. It owns its components. If its GPU is lost, it loads
   * them again from there to compute on the CPU, and running generations go on with the same result.
   *
   * @param source A folder, a `file:` or `http(s):` URL, a hub id `owner/name`, or an open folder; or an
   *   original checkpoint of Microsoft's (`.pth`), whose other parts `options.original` names. Default:
   *   the embedded model, which draws emoji.
   * @returns A pipeline with all components; of a model that draws from classes, or is unconditional,
   *   `tokenizer`, `textEncoder` and `learnedClassifierFreeSamplingEmbeddings` are undefined.
   * @throws {MissingFileError} If a file is not there.
   * @throws {TypeError} If a file is damaged or not that of a VQ-Diffusion pipeline.
   * @throws {RangeError} If an option is out of range, or components do not fit each other.
   */
  static async fromPretrained(
    source?: string | URL | ModelFolder,
    options: PipelineFromPretrainedOptions = {},
  ): Promise<VQDiffusionPipeline> {
    const session = await Session.load(source, options);
    // Which kind of model it is, is known here only: the type is that of one that draws from text.
    const pipeline = new VQDiffusionPipeline(session.components as PipelineComponents);
    pipeline.#session = session as Session<PipelineComponents>;
    return pipeline;
  }

  /**
   * The components, which can be used alone or in another pipeline. Those that `fromPretrained` loaded
   * are freed with the pipeline, and replaced when it loses its GPU.
   *
   * @throws {ReferenceError} If the pipeline was disposed of.
   */
  get components(): C {
    return this.#session.components;
  }

  /**
   * Defaults that the model brings for the parameters of generations, from `generation_config.json` in its
   * folder; they come before those of diffusers. Empty if it brings none.
   */
  get generationConfig(): GenerationConfig {
    return this.components.generationConfig ?? {};
  }

  /**
   * The names of the things that the model can draw, from `names.json` in its folder, which is read at
   * the first call.
   *
   * @returns Undefined if it has no such file, or the pipeline was made of components.
   * @throws {SyntaxError} If the file is not a JSON object.
   * @throws {TypeError} If a list in it is something else.
   */
  async knownNames(): Promise<KnownNames | undefined> {
    const { folder } = this.#session;
    if (folder === undefined) return undefined;
    const { readKnownNames } = await import("../conditioning/known_names.ts");
    try {
      return await (this.#names ??= readKnownNames(folder));
    } catch (error) {
      this.#names = undefined;
      throw error;
    }
  }

  /**
   * What to tell people about prompts before they are drawn: that the model knows no name in one, with
   * the nearest that it knows, and that one, with a style of the model's if it names none, is longer than
   * what the model reads.
   *
   * @throws {SyntaxError} If the model's list of names is damaged; see {@linkcode knownNames}.
   */
  async promptNotes(prompt: string | readonly string[]): Promise<PromptNote[]> {
    const prompts = typeof prompt === "string" ? [prompt] : prompt;
    const { promptNotes } = await import("../conditioning/prompt_notes.ts");
    const { tokenizer, generationConfig } = this.components;
    const { styles } = generationConfig ?? {};
    return promptNotes(prompts, { tokenizer, names: await this.knownNames(), styles });
  }

  /** Which device computes, and why it was chosen. */
  get device(): DeviceInfo {
    return this.backend.device;
  }

  /** Where the components compute. */
  get backend(): Backend {
    return this.#session.backend;
  }

  /** Whether generations draw a progress bar, if their options do not say. At first they do not. */
  setProgressBar(enabled: boolean): void {
    this.#progressBar = enabled;
  }

  /** Generates images for one or many prompts. */
  generate<O extends OutputType = "image">(
    prompt: GenerateInput,
    options: GenerateOptions<O, false> & { readonly returnDict: false },
  ): Promise<[OutputImage[O][]]>;
  /**
   * Generates images for one or many prompts, or classes.
   *
   * @param prompt Undefined if `options.promptEmbeds` or `options.image` takes its place. A model that draws
   *   from classes takes `{ classLabel: 207 }`, or a list of labels there; an unconditional one nothing.
   * @returns The images of the first prompt, then those of the next.
   * @throws {TypeError} If an argument is of the wrong type, or a component is missing that the call needs.
   * @throws {RangeError} If an argument is out of range.
   * @throws {DOMException} If the signal is aborted.
   * @throws {DeviceLostError} If the GPU is lost and the pipeline was made of components.
   */
  generate<O extends OutputType = "image">(
    prompt?: GenerateInput,
    options?: GenerateOptions<O, boolean>,
  ): Promise<ImagePipelineOutput<O>>;
  async generate(
    prompt?: GenerateInput,
    options: GenerateOptions<OutputType, boolean> = {},
  ): Promise<ImagePipelineOutput<OutputType> | [OutputImage[OutputType][]]> {
    checkOutputOptions(options);
    const { outputType = "image", callback, callbackSteps = 1 } = options;
    const checked = generationRequest(this.components, prompt, options);
    const request = await withPicture(this.components, checked, options);
    if (outputType !== "tokens") {
      needComponent(this.components.vqvae, "vqvae", `outputType "${outputType}"`);
    }
    using progress = await this.#progress(request, options);
    const lastStep = request.plan.steps.length - 1;
    const initial = await initialTokens(this.#session, request);
    let { tokens } = initial;
    for await (const state of generateTokens(this.#session, request, initial)) {
      const { step, timestep } = state;
      progress.update(state);
      const isWanted = callback !== undefined && step % callbackSteps === 0;
      if (isWanted || step === lastStep) tokens = await state.tokens();
      if (isWanted) await callback(step, timestep, tokens.slice());
    }
    const images = await this.#decode(tokens, outputType, request);
    return options.returnDict === false ? [images] : { images };
  }

  /**
   * Generates images and gives the state after every step. Decodes nothing unless asked for a preview.
   * Its memory is given back at its end, at `return`, which leaving a `for await` calls, or else some time
   * after nothing refers to it any more.
   *
   * @param prompt As {@linkcode generate} takes it.
   * @throws {TypeError} If an argument is of the wrong type, or a component is missing that the call needs.
   * @throws {RangeError} If an argument is out of range.
   *
   * @example
   * ```ts
   * import { VQDiffusionPipeline } from "@vq-diffusion/vq-diffusion";
   *
   * await using pipe = await VQDiffusionPipeline.fromPretrained();
   * for await (const { step, preview } of pipe.stream("a red apple", { seed: 1 })) {
   *   if (step % 10 > 0) continue;
   *   const [image] = await preview();
   *   await Deno.writeFile(`apple-${step}.png`, await image!.toPng());
   * }
   * ```
   */
  stream(
    prompt?: GenerateInput,
    options: StreamOptions = {},
  ): AsyncGenerator<StreamEvent, void, void> {
    checkStreamOptions(options);
    const request = generationRequest(this.components, prompt, options);
    return endedWhenDropped(this.#events(request, options));
  }

  async *#events(
    checked: GenerationRequest,
    options: StreamOptions,
  ): AsyncGenerator<StreamEvent, void, void> {
    const request = await withPicture(this.components, checked, options);
    const { plan, pixels, scheduler } = request;
    const steps = plan.steps.length;
    using progress = await this.#progress(request, options);
    const initial = await initialTokens(this.#session, request);
    for await (const state of generateTokens(this.#session, request, initial)) {
      const tokens = await state.tokens();
      progress.update(state);
      const preview = async () => {
        needComponent(this.components.vqvae, "vqvae", "preview()");
        const filled = fillMasks(tokens, pixels, scheduler.maskClass);
        return await this.#decode(filled, "image", request);
      };
      const { step, timestep } = state;
      yield { step: step + 1, steps, timestep, tokens: tokens.slice(), preview };
    }
  }

  /**
   * Encodes prompts, as `promptEmbeds` and `negativePromptEmbeds` take them.
   *
   * @returns (prompts, length, crossAttentionDim), each token divided by its L2 norm.
   * @throws {TypeError} If the pipeline has no `tokenizer` or `textEncoder`, or the prompt is no text.
   * @throws {RangeError} If there is no prompt.
   */
  async encodePrompt(
    prompt: string | readonly string[],
    { signal }: Pick<StreamOptions, "signal"> = {},
  ): Promise<Exclude<PromptEmbeds, Tensor>> {
    const prompts = checkPrompts("encode prompts", prompt);
    const request = { prompts, numImagesPerPrompt: 1, guided: false, signal };
    checkTextRequest(this.components, request);
    return await this.#session.use((components) => encodePrompt(components, request));
  }

  /**
   * Saves the pipeline in diffusers' layout, as safetensors, with its `generation_config.json` and
   * `names.json` if it has them.
   *
   * @param target Path of a folder, in which files are replaced when all are complete; or a new folder that
   *   is being written, such as one in memory.
   * @throws {TypeError} If the pipeline was made without one of the components.
   */
  async savePretrained(
    target: string | FolderWriter,
    options: SavePretrainedOptions = {},
  ): Promise<void> {
    const { components } = this;
    const { savePipeline } = await import("./save_pipeline.ts");
    await savePipeline({ components, names: await this.knownNames() }, target, options);
  }

  /** Frees workers, Wasm and GPU memory, and closes files, as far as the pipeline owns them. */
  dispose(): Promise<void> {
    return this.#session.dispose();
  }

  /** Does what {@linkcode dispose} does. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.dispose();
  }

  /** Reports each step, and draws a bar if there is to be one. */
  async #progress(
    { plan }: GenerationRequest,
    { onProgress, progressBar = this.#progressBar }: StreamOptions,
  ): Promise<Disposable & { update(state: GenerationState): void }> {
    const bar = progressBar
      ? new (await import("../base/progress_bar.ts")).ProgressBar("Denoising")
      : undefined;
    const steps = plan.steps.length;
    return {
      update: ({ step }) => {
        bar?.update(step + 1, steps);
        onProgress?.({ step: step + 1, steps });
      },
      [Symbol.dispose]: () => bar?.end(),
    };
  }

  #decode<O extends OutputType>(
    tokens: Int32Array,
    outputType: O,
    { pixels, picture, signal }: GenerationRequest,
  ): Promise<OutputImage[O][]> {
    const options = { inpainting: picture?.inpainting, signal };
    return this.#session.use(({ vqvae }) => makeOutput(vqvae, tokens, pixels, outputType, options));
  }
}
