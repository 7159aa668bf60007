/**
 * A pipeline behind HTTP: one function from a `Request` to a `Response`.
 *
 * @module
 */

export { createHandler, type HandlerOptions, type RequestHandler } from "./handler.ts";
