/**
 * A server that behaves like the Hugging Face hub, and a second one that it redirects to for big files.
 *
 * @module
 */

import { createHasher, createSha256 } from "../../src/hub/hashes.ts";
import { fileResponse } from "../files/file_server.ts";

/** What a hub has. */
export interface FakeModel {
  /** Contents by path, by revision. */
  readonly revisions: Readonly<Record<string, Readonly<Record<string, Content>>>>;
  /** Token that is needed. */
  readonly token?: string;
  /** Whether there is the API, and not only the files. Default true. */
  readonly api?: boolean;
  /** Whether answers tell the commit. Default true. */
  readonly commits?: boolean;
}

/** What a file holds. */
export type Content = Uint8Array<ArrayBuffer> | string;

/** A request as a fault sees it. */
export interface FakeRequest {
  /** The request itself. */
  readonly request: Request;
  /** `hub` or `cdn`. */
  readonly server: "hub" | "cdn";
  /** The file that is asked for, or the path of the request. */
  readonly path: string;
  /** The bytes of the file, if there is one. */
  readonly bytes: Uint8Array<ArrayBuffer> | undefined;
}

/** A running hub. */
export interface FakeHub extends AsyncDisposable {
  /** Its URL. */
  readonly endpoint: URL;
  /** Every request so far: server, method, path, range, and whether a token came with it. */
  readonly log: string[];
  /** Answers that replace the ordinary ones; undefined leaves those. */
  fault:
    | ((request: FakeRequest) => Response | undefined | Promise<Response | undefined>)
    | undefined;
}

/** Files from this length on are sent by the second server, as those in LFS are. */
const BIG_BYTES = 10_000;

/** The SHA-256 of some bytes. */
export function sha256Of(bytes: Uint8Array): string {
  const hasher = createSha256();
  hasher.update(bytes);
  return hasher.digest();
}

/** The commit of a revision of the fake hub. */
export function commitOf(revision: string): string {
  return sha256Of(new TextEncoder().encode(revision)).slice(0, 40);
}

/** Serves models by their ids. */
export function serveHub(models: Readonly<Record<string, FakeModel>>): FakeHub {
  const log: string[] = [];
  const options = { port: 0, hostname: "127.0.0.1", onListen() {} };
  const record = (server: string, request: Request, path: string) => {
    const range = request.headers.get("range");
    const token = request.headers.has("authorization") ? " +token" : "";
    log.push(`${server} ${request.method} ${path}${range ? ` ${range}` : ""}${token}`);
  };
  const contents = new Map<string, Uint8Array<ArrayBuffer>>();
  const cdn = Deno.serve(options, async (request) => {
    const path = new URL(request.url).pathname.slice(1);
    const bytes = contents.get(path);
    record("cdn", request, "");
    const answer = await hub.fault?.({ request, server: "cdn", path, bytes });
    if (answer) return answer;
    if (!bytes) return new Response("none", { status: 404 });
    return fileResponse(bytes, request.headers.get("range"));
  });
  const server = Deno.serve(options, async (request) => {
    const { pathname } = new URL(request.url);
    const [owner, name, verb, revisionPart, ...rest] = pathname.slice(1).split("/");
    const isApi = owner === "api";
    const id = isApi ? `${verb}/${revisionPart}` : `${owner}/${name}`;
    const revision = decodeURIComponent((isApi ? rest[1] : revisionPart) ?? "");
    const path = isApi ? `api ${revision}` : rest.map(decodeURIComponent).join("/");
    const model = models[id];
    const found = Object.entries(model?.revisions ?? {})
      .find(([name]) => name === revision || commitOf(name) === revision);
    const bytes = isApi ? undefined : bytesOf(found?.[1][path]);
    record("hub", request, path);
    const answer = await hub.fault?.({ request, server: "hub", path, bytes });
    if (answer) return answer;
    if (!model) return refusal(401, "RepoNotFound");
    const token = request.headers.get("authorization");
    if (model.token !== undefined && token !== `Bearer ${model.token}`) {
      return refusal(token ? 403 : 401, token ? "GatedRepo" : "RepoNotFound");
    }
    if (isApi && model.api === false) return new Response("Not Found", { status: 404 });
    if (!found) return refusal(404, "RevisionNotFound");
    const commit = model.commits === false ? undefined : commitOf(found[0]);
    if (isApi) return Response.json(listing(commit, found[1]));
    if (!bytes) return refusal(404, "EntryNotFound");
    const headers: Record<string, string> = { etag: `"${gitHash(bytes)}"` };
    if (commit) headers["x-repo-commit"] = commit;
    if (bytes.length < BIG_BYTES) return fileResponse(bytes, request.headers.get("range"), headers);
    const hash = sha256Of(bytes);
    contents.set(hash, bytes);
    headers["x-linked-etag"] = `"${hash}"`;
    headers["x-linked-size"] = String(bytes.length);
    headers.location = `http://127.0.0.1:${cdn.addr.port}/${hash}?signature=1`;
    return new Response(null, { status: 302, headers });
  });
  const hub: FakeHub = {
    endpoint: new URL(`http://127.0.0.1:${server.addr.port}/`),
    log,
    fault: undefined,
    async [Symbol.asyncDispose]() {
      await server.shutdown();
      await cdn.shutdown();
    },
  };
  return hub;
}

function refusal(status: number, code: string): Response {
  return new Response("refused", { status, headers: { "x-error-code": code } });
}

function listing(commit: string | undefined, files: Readonly<Record<string, Content>>): unknown {
  const siblings = Object.entries(files).map(([rfilename, content]) => {
    const bytes = bytesOf(content) ?? new Uint8Array();
    const lfs = bytes.length < BIG_BYTES ? {} : { lfs: { sha256: sha256Of(bytes) } };
    return { rfilename, size: bytes.length, blobId: gitHash(bytes), ...lfs };
  });
  return { ...(commit ? { sha: commit } : {}), siblings };
}

function bytesOf(content: Content | undefined): Uint8Array<ArrayBuffer> | undefined {
  return typeof content === "string" ? new TextEncoder().encode(content) : content;
}

/** The SHA-1 by which git names a file. */
export function gitHash(bytes: Uint8Array): string {
  const hasher = createHasher("sha1", bytes.length);
  hasher.update(bytes);
  return hasher.digest();
}
