/**
 * A pipeline behind HTTP: one function from a `Request` to a `Response`.
 *
 * @module
 */

export {
  createHandler,
  type HandlerOptions,
  type RequestContext,
  type RequestHandler,
} from "./handler.ts";
export type { LoadPipeline } from "./shared_pipeline.ts";
