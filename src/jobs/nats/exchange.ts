/**
 * What servers and workers share on a NATS server: a stream of jobs, states of jobs, and pictures.
 *
 * @module
 */

import {
  jetstream,
  JetStreamApiError,
  type JetStreamClient,
  type JetStreamManager,
  type JsMsg,
} from "npm:@nats-io/jetstream@3.4.0";
import type { KV } from "npm:@nats-io/kv@3.4.0";
import { errors, type NatsConnection, type Subscription } from "npm:@nats-io/nats-core@3.4.0";
import type { ObjectStore } from "npm:@nats-io/obj@3.4.0";
import type { RasterImage } from "../../images/raster_image.ts";
import {
  decodeImages,
  decodeState,
  encodeImages,
  encodeState,
  isDamage,
  type PictureForm,
  type RemoteState,
} from "./job_state.ts";
import { pause, steadily } from "./steady.ts";
import {
  ACK_SECONDS,
  consumerOf,
  type ExchangeOptions,
  OBJECTS,
  openStores,
  PICTURES,
  PREFIX,
  STATES,
  type Stores,
  STREAM,
} from "./stores.ts";

/** A message for which there is no room, in the API of JetStream. */
const NO_ROOM = 10077;

/** A message that is to be deleted and is not there, in the API of JetStream. */
const NO_MESSAGE = 10057;

/** Bytes of a message that are not the content's. */
const ENVELOPE = 1024;

/** Milliseconds for which a worker waits for a job before it looks up. */
const PULL_MS = 2000;

/** Milliseconds for which the end of a connection waits for a server that does not answer. */
const FLUSH_MS = 2000;

/** Milliseconds within which others say that they wait for a job. */
const WANTED_MS = 1000;

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
  /** Seconds without a sign of a worker after which its job is given to another. */
  readonly ackSeconds: number;
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
    stores: Stores,
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
    const setUp = () => openStores(connection, options);
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
        if (!isNoRoom(error)) throw error;
        if (/per subject/.test(error.message)) return undefined;
        throw new NoRoomError("stream of jobs", error);
      }
    }, signal);
  }

  /** Number of the message of a job that waits or runs. */
  async sequenceOf(id: string, signal?: AbortSignal): Promise<number | undefined> {
    const query = { last_by_subj: this.#subjectOf(id) };
    const message = await this.#steadily(() => this.#jsm.streams.getMessage(STREAM, query), signal);
    return message?.seq;
  }

  /** Removes the message of a job, if it is still there. */
  async remove(sequence: number, signal?: AbortSignal): Promise<void> {
    await this.#steadily(async () => {
      try {
        await this.#jsm.streams.deleteMessage(STREAM, sequence, false);
      } catch (error) {
        if (!(error instanceof JetStreamApiError) || error.code !== NO_MESSAGE) throw error;
      }
    }, signal);
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
    if (message !== null) await this.remove(message.seq, AbortSignal.timeout(WANTED_MS));
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

  /**
   * Stores a state, on a try or until it is stored. A preview that the server cannot take is left out.
   *
   * @throws {NoRoomError} If the store is full.
   */
  async setState(
    id: string,
    state: RemoteState,
    { once = false, signal }: {
      readonly once?: boolean;
      readonly signal?: AbortSignal | undefined;
    } = {},
  ): Promise<void> {
    let bytes = await encodeState(state);
    if (state.status === "running" && bytes.length > this.#mostBytes) {
      bytes = await encodeState({ ...state, preview: undefined });
    }
    const put = () => orNoRoom("store of states", this.#states.put(id, bytes));
    await (once ? put() : this.#steadily(put, signal));
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
      if (isDamage(error)) return undefined;
      throw error;
    }
  }

  /**
   * Stores the pictures of a job.
   *
   * @throws {NoRoomError} If the store is full.
   */
  async setPictures(
    id: string,
    images: readonly RasterImage[],
    signal?: AbortSignal,
  ): Promise<void> {
    const bytes = await encodeImages(images);
    const put = () => orNoRoom("store of pictures", this.#pictures.putBlob({ name: id }, bytes));
    await this.#steadily(put, signal);
  }

  /** How many jobs there are. */
  async figures(signal?: AbortSignal): Promise<Figures> {
    const info = await this.#steadily(
      () => this.#jsm.consumers.info(STREAM, consumerOf(this.model)),
      signal,
    );
    const { num_pending: waiting, num_ack_pending: running, num_waiting: idle, delivered } = info;
    const ackSeconds = (info.config.ack_wait ?? 0) / 1e9;
    return { waiting, running, idle, delivered: delivered.stream_seq, ackSeconds };
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

  /**
   * The bytes of an object; undefined if there is none, or it is too long or damaged. Its parts are asked for
   * one by one: the client's own way takes a consumer, which stays on the server for minutes.
   */
  async #object(id: string, most: number): Promise<Uint8Array | undefined> {
    const info = await this.#pictures.info(id);
    if (info === null || info.deleted) return undefined;
    if (!(Number.isInteger(info.size) && info.size >= 0 && info.size <= most)) return undefined;
    const bytes = new Uint8Array(info.size);
    let [length, seq] = [0, 1];
    while (length < info.size) {
      const next_by_subj = `$O.${PICTURES}.C.${info.nuid}`;
      const part = await this.#jsm.direct.getMessage(OBJECTS, { seq, next_by_subj });
      if (part === null || length + part.data.length > info.size) return undefined;
      bytes.set(part.data, length);
      length += part.data.length;
      seq = part.seq + 1;
    }
    const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
    const digest = `SHA-256=${hash.toBase64({ alphabet: "base64url" })}`;
    return digest === info.digest ? bytes : undefined;
  }
}

/** Something on the server has no room: a limit that was set there. */
export class NoRoomError extends Error {
  /** Name of the class. */
  override readonly name = "NoRoomError";

  /** Makes the error. */
  constructor(what: string, cause: Error) {
    super(`The ${what} is full: ${cause.message}`, { cause });
  }
}

function isNoRoom(error: unknown): error is JetStreamApiError {
  return error instanceof JetStreamApiError && error.code === NO_ROOM;
}

/** Waits for something to be stored; that there is no room passes no sooner than what lies there. */
async function orNoRoom(what: string, storing: Promise<unknown>): Promise<void> {
  try {
    await storing;
  } catch (error) {
    throw isNoRoom(error) ? new NoRoomError(what, error) : error;
  }
}

function disposable(subscription: Subscription): Disposable {
  return { [Symbol.dispose]: () => subscription.unsubscribe() };
}
