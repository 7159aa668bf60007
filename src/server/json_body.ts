/**
 * Bodies of JSON.
 *
 * @module
 */

import { describeValue } from "../base/check.ts";
import { parseJson } from "../base/json.ts";
import { inTurns } from "../base/pauses.ts";
import { decodeUtf8 } from "../base/utf8.ts";
import { type BodyLimits, readBody } from "./request_body.ts";
import { RequestError } from "./request_error.ts";

/**
 * Reads the body of a request, an object of JSON. An empty one is an object without fields.
 *
 * @throws {RequestError} If it is of another type, damaged, too long, or does not come.
 */
export async function readJsonBody(
  request: Request,
  limits: BodyLimits,
): Promise<Record<string, unknown>> {
  const type = request.headers.get("content-type");
  if (type !== null && !/^application\/json\s*(;|$)/i.test(type)) {
    throw new RequestError(
      415,
      `The content type is ${describeValue(type)}, expected application/json`,
    );
  }
  const bytes = await readBody(request, limits);
  if (bytes.length === 0) return {};
  let values: unknown;
  try {
    values = await inTurns(parseJson(await inTurns(decodeUtf8(bytes))));
  } catch {
    throw new RequestError(400, "The body is not valid JSON");
  }
  if (typeof values !== "object" || values === null || Array.isArray(values)) {
    throw new RequestError(400, "The body is no JSON object");
  }
  return values as Record<string, unknown>;
}
