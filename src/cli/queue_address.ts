/**
 * The address of a queue, as an option.
 *
 * @module
 */

import { wrongValue } from "./arguments.ts";

/**
 * Checks the address of a queue that an option was given.
 *
 * @throws {UsageError} If it is none. It is not quoted whole: it may hold a password.
 */
export function queueOption(text: string | undefined): string | undefined {
  if (text === undefined || /^(nats|tls):\/\/[^/]/.test(text)) return text;
  throw wrongValue("queue", "nats://host:port or tls://host:port", text.replace(/.*@/, "…@"));
}
