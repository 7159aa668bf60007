/**
 * Ids of models on the Hugging Face hub. Apart from the rest, which is loaded when it is needed.
 *
 * @module
 */

/** Whether a string can be the id of a model on the hub: `owner/name`. */
export function isHubId(source: string): boolean {
  return /^[A-Za-z0-9][\w.-]{0,95}\/[A-Za-z0-9][\w.-]{0,95}$/.test(source) &&
    !/\.\.|--|[.-](\/|$)/.test(source);
}
