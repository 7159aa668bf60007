/**
 * What servers and workers share on a NATS server: a stream of jobs, states of jobs, and pictures.
 *
 * @module
 */

import {
  AckPolicy,
  DiscardPolicy,
  jetstream,
  JetStreamApiError,
  type JetStreamClient,
  type JetStreamManager,
  jetstreamManager,
  type JsMsg,
  RetentionPolicy,
  StorageType,
} from "npm:@nats-io/jetstream@3.4.0";
import { type KV, Kvm } from "npm:@nats-io/kv@3.4.0";
import { errors, type NatsConnection, type Subscription } from "npm:@nats-io/nats-core@3.4.0";
import { type ObjectStore, Objm } from "npm:@nats-io/obj@3.4.0";
import type { RasterImage } from "../../images/raster_image.ts";
import {
  decodeImages,
  decodeState,
  encodeImages,
  encodeState,
  type PictureForm,
  type RemoteState,
} from "./job_state.ts";
import { pause, steadily } from "./steady.ts";

/** Stream of jobs, of all models. */
const STREAM = "VQ_DIFFUSION_JOBS";

/** Bucket of the states of jobs. */
const STATES = "vq-diffusion-states";

/** Bucket of the pictures of jobs. */
const PICTURES = "vq-diffusion-pictures";

/** Beginning of all subjects. */
const PREFIX = "vq-diffusion";

/** A message for which there is no room, in the API of JetStream. */
const NO_ROOM = 10077;

/** A stream that is there with other settings, in the API of JetStream. */
const STREAM_IN_USE = 10058;

/** Seconds of {@linkcode ExchangeOptions.ackSeconds}. */
const ACK_SECONDS = 20;

/** Bytes of a message that are not the content's. */
const ENVELOPE = 1024;

/** Milliseconds within which an object has to come. */
const OBJECT_MS = 20_000;

/** Milliseconds for which a worker waits for a job before it looks up. */
const PULL_MS = 2000;

/** Milliseconds for which the end of a connection waits for a server that does not answer. */
const FLUSH_MS = 2000;

/** Milliseconds within which others say that they wait for a job. */
const WANTED_MS = 1000;

/** Nanoseconds of a second. */
const NANOS = 1e9;

/** Options of {@linkcode Exchange}. */
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
  /** Seconds for which jobs wait, if there is no stream yet. Default: a day. */
  readonly waitSeconds?: number | undefined;
}

/** How many jobs of the model there are. */
export interface Figures {
  /** Jobs that wait. */
  readonly waiting: number;
  /** Jobs that workers have. */
  readonly running: number;
  /** Workers that wait for a job. */
  readonly idle: number;
  /** Number of the newest message that was given to a worker. */
  readonly delivered: number;
}

/** The queue on a NATS server, for jobs of one model. All calls are tried until the server answers. */
export class Exchange {
  /** Side of the model's pictures. */
  readonly side: number;
  /** Identity of the model. */
  readonly model: string;
  /** Seconds without a sign of a worker after which its job is given to another. */
  readonly ackSeconds: number;
  readonly #connection: NatsConnection;
  readonly #js: JetStreamClient;
  readonly #jsm: JetStreamManager;
  readonly #states: KV;
  readonly #pictures: ObjectStore;
  readonly #repair: () => Promise<void>;

  private constructor(
    connection: NatsConnection,
    stores: { jsm: JetStreamManager; states: KV; pictures: ObjectStore },
    { side, model, ackSeconds = ACK_SECONDS }: ExchangeOptions,
    repair: () => Promise<void>,
  ) {
    this.side = side;
    this.model = model;
    this.ackSeconds = ackSeconds;
    this.#connection = connection;
    this.#js = jetstream(connection);
    this.#jsm = stores.jsm;
    this.#states = stores.states;
    this.#pictures = stores.pictures;
    this.#repair = repair;
  }

  /**
   * Opens what lies on the server, and makes what is missing.
   *
   * @throws {Error} If the server has no JetStream, or refuses.
   */
  static async open(connection: NatsConnection, options: ExchangeOptions): Promise<Exchange> {
    const setUp = () => setUpStores(connection, options);
    let repairing: Promise<unknown> | undefined;
    const repair = async () => {
      // Once for all that have failed at a time.
      repairing ??= setUp().finally(() => repairing = undefined);
      await repairing;
    };
    return new Exchange(connection, await setUp(), options, repair);
  }

  /**
   * Adds a job. Undefined if it is there already.
   *
   * @returns Number of its message.
   * @throws {RangeError} If it is too big for the server.
   * @throws {NoRoomError} If the stream is full.
   */
  async add(id: string, bytes: Uint8Array, signal?: AbortSignal): Promise<number | undefined> {
    const most = this.#mostBytes;
    if (bytes.length > most) {
      throw new RangeError(
        `Cannot queue a job: it is ${bytes.length} bytes long, expected at most ${most} (max_payload of the server)`,
      );
    }
    return await this.#steadily(async () => {
      try {
        return (await this.#js.publish(this.#subjectOf(id), bytes)).seq;
      } catch (error) {
        if (!(error instanceof JetStreamApiError) || error.code !== NO_ROOM) throw error;
        if (/per subject/.test(error.message)) return undefined;
        throw new NoRoomError(error);
      }
    }, signal);
  }

  /** Number of the message of a job that waits or runs. */
  async sequenceOf(id: string, signal?: AbortSignal): Promise<number | undefined> {
    const query = { last_by_subj: this.#subjectOf(id) };
    const message = await this.#steadily(() => this.#jsm.streams.getMessage(STREAM, query), signal);
    return message?.seq;
  }

  /** Takes a job out of the queue, and stops the worker that has it, unless somebody else waits for it. */
  async giveUp(id: string): Promise<void> {
    try {
      await this.#connection.request(`${PREFIX}.wanted.${id}`, "", { timeout: WANTED_MS });
      return;
    } catch (error) {
      // The server knows of nobody, or they do not answer.
      if (!(error instanceof errors.RequestError) && !(error instanceof errors.TimeoutError)) {
        throw error;
      }
    }
    const message = await this.#jsm.streams.getMessage(STREAM, {
      last_by_subj: this.#subjectOf(id),
    });
    if (message !== null) await this.#jsm.streams.deleteMessage(STREAM, message.seq, false);
    this.#connection.publish(`${PREFIX}.cancel.${id}`);
  }

  /** Lets others know that somebody waits for a job. Disposing of it ends that. */
  want(id: string): Disposable {
    const callback = (_: unknown, message: { respond(): boolean }) => void message.respond();
    return disposable(this.#connection.subscribe(`${PREFIX}.wanted.${id}`, { callback }));
  }

  /** Calls back when nobody wants a job any more. Disposing of it ends that. */
  onGivenUp(id: string, callback: () => void): Disposable {
    return disposable(this.#connection.subscribe(`${PREFIX}.cancel.${id}`, { callback }));
  }

  /** Gives each new state of a job, as it was stored, until the subscription ends. */
  watch(id: string): Subscription {
    // A bucket is a stream; who is there when something is put into it needs no consumer.
    return this.#connection.subscribe(`$KV.${STATES}.${id}`);
  }

  /** The newest state of a job, which may be one of a former time. */
  async state(
    id: string,
    form: PictureForm,
    signal?: AbortSignal,
  ): Promise<RemoteState | undefined> {
    const entry = await this.#steadily(() => this.#states.get(id), signal);
    return entry?.operation === "PUT" ? await decodeState(entry.value, form) : undefined;
  }

  /** Stores a state, on a try or until it is stored. A preview that the server cannot take is left out. */
  async setState(id: string, state: RemoteState, once = false): Promise<void> {
    let bytes = await encodeState(state);
    if (state.status === "running" && bytes.length > this.#mostBytes) {
      bytes = await encodeState({ ...state, preview: undefined });
    }
    const put = () => this.#states.put(id, bytes);
    await (once ? put() : this.#steadily(put));
  }

  /** The pictures of a job, if they are stored and whole. */
  async pictures(
    id: string,
    form: PictureForm,
    signal?: AbortSignal,
  ): Promise<RasterImage[] | undefined> {
    const most = ENVELOPE + form.count * (ENVELOPE + 5 * form.side ** 2);
    const bytes = await this.#steadily(() => this.#object(id, most), signal);
    if (bytes === undefined) return undefined;
    try {
      return await decodeImages(bytes, form);
    } catch (error) {
      if (error instanceof SyntaxError || error instanceof RangeError) return undefined;
      throw error;
    }
  }

  /** Stores the pictures of a job. */
  async setPictures(id: string, images: readonly RasterImage[]): Promise<void> {
    const bytes = await encodeImages(images);
    await this.#steadily(() => this.#pictures.putBlob({ name: id }, bytes));
  }

  /** How many jobs there are. */
  async figures(signal?: AbortSignal): Promise<Figures> {
    const info = await this.#steadily(
      () => this.#jsm.consumers.info(STREAM, consumerOf(this.model)),
      signal,
    );
    const { num_pending: waiting, num_ack_pending: running, num_waiting: idle, delivered } = info;
    return { waiting, running, idle, delivered: delivered.stream_seq };
  }

  /** Takes a job; undefined if none came for a while. */
  async take(signal: AbortSignal): Promise<JsMsg | undefined> {
    const message = await this.#steadily(async () => {
      const consumer = await this.#js.consumers.get(STREAM, consumerOf(this.model));
      return await consumer.next({ expires: PULL_MS });
    }, signal);
    return message ?? undefined;
  }

  /** The id of the job of a message. */
  idOf({ subject }: JsMsg): string {
    return subject.slice(subject.lastIndexOf(".") + 1);
  }

  /** Waits until all that was sent has come to the server, but not for long. */
  async flush(): Promise<void> {
    const sent = new AbortController();
    this.#connection.flush().then(() => sent.abort(), () => sent.abort());
    await pause(FLUSH_MS, sent.signal);
  }

  get #mostBytes(): number {
    return (this.#connection.info?.max_payload ?? 2 ** 20) - ENVELOPE;
  }

  #subjectOf(id: string): string {
    return `${PREFIX}.jobs.${this.model}.${id}`;
  }

  async #steadily<T>(task: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    return await steadily(task, { signal, repair: this.#repair });
  }

  /** The bytes of an object; undefined if there is none, or it is too long or damaged. */
  async #object(id: string, most: number): Promise<Uint8Array | undefined> {
    const found = await this.#pictures.get(id);
    if (found === null) return undefined;
    const parts: Uint8Array[] = [];
    let length = 0;
    const reader = found.data.getReader();
    // A part that is lost would be waited for.
    const timer = setTimeout(() => reader.cancel(), OBJECT_MS);
    try {
      for (let part = await reader.read(); !part.done; part = await reader.read()) {
        length += part.value.length;
        if (length > most) break;
        parts.push(part.value.slice());
      }
    } catch (error) {
      if (error instanceof Error && /corrupt/.test(error.message)) return undefined;
      throw error;
    } finally {
      clearTimeout(timer);
      await reader.cancel().catch(() => {});
    }
    if (length !== found.info.size || length > most) return undefined;
    return new Uint8Array(await new Blob(parts as Uint8Array<ArrayBuffer>[]).arrayBuffer());
  }
}

/** The stream of jobs has no room: a limit that was set on the server. */
export class NoRoomError extends Error {
  /** Name of the class. */
  override readonly name = "NoRoomError";

  /** Makes the error. */
  constructor(cause: Error) {
    super(`The stream of jobs is full: ${cause.message}`, { cause });
  }
}

/** Name of what hands out the jobs of a model. */
function consumerOf(model: string): string {
  return `model-${model}`;
}

async function setUpStores(
  connection: NatsConnection,
  { model, ackSeconds, keepSeconds = 3600, waitSeconds = 86400 }: ExchangeOptions,
): Promise<{ jsm: JetStreamManager; states: KV; pictures: ObjectStore }> {
  const jsm = await jetstreamManager(connection);
  await unlessThere(jsm.streams.add({
    name: STREAM,
    subjects: [`${PREFIX}.jobs.*.*`],
    retention: RetentionPolicy.Workqueue,
    storage: StorageType.File,
    max_age: waitSeconds * NANOS,
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

function disposable(subscription: Subscription): Disposable {
  return { [Symbol.dispose]: () => subscription.unsubscribe() };
}
