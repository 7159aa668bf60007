/**
 * The paths of AUTOMATIC1111's web UI, for front ends that draw by it.
 *
 * @module
 */

import { readPngTexts } from "../../images/png_text.ts";
import { readJsonBody } from "../json_body.ts";
import { RequestError } from "../request_error.ts";
import type { RequestValues } from "../request_parameters.ts";
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
  const jobs = new ClientJobs();
  const paths = {
    ...listRoutes(desk),
    ...drawingRoutes(desk, jobs),
    ...watchingRoutes(desk, jobs),
  };
  const routes = Object.entries(paths).map(([name, answers]) => [WEB_UI_PATH + name, answers]);
  return { ...Object.fromEntries(routes), "/internal/ping": { GET: () => Response.json({}) } };
}

/** What there is, and settings, of which there are none to change. */
function listRoutes(desk: Desk): Routes {
  const lists = Object.entries(listsOf(desk.model)).map(([name, list]) => {
    return [name, { GET: () => Response.json(list) }] as const;
  });
  const done = DONE.map((name) => [name, { POST: () => Response.json(null) }] as const);
  const { options, ...others }: Routes = Object.fromEntries(lists);
  return {
    ...others,
    ...Object.fromEntries(done),
    "options": {
      ...options,
      POST: async (call) => {
        checkCheckpoint(await fieldsOf(desk, call), desk.model);
        return Response.json(null);
      },
    },
    "png-info": {
      POST: async (call) => {
        const { image } = await fieldsOf(desk, call);
        return Response.json(pngInfoAnswer(await textsOf(fileField("image", image))));
      },
    },
  };
}

function drawingRoutes(desk: Desk, jobs: ClientJobs): Routes {
  const { limits: request, model } = desk;
  const limits = () => ({ request, parameters: desk.parameterLimits() });
  const draw = async (call: Call, request: WebUIRequest) => {
    const entry = jobs.add(desk.submit(call, request.job), request);
    return Response.json(await picturesAnswer(entry, model));
  };
  return {
    "txt2img": {
      POST: async (call) => {
        const fields = await fieldsOf(desk, call);
        return await draw(call, readTextRequest(fields, model, limits()));
      },
    },
    "img2img": {
      POST: async (call) => {
        const request = await desk.upload(call, {
          body: () => fieldsOf(desk, call),
          fit: (fields) => readImageRequest(fields, model, limits()),
        });
        return await draw(call, request);
      },
    },
  };
}

function watchingRoutes(desk: Desk, jobs: ClientJobs): Routes {
  const interrupt: Answer = (call) => {
    jobs.interrupt(call.get("client"));
    return Response.json({});
  };
  return {
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
  };
}

/** The fields of a body, which may hold pictures. */
async function fieldsOf({ limits }: Desk, call: Call): Promise<RequestValues> {
  const { maxIdleSeconds, maxUploadBytes } = limits;
  return await readJsonBody(call.req.raw, { maxIdleSeconds, maxBodyBytes: maxUploadBytes });
}

async function textsOf(file: Uint8Array): Promise<Map<string, string>> {
  try {
    return await readPngTexts(file);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw new RequestError(400, error.message, {}, "image");
  }
}
