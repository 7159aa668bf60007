/**
 * Connecting to a NATS server.
 *
 * @module
 */

import {
  type ConnectionOptions,
  credsAuthenticator,
  type NatsConnection,
} from "npm:@nats-io/nats-core@3.4.0";
import { NatsConnectionImpl, setTransportFactory } from "npm:@nats-io/nats-core@3.4.0/internal";
import {
  nodeResolveHost,
  NodeTransport,
} from "npm:@nats-io/transport-node@3.4.0/lib/node_transport.js";

/** Milliseconds from one attempt to reconnect to the next. */
const RECONNECT_MS = 500;

/** Where the queue is, and who asks for it. */
export interface QueueAddress {
  /**
   * `nats://host:port`, or `tls://` for an encrypted connection; several servers of a cluster are separated
   * by commas. The first may have `user:password@` or `token@` before its host.
   */
  readonly url: string;
  /** A credentials file of NATS, with a JWT and a key. Default: none. */
  readonly credentials?: Uint8Array | undefined;
  /** Certificates, in PEM, that sign the server's. Default: those that Deno knows. */
  readonly certificates?: string | undefined;
}

type Socket = Awaited<ReturnType<NodeTransport["dial"]>>;

/**
 * Keeps a listener for errors on a socket, also where the client has none for a moment, or is done with it:
 * an error that nobody listens for ends the process.
 */
function guarded<S extends Socket>(socket: S): S {
  const listen = () => socket.on("error", () => {});
  const removeAllListeners = socket.removeAllListeners.bind(socket);
  // Without arguments it does something else than with an undefined one.
  socket.removeAllListeners = (...events: [string?]) => {
    removeAllListeners(...events);
    return listen();
  };
  listen();
  return socket;
}

/** The client's connection by node:net, which Deno has, too. */
class GuardedTransport extends NodeTransport {
  override async dial(address: Parameters<NodeTransport["dial"]>[0]): Promise<Socket> {
    return guarded(await super.dial(address));
  }

  override async startTLS(): ReturnType<NodeTransport["startTLS"]> {
    return guarded(await super.startTLS());
  }

  override async tlsFirst(
    address: Parameters<NodeTransport["tlsFirst"]>[0],
  ): ReturnType<NodeTransport["tlsFirst"]> {
    return guarded(await super.tlsFirst(address));
  }
}

/**
 * Connects to a server. If the connection is lost, it is made anew until it is closed.
 *
 * @param name What the connection is called in the server's lists.
 * @throws {TypeError} If the URL is none of a NATS server.
 * @throws {Error} If the server cannot be reached, or refuses. No password is told.
 */
export async function connectToQueue(
  address: QueueAddress,
  name: string,
): Promise<NatsConnection> {
  const options = connectionOptions(address);
  try {
    setTransportFactory({ factory: () => new GuardedTransport(), dnsResolveFn: nodeResolveHost });
    return await NatsConnectionImpl.connect({
      ...options,
      name,
      maxReconnectAttempts: -1,
      reconnectTimeWait: RECONNECT_MS,
      // Users may be unknown for a moment to a server that starts again.
      ignoreAuthErrorAbort: true,
    });
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new Error(`Cannot connect to the queue at ${placeOf(options)}: ${reason}`, {
      cause: error,
    });
  }
}

/**
 * Reads an address.
 *
 * @throws {TypeError} If the URL is none of a NATS server.
 */
export function connectionOptions(
  { url, credentials, certificates: ca }: QueueAddress,
): ConnectionOptions {
  const urls = url.split(",").map(parse);
  const [first] = urls;
  const [user, pass] = [first!.username, first!.password].map(decodeURIComponent);
  return {
    servers: urls.map(({ host }) => host),
    ...urls.some(({ protocol }) => protocol === "tls:") && { tls: ca === undefined ? {} : { ca } },
    ...user && (pass ? { user, pass } : { token: user }),
    ...credentials && { authenticator: credsAuthenticator(credentials) },
  };
}

/** Where servers are, without what they are told to let somebody in. */
function placeOf({ servers }: ConnectionOptions): string {
  return [servers ?? []].flat().join(", ");
}

function parse(text: string): URL {
  // The text is not quoted: it may hold a password.
  const refuse = () => {
    throw new TypeError(
      "Cannot connect to the queue: its URL is of another kind, expected nats://host:port or tls://host:port",
    );
  };
  if (!URL.canParse(text)) return refuse();
  const url = new URL(text);
  const isRight = (url.protocol === "nats:" || url.protocol === "tls:") && url.hostname !== "" &&
    /^\/?$/.test(url.pathname) && url.search === "" && url.hash === "";
  return isRight ? url : refuse();
}
