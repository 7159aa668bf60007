/**
 * What lies on the NATS server: a stream of jobs, and buckets of their states and pictures.
 *
 * @module
 */

import {
  AckPolicy,
  DiscardPolicy,
  JetStreamApiError,
  type JetStreamManager,
  jetstreamManager,
  RetentionPolicy,
  StorageType,
} from "npm:@nats-io/jetstream@3.4.0";
import { type KV, Kvm } from "npm:@nats-io/kv@3.4.0";
import type { NatsConnection } from "npm:@nats-io/nats-core@3.4.0";
import { type ObjectStore, Objm } from "npm:@nats-io/obj@3.4.0";

/** Stream of jobs, of all models. */
export const STREAM = "VQ_DIFFUSION_JOBS";

/** Bucket of the states of jobs. */
export const STATES = "vq-diffusion-states";

/** Bucket of the pictures of jobs. */
export const PICTURES = "vq-diffusion-pictures";

/** Stream that the bucket of pictures is. */
export const OBJECTS = `OBJ_${PICTURES}`;

/** Beginning of all subjects. */
export const PREFIX = "vq-diffusion";

/** Seconds of {@linkcode ExchangeOptions.ackSeconds}. */
export const ACK_SECONDS = 20;

/** A stream that is there with other settings, in the API of JetStream. */
const STREAM_IN_USE = 10058;

/** Seconds after which a job is dropped that no worker has taken: a day. */
const MOST_SECONDS = 86400;

/** Nanoseconds of a second. */
const NANOS = 1e9;

/** Options of the queue. */
export interface ExchangeOptions {
  /** Identity of the model: 64 hexadecimal digits. */
  readonly model: string;
  /** Side of its pictures. */
  readonly side: number;
  /**
   * Seconds without a sign of a worker after which its job is given to another. Default: as workers have
   * said, or 20.
   */
  readonly ackSeconds?: number | undefined;
  /** Seconds for which pictures and states are kept, if there are no buckets yet. Default 3600. */
  readonly keepSeconds?: number | undefined;
}

/** What is open. */
export interface Stores {
  readonly jsm: JetStreamManager;
  readonly states: KV;
  readonly pictures: ObjectStore;
}

/** Name of what hands out the jobs of a model. */
export function consumerOf(model: string): string {
  return `model-${model}`;
}

/**
 * Opens what lies on the server, and makes what is missing.
 *
 * @throws {Error} If the server has no JetStream, or refuses.
 */
export async function openStores(
  connection: NatsConnection,
  { model, ackSeconds, keepSeconds = 3600 }: ExchangeOptions,
): Promise<Stores> {
  const jsm = await jetstreamManager(connection);
  await unlessThere(jsm.streams.add({
    name: STREAM,
    subjects: [`${PREFIX}.jobs.*.*`],
    retention: RetentionPolicy.Workqueue,
    storage: StorageType.File,
    max_age: MOST_SECONDS * NANOS,
    // A job that is there is not added again, however late.
    discard: DiscardPolicy.New,
    discard_new_per_subject: true,
    max_msgs_per_subject: 1,
  }));
  if (ackSeconds !== undefined || !await hasConsumer(jsm, model)) {
    await jsm.consumers.add(STREAM, {
      durable_name: consumerOf(model),
      filter_subject: `${PREFIX}.jobs.${model}.*`,
      ack_policy: AckPolicy.Explicit,
      ack_wait: (ackSeconds ?? ACK_SECONDS) * NANOS,
      max_ack_pending: -1,
    });
  }
  const kvm = new Kvm(connection);
  const objm = new Objm(connection);
  await unlessThere(
    kvm.create(STATES, { history: 1, ttl: keepSeconds * 1000, storage: StorageType.File }),
  );
  await unlessThere(
    objm.create(PICTURES, { ttl: keepSeconds * NANOS, storage: StorageType.File }),
  );
  return { jsm, states: await kvm.open(STATES), pictures: await objm.open(PICTURES) };
}

async function hasConsumer(jsm: JetStreamManager, model: string): Promise<boolean> {
  try {
    await jsm.consumers.info(STREAM, consumerOf(model));
    return true;
  } catch (error) {
    if (error instanceof JetStreamApiError && error.status === 404) return false;
    throw error;
  }
}

/** Passes over that something is there already, with other settings: whose they are may keep them. */
async function unlessThere(making: Promise<unknown>): Promise<void> {
  try {
    await making;
  } catch (error) {
    if (!(error instanceof JetStreamApiError) || error.code !== STREAM_IN_USE) throw error;
  }
}
