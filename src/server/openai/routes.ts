/**
 * The paths of OpenAI's image API.
 *
 * @module
 */

import { readFormBody } from "../form_body.ts";
import { readJsonBody } from "../json_body.ts";
import type { Call, Desk, Routes } from "../routes.ts";
import { imageEvents, imagesAnswer, modelEntry, rateLimitHeaders } from "./answers.ts";
import { readEditRequest, readVariationRequest } from "./edit_request.ts";
import { checkModel, type OpenAIRequest, readOpenAIRequest } from "./request.ts";

/** Where the API is. */
export const OPENAI_PATH = "/v1/";

/** The paths and their answers. */
export function openAIRoutes(desk: Desk): Routes {
  const { model } = desk;
  const limits = () => ({ request: desk.limits, parameters: desk.parameterLimits() });
  const uploads = { ...desk.limits, maxBodyBytes: desk.limits.maxUploadBytes };
  const upload = async (call: Call, read: typeof readEditRequest) => {
    const request = await desk.upload(call, {
      body: () => readFormBody(call.req.raw, uploads),
      fit: (form) => read(form, model, limits()),
    });
    return await draw(desk, call, request);
  };
  const created = Math.floor(Date.now() / 1000);
  return {
    "/v1/models": {
      GET: () => Response.json({ object: "list", data: [modelEntry(model, created)] }),
    },
    "/v1/models/:id{.+}": {
      GET: (call) => {
        checkModel(call.req.param("id"), model);
        return Response.json(modelEntry(model, created));
      },
    },
    "/v1/images/generations": {
      POST: async (call) => {
        const body = await readJsonBody(call.req.raw, desk.limits);
        return await draw(desk, call, readOpenAIRequest(body, model, limits()));
      },
    },
    "/v1/images/edits": { POST: (call) => upload(call, readEditRequest) },
    "/v1/images/variations": { POST: (call) => upload(call, readVariationRequest) },
  };
}

async function draw(desk: Desk, call: Call, request: OpenAIRequest): Promise<Response> {
  const job = desk.submit(call, request.job);
  const headers = rateLimitHeaders(desk.queue, call.get("client"));
  if (!request.stream) return Response.json(await imagesAnswer(job, request), { headers });
  const describe = (error: unknown) => desk.describe(call, error);
  return desk.stream(job, imageEvents(job, request, describe), headers);
}
