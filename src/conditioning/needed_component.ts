/**
 * Components that a pipeline may be without.
 *
 * @module
 */

/**
 * Asks for a component that a generation needs.
 *
 * @param name Name of the component, such as `vqvae`.
 * @param reason What needs it, such as `outputType "image"`.
 * @throws {TypeError} If the pipeline was made without it.
 */
export function needComponent<T>(component: T | undefined, name: string, reason: string): T {
  if (component !== undefined) return component;
  throw new TypeError(
    `Cannot generate: the pipeline has no ${name}, which ${reason} needs, ` +
      "expected it among the components",
  );
}
