/**
 * `Float16Array` for engines without it, such as Node 20 and 22. Put into bundles only.
 *
 * @module
 */

import { Float16Array as Float16ArrayLike } from "npm:@petamoriken/float16@3.9.3";

const native = globalThis as { Float16Array?: unknown };

/** The engine's own, or one that behaves like it. */
const Float16Array: unknown = native.Float16Array ?? Float16ArrayLike;

export { Float16Array };
