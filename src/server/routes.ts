/**
 * What the APIs of the service share: requests on their way, and what is done for them.
 *
 * @module
 */

import type { Context } from "npm:hono@4.13.19";
import type { Job, JobRequest } from "../jobs/job.ts";
import type { ServedQueue } from "../jobs/served_queue.ts";
import type { ParameterLimits } from "../pipeline/generation_parameters.ts";
import type { VQDiffusionPipeline } from "../pipeline/vq_diffusion_pipeline.ts";
import type { BodyLimits } from "./request_body.ts";
import type { RequestError } from "./request_error.ts";
import type { RequestLimits } from "./request_parameters.ts";
import type { UploadReader } from "./uploads.ts";

/** What is served. */
export interface ServedModel {
  /** Its name in requests. */
  readonly id: string;
  /** Side of its pictures, in pixels. */
  readonly side: number;
}

/** What is known of a request beside itself. */
export interface Environment {
  readonly Bindings: { readonly address: string };
  readonly Variables: { client: string; requestId: string };
}

/** A request on its way. */
export type Call = Context<Environment>;

/** Answers a request. */
export type Answer = (call: Call) => Response | Promise<Response>;

/** The answers of an API by path, and there by method. */
export type Routes = Readonly<Record<string, Readonly<Record<string, Answer>>>>;

/** What the service does for its APIs. */
export interface Desk {
  readonly pipe: VQDiffusionPipeline;
  readonly queue: ServedQueue;
  readonly model: ServedModel;
  /** What requests may ask for. */
  readonly limits: RequestLimits & BodyLimits;
  /** What parameters may be, by the model and the service. */
  parameterLimits(): ParameterLimits;
  /**
   * Reads a request that brings pictures, for which there is a place. The pictures of one request are read
   * at a time.
   *
   * @throws {QueueFullError} If there is no place.
   * @throws {QueueClosedError} If the service stops.
   */
  upload<Body, T>(call: Call, reader: UploadReader<Body, T>): Promise<T>;
  /**
   * Checks and queues a job, which is given up when its client goes away.
   *
   * @throws {RequestError} If the pipeline would refuse it.
   * @throws {QueueFullError} If there is no place.
   * @throws {QueueClosedError} If the service stops.
   */
  submit(call: Call, request: JobRequest): Job;
  /** Answers with a stream of events about a job, which is given up when nobody reads them. */
  stream(
    job: Job,
    texts: AsyncGenerator<string, void, void>,
    headers?: Readonly<Record<string, string>>,
  ): Response;
  /** Turns what has failed into what the client is to know of it. */
  describe(call: Call, error: unknown): RequestError;
}
