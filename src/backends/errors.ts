/**
 * What a caller of the WebGPU backend may want to catch.
 *
 * @module
 */

/**
 * The GPU was lost: unplugged, reset by its driver, or destroyed by its owner. Everything in its
 * memory is gone; who keeps the state elsewhere can go on with another backend.
 */
export class DeviceLostError extends Error {
  /** Name of the class. */
  override readonly name = "DeviceLostError";
}
