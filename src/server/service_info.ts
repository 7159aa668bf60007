/**
 * What `/info` tells about a service.
 *
 * @module
 */

import type { WeightDType } from "../base/dtypes.ts";
import { VERSION } from "../base/version.ts";
import {
  checkParameters,
  GENERATION_PARAMETERS,
  PARAMETER_NAMES,
  type ParameterLimits,
  rangeOf,
} from "../pipeline/generation_parameters.ts";
import type { VQDiffusionPipeline } from "../pipeline/vq_diffusion_pipeline.ts";
import type { RequestLimits } from "./request_parameters.ts";
import type { ServedModel } from "./routes.ts";

/**
 * The model and its device, the parameters of requests with their ranges and defaults, and the names of
 * what the model can draw, if it knows them.
 *
 * @param browser How the page holds weights that draws by itself; undefined if it cannot.
 */
export async function serviceInfo(
  pipe: VQDiffusionPipeline,
  { id, side }: ServedModel,
  limits: ParameterLimits,
  { maxPromptLength }: RequestLimits,
  browser: { readonly dtype?: WeightDType | undefined } | undefined,
): Promise<Record<string, unknown>> {
  const defaults = checkParameters({}, limits);
  const parameters = PARAMETER_NAMES.map((name) => {
    const { shortName, type, help } = GENERATION_PARAMETERS[name];
    const { min, max } = rangeOf(name, limits);
    const finite = (bound: number | undefined) => Number.isFinite(bound) ? bound : undefined;
    return {
      name: shortName,
      option: name,
      type,
      help,
      min: finite(min),
      max: finite(max),
      default: name === "styles" ? limits.defaults?.styles : defaults[name],
    };
  });
  const names = await pipe.knownNames();
  return {
    version: VERSION,
    model: id,
    device: pipe.device,
    browser: browser && { dtype: browser.dtype },
    width: side,
    height: side,
    maxPromptLength,
    parameters,
    names: names?.names ?? [],
    styles: names?.styles ?? [],
    grounds: names?.grounds ?? [],
  };
}
