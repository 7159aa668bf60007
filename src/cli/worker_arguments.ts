/**
 * Arguments of `worker`, and its help, which are one table.
 *
 * @module
 */

import { WEIGHT_DTYPES } from "../base/dtypes.ts";
import { choiceOption, integerOption, UsageError, wrongValue } from "./arguments.ts";
import type { ModelArguments, QueueArguments } from "./queue.ts";
import { queueOption } from "./queue_address.ts";
import {
  DEVICE_OPTIONS,
  type Option,
  optionHelp,
  QUEUE_OPTIONS,
  readOptions,
  tableInteger,
} from "./option_table.ts";

/** All options in the order of the help. */
const OPTIONS = {
  queue: {
    heading: "Queue",
    value: "url",
    help: "NATS server of the queue: nats://host:port, or tls:// (needed)",
  },
  ...QUEUE_OPTIONS,
  "ack-wait": {
    value: "n",
    help: "Seconds without a sign of a worker after which others draw its job",
    default: 20,
    min: 2,
    max: 3600,
  },
  model: {
    heading: "Model",
    value: "source",
    help: "The one that is served: folder, URL or hub id (default: the embedded model)",
  },
  revision: { value: "name", help: "Branch, tag or commit of a model on the hub (default: main)" },
  dtype: { value: "type", help: "As it is served: fp32, fp16 or q8 (default: as stored)" },
  ...DEVICE_OPTIONS,
  "max-steps": { heading: "Limits", value: "n", help: "Denoising steps of a job", default: 100 },
  "max-images": { value: "n", help: "Pictures of a job", default: 4 },
  "max-prompt": { value: "n", help: "Characters of a prompt", default: 500 },
  quiet: { heading: "Other", short: "q", help: "Log failed jobs only" },
  help: { short: "h", help: "Say this" },
} as const satisfies Readonly<Record<string, Option>>;

const ENTRIES: readonly (readonly [string, Option])[] = Object.entries(OPTIONS);

/** What `worker` is to do. */
export interface WorkerArguments extends ModelArguments, QueueArguments {
  readonly keepSeconds: number;
  readonly ackSeconds: number;
  readonly maxSteps: number;
  readonly maxImages: number;
  readonly maxPromptLength: number;
  readonly quiet: boolean;
}

/** Values of options as they were written. */
type Texts = Readonly<Partial<Record<keyof typeof OPTIONS, string>>>;

/**
 * Reads the arguments of `worker`.
 *
 * @returns What to do, or undefined if help was asked for.
 * @throws {UsageError} If an argument is wrong.
 */
export function readWorkerArguments(args: readonly string[]): WorkerArguments | undefined {
  const values = readOptions(args, ENTRIES);
  if (values["help"] === true) return undefined;
  const texts = values as Texts;
  if (texts.model === "") throw wrongValue("model", "<source>", "");
  if (texts.revision !== undefined && texts.model === undefined) {
    throw new UsageError("--revision is given without --model, expected a model on the hub");
  }
  const queue = queueOption(texts.queue);
  if (queue === undefined) throw new UsageError("--queue is missing, expected the queue's address");
  return {
    queue,
    credentialsFile: texts["queue-credentials"],
    certificatesFile: texts["queue-ca"],
    keepSeconds: integer(texts, "queue-keep"),
    ackSeconds: integer(texts, "ack-wait"),
    model: texts.model,
    revision: texts.revision,
    dtype: choiceOption("dtype", texts.dtype, WEIGHT_DTYPES),
    device: choiceOption("device", texts.device, ["auto", "wasm", "webgpu"]) ?? "auto",
    threads: integerOption("threads", texts.threads, { max: OPTIONS.threads.max }),
    maxSteps: integer(texts, "max-steps"),
    maxImages: integer(texts, "max-images"),
    maxPromptLength: integer(texts, "max-prompt"),
    quiet: values["quiet"] === true,
  };
}

function integer(
  texts: Texts,
  name: "queue-keep" | "ack-wait" | "max-steps" | "max-images" | "max-prompt",
): number {
  return tableInteger(name, OPTIONS[name], texts[name]);
}

/** What `worker --help` says. */
export const WORKER_HELP: string =
  `Draws for services on other machines: jobs come from a queue on a NATS server, pictures go there

Usage:
  deno task worker --queue <url> [options]
${optionHelp(ENTRIES)}

Services are started by deno task serve --queue <url>, with the same model, dtype and version: the jobs
of others are left alone. Log lines are JSON, on the standard error output. Ctrl-C or SIGTERM lets the
worker finish its job and leave; a second one gives the job back, and others draw it.

Examples:
  deno task worker --queue nats://queue:4222
  deno task worker --queue tls://user:password@queue:4222 --threads 4
  deno task worker --queue nats://queue:4222 --model microsoft/vq-diffusion-ithq --dtype q8

docs/many_machines.md tells more.
`;
