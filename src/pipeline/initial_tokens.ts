/**
 * The tokens that a generation starts from: masked ones, given ones, or those of a picture.
 *
 * @module
 */

import type { ComponentUser } from "./components.ts";
import type { InitialTokens, InitialTokensRequest } from "./starting_point.ts";

/** Makes the tokens that a generation starts from. */
export async function initialTokens(
  session: ComponentUser,
  request: InitialTokensRequest,
): Promise<InitialTokens> {
  const { latents, picture, batch, pixels, scheduler } = request;
  if (picture !== undefined) {
    const { pictureTokens } = await import("./from_picture.ts");
    return await pictureTokens(session, { ...request, picture });
  }
  const tokens = latents ?? new Int32Array(batch * pixels).fill(scheduler.maskClass);
  return { tokens, held: undefined };
}
