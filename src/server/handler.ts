/**
 * Text to image over HTTP: one function from a `Request` to a `Response`, for any runtime that has these.
 *
 * @module
 */

import { checkFunction, checkInteger, checkOptions, refuseType } from "../base/check.ts";
import { MAX_PIXELS } from "../images/pixels.ts";
import { sideOf } from "../pipeline/components.ts";
import { checkParameters, limitsOf } from "../pipeline/generation_parameters.ts";
import type { VQDiffusionPipeline } from "../pipeline/vq_diffusion_pipeline.ts";
import { eventStream, type SendEvent } from "./event_stream.ts";
import { checkOrder, type Order, orderOf, pngResponse, sendEvents } from "./order.ts";
import { type Place, Places } from "./places.ts";
import { RequestError } from "./request_error.ts";
import {
  checkSubject,
  readParameters,
  type RequestLimits,
  type RequestParameters,
  requestRanges,
} from "./request_parameters.ts";
import { picturesOf } from "./request_pictures.ts";
import { type LoadPipeline, SharedPipeline } from "./shared_pipeline.ts";

/** Options of {@linkcode createHandler}. */
export interface HandlerOptions {
  /** Path to answer at. Default `"/generate"`. */
  readonly path?: string | undefined;
  /** Most denoising steps of a request, also of one that does not say how many. Default 100. */
  readonly maxSteps?: number | undefined;
  /** Most images of a request. Default 4. */
  readonly maxImages?: number | undefined;
  /** Longest prompt, in UTF-16 code units. Default 500; the model sees 75 tokens at most. */
  readonly maxPromptLength?: number | undefined;
  /** Longest body without pictures, in bytes. Default 16384. */
  readonly maxBodyBytes?: number | undefined;
  /** Longest body with pictures, in bytes. Default 10 million. */
  readonly maxUploadBytes?: number | undefined;
  /** Most pixels of a picture in a request; each takes 4 bytes, and more while it is read. Default 2²⁴. */
  readonly maxPixels?: number | undefined;
  /** Most generations at once; requests beyond get status 503. Default 2. */
  readonly maxConcurrent?: number | undefined;
  /** Origin whose pages may use the answers: `"*"` for all. Default: none but the handler's own. */
  readonly allowOrigin?: string | undefined;
  /** Called with what fails without being the client's fault. Default: `console.error`. */
  readonly onError?: ((error: unknown) => void) | undefined;
}

/** What some runtimes hand to a request to let it go on after its answer, or its client, is gone. */
export interface RequestContext {
  /** Keeps the request alive until the promise is settled. */
  waitUntil?(work: Promise<unknown>): void;
}

/**
 * Answers a request.
 *
 * @param environment What the runtime hands to a worker, such as its bindings; goes to the function
 *   that loads the pipeline.
 * @param context Keeps the request alive.
 */
export type RequestHandler<Environment = unknown> = (
  request: Request,
  environment?: Environment,
  context?: RequestContext,
) => Promise<Response>;

interface Limits extends RequestLimits {
  readonly maxConcurrent: number;
}

const TASK = "make a handler";

/** Names of all options. */
const OPTIONS: Readonly<Record<keyof HandlerOptions, true>> = {
  path: true,
  maxSteps: true,
  maxImages: true,
  maxPromptLength: true,
  maxBodyBytes: true,
  maxUploadBytes: true,
  maxPixels: true,
  maxConcurrent: true,
  allowOrigin: true,
  onError: true,
};

const DEFAULTS: Limits = {
  // Those that a generation has if nothing else is asked for.
  maxSteps: checkParameters({}, {}).numInferenceSteps,
  maxImages: 4,
  maxPromptLength: 500,
  maxBodyBytes: 16384,
  maxUploadBytes: 10_000_000,
  maxPixels: 2 ** 24,
  maxConcurrent: 2,
};

/** The greatest limits. */
const MOST: Readonly<Partial<Limits>> = { maxPixels: MAX_PIXELS };

/** Status of an answer that nobody waits for; the client closed the request. */
const CLIENT_CLOSED = 499;

/**
 * Makes a handler that answers GET and POST requests with images. The parameters are those of the query,
 * of a JSON body or of a form: `prompt`, or `class` for a model that draws from classes, and if wanted
 * `seed`, `steps`, `sampler`, `guidance`, `guidance_interval`, `negative`, `truncation`, `top_k`, `images`.
 * A form (`multipart/form-data`) may hold a picture to start from, `image`, what of it is repainted, `mask`,
 * and `strength`; with a picture the prompt may be missing.
 *
 * The answer is a PNG file, of several images a contact sheet; its header `x-seed` is the seed, of which
 * the first image is drawn, and the next ones of the next. What a request leaves open is as the model's
 * `generation_config.json` has it. To requests that accept `text/event-stream` it is a stream of events instead:
 *
 * - `step`: `{ step, steps, timestep }` after every denoising step, the first being 1; with the parameter
 *   `previews=n` every n-th has `previews` too, an array of PNG files in base64.
 * - `result`: `{ seed, images }`, the images as PNG files in base64. The last event.
 * - `error`: `{ error }`. The last event.
 *
 * Wrong requests get one line of JSON, `{ "error": … }`, and status 400, 404, 405, 413 or 415 before any
 * work is done; the header `retry-after` of a 503 says when to come again. A client that goes away stops the work.
 * (It is for this that Deno prints a notice about `request.signal`, unless it is run with
 * `--unstable-no-legacy-abort`.)
 *
 * @param pipeline The pipeline, or what loads it when the first request comes, with the second argument of
 *   that request's call. It stays the caller's.
 * @throws {TypeError} If `pipeline` is neither a pipeline nor a function, or an option is unknown or of
 *   the wrong type.
 * @throws {RangeError} If a limit is no whole number from 1 on.
 *
 * @example
 * ```ts
 * import { VQDiffusionPipeline } from "@vq-diffusion/vq-diffusion";
 * import { createHandler } from "@vq-diffusion/vq-diffusion/server";
 *
 * const pipe = await VQDiffusionPipeline.fromPretrained();
 * Deno.serve(createHandler(pipe, { maxSteps: 50 }));
 * ```
 *
 * @example In a runtime whose modules export a `fetch` function
 * ```ts
 * import { VQDiffusionPipeline } from "@vq-diffusion/vq-diffusion";
 * import { createHandler } from "@vq-diffusion/vq-diffusion/server";
 *
 * function load(): Promise<VQDiffusionPipeline> {
 *   return VQDiffusionPipeline.fromPretrained("https://example.org/model/", { threads: 1 });
 * }
 * export default { fetch: createHandler(load) };
 * ```
 */
export function createHandler<Environment = unknown>(
  pipeline: VQDiffusionPipeline | LoadPipeline<Environment>,
  options: HandlerOptions = {},
): RequestHandler<Environment> {
  const handler = new Handler(pipeline, options);
  return (request, environment, context) =>
    handler.answer(request, environment as Environment, context);
}

class Handler<Environment> {
  readonly #pipeline: SharedPipeline<Environment>;
  readonly #options: HandlerOptions;
  readonly #limits: Limits;
  readonly #places: Places;
  /** How long the last generation took. */
  #seconds = 5;

  constructor(
    pipeline: VQDiffusionPipeline | LoadPipeline<Environment>,
    options: HandlerOptions,
  ) {
    if (typeof pipeline !== "function" && typeof pipeline?.generate !== "function") {
      const expected = "a VQDiffusionPipeline or a function";
      refuseType({ task: TASK, name: "pipeline" }, pipeline, expected);
    }
    checkOptions(TASK, options, Object.keys(OPTIONS));
    checkFunction({ task: TASK, name: "onError" }, options.onError);
    this.#pipeline = new SharedPipeline(
      typeof pipeline === "function" ? pipeline : () => Promise.resolve(pipeline),
    );
    this.#options = options;
    this.#limits = {
      maxSteps: limit("maxSteps", options),
      maxImages: limit("maxImages", options),
      maxPromptLength: limit("maxPromptLength", options),
      maxBodyBytes: limit("maxBodyBytes", options),
      maxUploadBytes: limit("maxUploadBytes", options),
      maxPixels: limit("maxPixels", options),
      maxConcurrent: limit("maxConcurrent", options),
    };
    this.#places = new Places(this.#limits.maxConcurrent);
  }

  /** Answers a request; never rejects. */
  async answer(
    request: Request,
    environment: Environment,
    context?: RequestContext,
  ): Promise<Response> {
    let response: Response;
    try {
      response = await this.#respond(request, environment, context);
    } catch (error) {
      response = this.#refusal(error, request);
    }
    const { allowOrigin } = this.#options;
    if (allowOrigin !== undefined) {
      response.headers.set("access-control-allow-origin", allowOrigin);
      response.headers.set("access-control-expose-headers", "x-seed, retry-after");
    }
    return response;
  }

  async #respond(
    request: Request,
    environment: Environment,
    context?: RequestContext,
  ): Promise<Response> {
    const { path = "/generate", allowOrigin } = this.#options;
    const { pathname } = new URL(request.url);
    if (pathname !== path) {
      throw new RequestError(404, `There is nothing at this path, expected ${path}`);
    }
    if (request.method === "OPTIONS" && allowOrigin !== undefined) return preflight();
    if (request.method !== "GET" && request.method !== "POST") {
      throw new RequestError(405, `The method is ${request.method}, expected GET or POST`, {
        allow: "GET, POST",
      });
    }
    const parameters = await readParameters(request, this.#limits);
    const { signal, release } = await this.#takePlace(context);
    try {
      const pipe = await this.#pipeline.get(environment);
      const order = await this.#order(pipe, parameters);
      const wantsEvents = /\btext\/event-stream\b/.test(request.headers.get("accept") ?? "");
      const either = AbortSignal.any([request.signal, signal]);
      // The place of a stream is given back when it ends.
      if (wantsEvents) return this.#events(pipe, order, either, release);
      const response = await pngResponse(pipe, order, either);
      release();
      return response;
    } catch (error) {
      release();
      throw error;
    }
  }

  /** The generation that is asked for, with all that depends on the model checked. */
  async #order(pipe: VQDiffusionPipeline, parameters: RequestParameters): Promise<Order> {
    checkSubject(parameters, pipe.components.transformer.config);
    const { ranges, ...limits } = limitsOf(pipe);
    const narrowed = { ...requestRanges(this.#limits), ...ranges };
    const order = orderOf(
      { ...parameters, isPictured: parameters.files.image !== undefined },
      { ...limits, ranges: narrowed },
    );
    const { maxPixels } = this.#limits;
    const { strength } = order.values;
    const side = sideOf(pipe.components);
    const picture = await picturesOf(parameters.files, { maxPixels, side, strength });
    checkOrder(pipe, { ...order, picture });
    return { ...order, picture };
  }

  /** Takes one of the places for generations. As long as it is held, the request is kept alive. */
  async #takePlace(context?: RequestContext): Promise<Place> {
    const place = await this.#places.take();
    if (place === undefined) {
      throw new RequestError(503, "Too many images are being drawn, try again later", {
        "retry-after": `${Math.max(1, Math.ceil(this.#seconds))}`,
      });
    }
    const start = performance.now();
    let resolve: (() => void) | undefined;
    context?.waitUntil?.(new Promise<void>((settle) => resolve = settle));
    const release = () => {
      place.release();
      resolve?.();
      this.#seconds = (performance.now() - start) / 1000;
    };
    return { signal: place.signal, release };
  }

  #events(
    pipe: VQDiffusionPipeline,
    order: Order,
    signal: AbortSignal,
    release: () => void,
  ): Response {
    const gone = new AbortController();
    const all = AbortSignal.any([signal, gone.signal]);
    const run = async (send: SendEvent) => {
      try {
        await sendEvents(pipe, order, all, send);
      } catch (error) {
        if (!all.aborted) send("error", { error: this.#describe(error).message });
      } finally {
        release();
      }
    };
    return new Response(eventStream(run, () => gone.abort()), {
      headers: { "content-type": "text/event-stream", "cache-control": "no-store" },
    });
  }

  #refusal(error: unknown, request: Request): Response {
    if (request.signal.aborted) return new Response(null, { status: CLIENT_CLOSED });
    const { status, message, headers } = this.#describe(error);
    return new Response(`${JSON.stringify({ error: message })}\n`, {
      status,
      headers: { "content-type": "application/json", "cache-control": "no-store", ...headers },
    });
  }

  /** What the client is to know: faults of its own, and that there are others. */
  #describe(error: unknown): RequestError {
    if (error instanceof RequestError) return error;
    const { onError = console.error } = this.#options;
    onError(error);
    return new RequestError(500, "The image could not be drawn");
  }
}

function preflight(): Response {
  return new Response(null, {
    status: 204,
    headers: {
      "access-control-allow-methods": "GET, POST",
      "access-control-allow-headers": "content-type",
    },
  });
}

/**
 * Fills a limit in and checks it.
 *
 * @throws {TypeError} If it is not a number.
 * @throws {RangeError} If it is no whole number from 1 on.
 */
function limit(name: keyof Limits, options: HandlerOptions): number {
  checkInteger({ task: TASK, name }, options[name], { min: 1, max: MOST[name] });
  return options[name] ?? DEFAULTS[name];
}
