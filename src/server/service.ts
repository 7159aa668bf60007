/**
 * The service: a queue of jobs behind the image APIs of OpenAI and of AUTOMATIC1111's web UI, the path of
 * `createHandler`, and a page.
 *
 * @module
 */

import { Hono } from "npm:hono@4.13.19";
import { cors } from "npm:hono@4.13.19/cors";
import { requestId } from "npm:hono@4.13.19/request-id";
import type { WeightDType } from "../base/dtypes.ts";
import type { ModelFolder } from "../files/source.ts";
import type { Job, JobRequest } from "../jobs/job.ts";
import { JobQueue, type JobQueueLimits, QueueClosedError, QueueFullError } from "../jobs/queue.ts";
import type { RemoteQueue, ServedQueue } from "../jobs/served_queue.ts";
import { workOf } from "../jobs/speed.ts";
import { runWorker } from "../jobs/worker.ts";
import type { Transformer2DConfig } from "../models/transformer_2d_config.ts";
import { sideOf } from "../pipeline/components.ts";
import { limitsOf, type ParameterLimits } from "../pipeline/generation_parameters.ts";
import type { VQDiffusionPipeline } from "../pipeline/vq_diffusion_pipeline.ts";
import { refuseOtherSites, TokenCheck } from "./access.ts";
import { webUIError } from "./automatic1111/answers.ts";
import { WEB_UI_PATH, webUIRoutes } from "./automatic1111/routes.ts";
import { FolderFiles } from "./folder_files.ts";
import { hasFormBody } from "./form_body.ts";
import { checkOrder, type Order, orderOf } from "./order.ts";
import { jobEvents, pngAnswer } from "./job_answers.ts";
import { methodName, Metrics } from "./metrics.ts";
import { errorBody, rateLimitHeaders } from "./openai/answers.ts";
import { OPENAI_PATH, openAIRoutes } from "./openai/routes.ts";
import { PAGE_PATHS, pageAnswer } from "./page.ts";
import { RequestError } from "./request_error.ts";
import {
  checkSubject,
  readParameters,
  type RequestLimits,
  type RequestParameters,
  requestRanges,
} from "./request_parameters.ts";
import { picturesOf } from "./request_pictures.ts";
import type { Answer, Call, Desk, Environment, ServedModel } from "./routes.ts";
import { serviceInfo } from "./service_info.ts";
import { textStream } from "./text_stream.ts";
import { type UploadReader, Uploads } from "./uploads.ts";

/** Seconds of silence after which a stream shows that it is alive. */
const KEEP_ALIVE_SECONDS = 15;

/** The device of pictures that are drawn elsewhere, as `/info` names it. */
const WORKERS = { name: "Workers", reason: "those of the queue, on machines of their own" };

/** Status of an answer that nobody waits for. */
const CLIENT_CLOSED = 499;

/** A line of the log. */
export interface LogRecord {
  /** `"error"` needs somebody to look at it. */
  readonly level: "info" | "error";
  /** What has happened: `request`, `job`, `error`. */
  readonly event: string;
  /** More about it; never what a picture shows. */
  readonly [field: string]: unknown;
}

/** What a page needs to draw by itself. */
export interface BrowserParts {
  /** The library as `deno task bundle` makes it for browsers. */
  readonly library: ModelFolder;
  /** The model. */
  readonly model: ModelFolder;
  /** How its weights are held. Default: as they are stored. */
  readonly dtype?: WeightDType | undefined;
}

/** Options of {@linkcode Service}. */
export interface ServiceOptions {
  /** Name of the model in requests. */
  readonly modelId: string;
  /** What requests may ask for. */
  readonly limits: RequestLimits;
  /** Seconds that a body may not come, and an answer may not be read. */
  readonly maxIdleSeconds: number;
  /** Places in the queue; or a queue whose jobs are drawn elsewhere, which stays the caller's. */
  readonly queue: JobQueueLimits | RemoteQueue;
  /** Bearer tokens, one of which each request has to bring. Default: none is needed. */
  readonly tokens?: readonly string[] | undefined;
  /** What the page draws with by itself. Default: it does not. */
  readonly browser?: BrowserParts | undefined;
  /** Origin whose pages may use the answers, `"*"` for all. Default: none but its own. */
  readonly allowOrigin?: string | undefined;
  /** Takes what is to be logged. */
  readonly log: (record: LogRecord) => void;
}

/** Pages and the APIs of others know prompts only. */
function expectText({ conditionType }: Transformer2DConfig): void {
  if (conditionType === "text") return;
  const kind = conditionType === "class" ? "draws from classes" : "is unconditional";
  throw new TypeError(
    `Cannot serve the model: it ${kind}, expected one that draws from text; createHandler serves others`,
  );
}

/** A server of pictures, from requests to responses. */
export class Service {
  /** Jobs that wait and run. */
  readonly queue: ServedQueue;
  /** Fulfilled when it is closed and the last running job is over. */
  readonly finished: Promise<void>;
  readonly #pipe: VQDiffusionPipeline;
  readonly #options: ServiceOptions;
  readonly #model: ServedModel;
  readonly #metrics = new Metrics();
  readonly #tokens: TokenCheck;
  readonly #uploads: Uploads;
  readonly #app = new Hono<Environment>();

  /**
   * Starts to serve a pipeline, which stays the caller's.
   *
   * @throws {TypeError} If it does not draw from text, as all that asks a service does.
   */
  constructor(pipe: VQDiffusionPipeline, options: ServiceOptions) {
    expectText(pipe.components.transformer.config);
    this.#pipe = pipe;
    this.#options = options;
    this.#model = { id: options.modelId, side: sideOf(pipe.components) };
    this.#tokens = new TokenCheck(options.tokens);
    if ("finished" in options.queue) {
      this.queue = options.queue;
      this.finished = options.queue.finished;
    } else {
      const queue = new JobQueue(options.queue, (request) => workOf(pipe, request));
      this.queue = queue;
      this.finished = runWorker(pipe, queue, { maxBatch: options.limits.maxImages });
    }
    this.#uploads = new Uploads(this.queue);
    this.#addRoutes();
  }

  /**
   * Answers a request; never rejects.
   *
   * @param address Of the client; clients without a token of their own are told apart by it.
   */
  async fetch(request: Request, address: string): Promise<Response> {
    return await this.#app.fetch(request, { address });
  }

  /** Takes no more requests for pictures, gives back those that wait, and lets those that run end. */
  close(): void {
    this.queue.close();
  }

  #addRoutes(): void {
    const app = this.#app;
    app.use(requestId());
    app.use(async (context, next) => {
      const start = performance.now();
      await next();
      context.res.headers.set("x-request-id", context.get("requestId"));
      this.#note(context, performance.now() - start);
    });
    const { allowOrigin } = this.#options;
    if (allowOrigin !== undefined) {
      const exposeHeaders = ["x-request-id", "x-seed", "retry-after"];
      app.use(cors({ origin: allowOrigin, exposeHeaders }));
    }
    app.notFound((context) =>
      this.#refusal(context, new RequestError(404, "There is nothing at this path"))
    );
    app.onError((error, context) => this.#refusal(context, this.#describe(error, context)));
    for (const path of PAGE_PATHS) {
      this.#add(path, { GET: () => pageAnswer(path) }, { open: true });
    }
    const { browser } = this.#options;
    if (browser !== undefined) {
      this.#addFiles("/lib", browser.library, { open: true });
      this.#addFiles("/model", browser.model);
    }
    this.#add("/healthz", { GET: () => this.#health() }, { open: true });
    this.#add("/metrics", {
      GET: () =>
        new Response(this.#metrics.text(this.queue), {
          headers: { "content-type": "text/plain; version=0.0.4; charset=utf-8" },
        }),
    });
    this.#add("/info", { GET: async () => Response.json(await this.#info()) });
    const generate = (context: Call) => this.#generate(context);
    this.#add("/generate", { GET: generate, POST: generate });
    const desk = this.#desk();
    const routes = { ...openAIRoutes(desk), ...webUIRoutes(desk) };
    for (const [path, answers] of Object.entries(routes)) this.#add(path, answers);
  }

  /** Adds a path. What is not open needs a token, if there are such. */
  #add(path: string, answers: Record<string, Answer>, { open = false } = {}): void {
    const allow = [...Object.keys(answers), ...answers["GET"] ? ["HEAD"] : [], "OPTIONS"].join(
      ", ",
    );
    this.#app.all(path, async (context) => {
      const { method } = context.req.raw;
      if (method === "OPTIONS") return new Response(null, { status: 204, headers: { allow } });
      const answer = answers[method === "HEAD" ? "GET" : method];
      if (!answer) {
        throw new RequestError(405, `The method is ${method}, expected ${allow}`, { allow });
      }
      if (!open) await this.#admit(context);
      return await answer(context);
    });
  }

  /** Adds the files of a folder. */
  #addFiles(path: string, folder: ModelFolder, access: { readonly open?: boolean } = {}): void {
    const files = new FolderFiles(folder, this.#options.maxIdleSeconds);
    const GET = ({ req }: Call) => files.answer(req.param("path")!, req.raw);
    this.#add(`${path}/:path{.+}`, { GET }, access);
  }

  async #admit(context: Call): Promise<void> {
    refuseOtherSites(context.req.raw, this.#options.allowOrigin);
    const client = await this.#tokens.clientOf(context.req.raw);
    context.set("client", client ?? context.env.address);
  }

  #health(): Response {
    const status = this.queue.closed ? "stopping" : "ok";
    return Response.json({ status }, { status: this.queue.closed ? 503 : 200 });
  }

  async #info(): Promise<Record<string, unknown>> {
    const { limits, browser, queue } = this.#options;
    const info = await serviceInfo(this.#pipe, this.#model, this.#limits(), limits, browser);
    return "finished" in queue ? { ...info, device: WORKERS } : info;
  }

  /** What the model and the service allow. */
  #limits(): ParameterLimits {
    return { ...limitsOf(this.#pipe), ranges: requestRanges(this.#options.limits) };
  }

  async #generate(context: Call): Promise<Response> {
    const { raw } = context.req;
    const { limits, maxIdleSeconds } = this.#options;
    const reader = {
      body: () => readParameters(raw, { ...limits, maxIdleSeconds }),
      fit: (parameters: RequestParameters) => this.#order(parameters),
    };
    const { prompt, picture, values, previews } = hasFormBody(raw)
      ? await this.#upload(context, reader)
      : await reader.fit(await reader.body());
    // It is not asked for a picture.
    if (raw.method === "HEAD") {
      checkOrder(this.#pipe, { prompt, picture, values });
      return new Response(null, { headers: { "content-type": "image/png" } });
    }
    const notes = (await this.#pipe.promptNotes(prompt ?? [])).map(({ message }) => message);
    const job = this.#submit(context, { prompt, picture, values, previewSteps: previews });
    if (!/\btext\/event-stream\b/.test(raw.headers.get("accept") ?? "")) {
      return await pngAnswer(job);
    }
    const describe = (error: unknown) => this.#describe(error, context);
    return this.#stream(job, jobEvents(job, this.queue, notes, describe));
  }

  /** What a request asks for, with all that depends on the model checked. */
  async #order(parameters: RequestParameters): Promise<Order> {
    const { files } = parameters;
    checkSubject(parameters, this.#pipe.components.transformer.config);
    const isPictured = files.image !== undefined;
    const order = orderOf({ ...parameters, isPictured }, this.#limits());
    const { strength } = order.values;
    const limits = { ...this.#options.limits, side: this.#model.side, strength };
    return { ...order, picture: await picturesOf(files, limits) };
  }

  #upload<Body, T>(context: Call, reader: UploadReader<Body, T>): Promise<T> {
    return this.#uploads.read(context.get("client"), context.req.raw.signal, reader);
  }

  /** What the service does for its APIs. */
  #desk(): Desk {
    return {
      pipe: this.#pipe,
      queue: this.queue,
      model: this.#model,
      limits: { ...this.#options.limits, maxIdleSeconds: this.#options.maxIdleSeconds },
      parameterLimits: () => this.#limits(),
      upload: (call, reader) => this.#upload(call, reader),
      submit: (call, request) => this.#submit(call, request),
      stream: (job, texts, headers) => this.#stream(job, texts, headers),
      describe: (call, error) => this.#describe(error, call),
    };
  }

  /** Checks and queues a job, which is given up when its client goes away. */
  #submit(context: Call, request: JobRequest): Job {
    checkOrder(this.#pipe, request);
    const { signal } = context.req.raw;
    signal.throwIfAborted();
    const client = context.get("client");
    const job = this.queue.add(request, client);
    const cancel = () => job.cancel();
    signal.addEventListener("abort", cancel);
    const start = performance.now();
    job.finished().then((state) => {
      signal.removeEventListener("abort", cancel);
      const seconds = (performance.now() - start) / 1000;
      this.#metrics.countJob(state, seconds);
      const { numInferenceSteps: steps, numImagesPerPrompt: images } = request.values;
      const outcome = state.status;
      const id = context.get("requestId");
      this.#options.log({
        level: "info",
        event: "job",
        id,
        client,
        outcome,
        images,
        steps,
        seconds,
      });
    });
    return job;
  }

  #stream(
    job: Job,
    texts: AsyncGenerator<string, void, void>,
    headers: Record<string, string> = {},
  ): Response {
    const { maxIdleSeconds } = this.#options;
    const options = {
      maxIdleSeconds,
      keepAliveSeconds: KEEP_ALIVE_SECONDS,
      onGone: () => job.cancel(),
    };
    return new Response(textStream(texts, options), {
      headers: { ...headers, "content-type": "text/event-stream", "cache-control": "no-store" },
    });
  }

  /** An error in the form that clients of the path expect. */
  #refusal({ req, env, get }: Call, error: RequestError): Response {
    if (req.raw.signal.aborted) return new Response(null, { status: CLIENT_CLOSED });
    const isOpenAI = req.path.startsWith(OPENAI_PATH);
    const headers: Record<string, string> = { "cache-control": "no-store", ...error.headers };
    if (error.status === 429 && isOpenAI) {
      Object.assign(headers, rateLimitHeaders(this.queue, get("client") ?? env.address));
    }
    return Response.json(errorForm(req.path, error), { status: error.status, headers });
  }

  /** What the client is to know: faults of its own, that it is to come again, and that there are others. */
  #describe(error: unknown, context: Call): RequestError {
    if (error instanceof RequestError) return error;
    if (error instanceof QueueFullError) {
      return new RequestError(429, error.message, { "retry-after": `${error.retryAfter}` });
    }
    if (error instanceof QueueClosedError) return new RequestError(503, error.message);
    if (!context.req.raw.signal.aborted) {
      const message = error instanceof Error ? error.stack ?? error.message : String(error);
      this.#options.log({ level: "error", event: "error", id: context.get("requestId"), message });
    }
    return new RequestError(500, "The picture could not be drawn");
  }

  #note({ req, res, env, get }: Call, milliseconds: number): void {
    const method = methodName(req.raw.method);
    const route = req.routePath === "*" || req.routePath === "/*" ? "none" : req.routePath;
    this.#metrics.countRequest(method, route, res.status);
    this.#options.log({
      level: res.status >= 500 ? "error" : "info",
      event: "request",
      id: get("requestId"),
      client: get("client") ?? env.address,
      method,
      path: req.path.slice(0, 200),
      status: res.status,
      ms: Math.round(milliseconds),
    });
  }
}

/** An error as the API of a path has it. */
function errorForm(path: string, error: RequestError): Record<string, unknown> {
  if (path.startsWith(OPENAI_PATH)) return errorBody(error);
  if (path.startsWith(WEB_UI_PATH)) return webUIError(error);
  return { error: error.message };
}
