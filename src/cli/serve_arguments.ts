/**
 * Arguments of `serve`, and its help, which are one table.
 *
 * @module
 */

import { WEIGHT_DTYPES, type WeightDType } from "../base/dtypes.ts";
import { MAX_PIXELS } from "../images/pixels.ts";
import type { DeviceType } from "../backends/backend.ts";
import { choiceOption, integerOption, UsageError, wrongValue } from "./arguments.ts";
import {
  DEVICE_OPTIONS,
  type Option,
  optionHelp,
  QUEUE_OPTIONS,
  readOptions,
  tableInteger,
} from "./option_table.ts";
import { queueOption } from "./queue_address.ts";

/** All options in the order of the help. */
const OPTIONS = {
  host: {
    heading: "Server",
    value: "address",
    help: "Address to listen at, 0.0.0.0 for all (default: 127.0.0.1)",
  },
  port: { value: "n", help: "Port; 0 takes a free one", default: 8000, min: 0, max: 65535 },
  tokens: {
    value: "file",
    help: "File of tokens, one on each line, one of which requests have to bring",
  },
  "allow-origin": { value: "origin", help: "Let pages of another origin in, or of all (*)" },
  queue: {
    heading: "Many machines",
    value: "url",
    help: "NATS server, nats:// or tls://, from which workers take jobs",
  },
  ...QUEUE_OPTIONS,
  model: {
    heading: "Model",
    value: "source",
    help: 'Folder, checkpoint, URL or hub id "owner/name" (default: the embedded model)',
  },
  revision: { value: "name", help: "Branch, tag or commit of a model on the hub (default: main)" },
  dtype: { value: "type", help: "Hold weights as fp32, fp16 or q8 (default: as stored)" },
  ...DEVICE_OPTIONS,
  "max-steps": {
    heading: "Limits",
    value: "n",
    help: "Denoising steps of a request",
    default: 100,
  },
  "max-images": { value: "n", help: "Pictures of a request", default: 4 },
  "max-prompt": { value: "n", help: "Characters of a prompt", default: 500 },
  "max-body": { value: "n", help: "Bytes of a request's body without pictures", default: 65536 },
  "max-upload": {
    value: "n",
    help: "Bytes of a request's body with pictures",
    default: 10_000_000,
  },
  "max-pixels": {
    value: "n",
    help: "Pixels of a picture in a request",
    default: 2 ** 24,
    max: MAX_PIXELS,
  },
  "max-idle": {
    value: "n",
    help: "Seconds that a body may not come, or an answer not be read",
    default: 30,
    max: 86400,
  },
  "max-queue": { value: "n", help: "Requests that may wait", default: 32, min: 0 },
  "max-queue-per-client": {
    value: "n",
    help: "Of these, requests of one client",
    default: 16,
    min: 0,
  },
  quiet: { heading: "Other", short: "q", help: "Log errors only" },
  help: { short: "h", help: "Say this" },
} as const satisfies Readonly<Record<string, Option>>;

/** Options that have a value. */
type OptionName = Exclude<keyof typeof OPTIONS, "quiet" | "help">;

/** Values of options as they were written. */
type Texts = Readonly<Partial<Record<OptionName, string>>>;

const ENTRIES: readonly (readonly [string, Option])[] = Object.entries(OPTIONS);

/** What `serve` is to do. */
export interface ServeArguments {
  readonly host: string;
  readonly port: number;
  readonly tokensFile: string | undefined;
  readonly allowOrigin: string | undefined;
  readonly queue: string | undefined;
  readonly credentialsFile: string | undefined;
  readonly certificatesFile: string | undefined;
  readonly keepSeconds: number;
  readonly model: string | undefined;
  readonly revision: string | undefined;
  readonly dtype: WeightDType | undefined;
  readonly device: DeviceType | "auto";
  readonly threads: number | undefined;
  readonly maxSteps: number;
  readonly maxImages: number;
  readonly maxPromptLength: number;
  readonly maxBodyBytes: number;
  readonly maxUploadBytes: number;
  readonly maxPixels: number;
  readonly maxIdleSeconds: number;
  readonly capacity: number;
  readonly capacityPerClient: number;
  readonly quiet: boolean;
}

/**
 * Reads the arguments of `serve`.
 *
 * @returns What to do, or undefined if help was asked for.
 * @throws {UsageError} If an argument is wrong.
 */
export function readServeArguments(args: readonly string[]): ServeArguments | undefined {
  const values = readOptions(args, ENTRIES);
  if (values["help"] === true) return undefined;
  const texts = values as Texts;
  for (const name of ["host", "model", "tokens", "allow-origin"] as const) {
    if (texts[name] === "") throw wrongValue(name, `<${OPTIONS[name].value}>`, "");
  }
  if (texts.revision !== undefined && texts.model === undefined) {
    throw new UsageError("--revision is given without --model, expected a model on the hub");
  }
  checkQueue(texts);
  return {
    host: texts.host ?? "127.0.0.1",
    port: integer(texts, "port"),
    tokensFile: texts.tokens,
    allowOrigin: texts["allow-origin"],
    queue: queueOption(texts.queue),
    credentialsFile: texts["queue-credentials"],
    certificatesFile: texts["queue-ca"],
    keepSeconds: integer(texts, "queue-keep"),
    model: texts.model,
    revision: texts.revision,
    dtype: choiceOption("dtype", texts.dtype, WEIGHT_DTYPES),
    device: choiceOption("device", texts.device, ["auto", "wasm", "webgpu"]) ?? "auto",
    threads: integerOption("threads", texts.threads, { max: OPTIONS.threads.max }),
    maxSteps: integer(texts, "max-steps"),
    maxImages: integer(texts, "max-images"),
    maxPromptLength: integer(texts, "max-prompt"),
    maxBodyBytes: integer(texts, "max-body"),
    maxUploadBytes: integer(texts, "max-upload"),
    maxPixels: integer(texts, "max-pixels"),
    maxIdleSeconds: integer(texts, "max-idle"),
    capacity: integer(texts, "max-queue"),
    capacityPerClient: integer(texts, "max-queue-per-client"),
    quiet: values["quiet"] === true,
  };
}

/** Options that make sense beside a queue, or without one. */
function checkQueue(texts: Texts): void {
  for (const name of ["queue-credentials", "queue-ca", "queue-keep"] as const) {
    if (texts[name] === undefined || texts.queue !== undefined) continue;
    throw new UsageError(`--${name} is given without --queue, expected the queue's address`);
  }
  for (const name of ["device", "threads"] as const) {
    if (texts[name] === undefined || texts.queue === undefined) continue;
    throw new UsageError(`--${name} is given beside --queue, expected of the workers, which draw`);
  }
}

/** Names of options that have a default, which is a whole number. */
type IntegerName = {
  [N in OptionName]: (typeof OPTIONS)[N] extends { readonly default: number } ? N : never;
}[OptionName];

function integer(
  texts: Texts,
  name: IntegerName,
): number {
  return tableInteger(name, OPTIONS[name], texts[name]);
}

/** What `serve --help` says. */
export const SERVE_HELP: string =
  `Serves pictures of prompts: a page at /, OpenAI's image API below /v1, AUTOMATIC1111's below /sdapi/v1

Usage:
  deno task serve [options]
${optionHelp(ENTRIES)}

Paths: / (the page), /v1/images/generations, /v1/images/edits, /v1/images/variations, /v1/models,
/sdapi/v1/txt2img, /sdapi/v1/img2img, /sdapi/v1/progress and what else front ends of the web UI ask for,
/generate, /info, /healthz, /metrics.
Log lines are JSON, on the standard error output. Ctrl-C or SIGTERM stops the server: pictures that are
being drawn are finished, those that wait are given back; a second one ends it at once.

Examples:
  deno task serve
  deno task serve --host 0.0.0.0 --port 80 --tokens tokens.txt --max-steps 50
  deno task serve --model microsoft/vq-diffusion-ithq --dtype q8
  deno task serve --queue nats://queue:4222

docs/service.md tells more, and docs/many_machines.md of workers.
`;
