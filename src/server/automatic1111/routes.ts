/**
 * The paths of AUTOMATIC1111's web UI, for front ends that draw by it.
 *
 * @module
 */

import { readPngTexts } from "../../images/png_text.ts";
import { readJsonBody } from "../json_body.ts";
import { RequestError } from "../request_error.ts";
import type { Answer, Call, Desk, Routes } from "../routes.ts";
import { picturesAnswer, pngInfoAnswer, progressAnswer } from "./answers.ts";
import { ClientJobs } from "./client_jobs.ts";
import { fileField } from "./fields.ts";
import { listsOf } from "./lists.ts";
import {
  checkCheckpoint,
  readImageRequest,
  readTextRequest,
  type WebUIRequest,
} from "./request.ts";

/** Where the API is. */
export const WEB_UI_PATH = "/sdapi/v1/";

/** What clients ask to be done that is done already. */
const DONE = [
  "refresh-checkpoints",
  "refresh-vae",
  "refresh-loras",
  "refresh-embeddings",
  "reload-checkpoint",
  "unload-checkpoint",
];

/** The paths and their answers. */
export function webUIRoutes(desk: Desk): Routes {
  const { limits, model } = desk;
  const jobs = new ClientJobs();
  const bodyLimits = { ...limits, maxBodyBytes: limits.maxUploadBytes };
  const fieldsOf = (call: Call) => readJsonBody(call.req.raw, bodyLimits);
  const requestLimits = () => ({ request: limits, parameters: desk.parameterLimits() });
  const draw = async (call: Call, request: WebUIRequest) => {
    const entry = jobs.add(desk.submit(call, request.job), request);
    return Response.json(await picturesAnswer(entry, model));
  };
  const interrupt: Answer = (call) => {
    jobs.interrupt(call.get("client"));
    return Response.json({});
  };
  const lists = listsOf(model);
  const paths: Routes = {
    ...Object.fromEntries(
      Object.entries(lists).map(([name, list]) => {
        return [name, { GET: () => Response.json(list) }];
      }),
    ),
    ...Object.fromEntries(DONE.map((name) => [name, { POST: () => Response.json(null) }])),
    "txt2img": {
      POST: async (call) => {
        const fields = await fieldsOf(call);
        return await draw(call, readTextRequest(fields, model, requestLimits()));
      },
    },
    "img2img": {
      POST: async (call) => {
        // Pictures for which there is no place are not read.
        desk.queue.checkPlace(call.get("client"));
        const fields = await fieldsOf(call);
        return await draw(call, await readImageRequest(fields, model, requestLimits()));
      },
    },
    "progress": {
      GET: async (call) => {
        const withImage = call.req.query("skip_current_image") !== "true";
        const entry = jobs.current(call.get("client"));
        return Response.json(await progressAnswer(entry, desk.queue, { withImage }));
      },
    },
    "interrupt": { POST: interrupt },
    // The pictures of a request are one run: what is skipped is all of it.
    "skip": { POST: interrupt },
    "options": {
      GET: () => Response.json(lists["options"]),
      POST: async (call) => {
        checkCheckpoint(await fieldsOf(call), model);
        return Response.json(null);
      },
    },
    "png-info": {
      POST: async (call) => {
        const { image } = await fieldsOf(call);
        return Response.json(pngInfoAnswer(await textsOf(fileField("image", image))));
      },
    },
  };
  return {
    ...Object.fromEntries(
      Object.entries(paths).map(([name, answers]) => [WEB_UI_PATH + name, answers]),
    ),
    "/internal/ping": { GET: () => Response.json({}) },
  };
}

async function textsOf(file: Uint8Array): Promise<Map<string, string>> {
  try {
    return await readPngTexts(file);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw new RequestError(400, error.message, {}, "image");
  }
}
