// Servers of files that have their own ways to say that there is none, or send files in other forms.

import { assert, assertEquals, assertRejects } from "@std/assert";
import { createWasmBackend } from "../../src/backends/wasm/wasm_backend.ts";
import { openFolder } from "../../src/checkpoints/folders.ts";
import { openWeights } from "../../src/checkpoints/weights.ts";
import { HttpError } from "../../src/files/http.ts";
import { MissingFileError } from "../../src/files/paths.ts";
import { VQDiffusionPipeline } from "../../src/pipeline/vq_diffusion_pipeline.ts";
import { below, expectedRun, filesOf } from "../python_files.ts";
import { type Fault, fileResponse, serveFiles } from "./file_server.ts";

const MODEL = below(filesOf("saved_by_today"), "model") as Record<string, Uint8Array<ArrayBuffer>>;
const WEIGHTS = new URL("../../weights/", import.meta.url);

const page = (type: string) => () =>
  new Response("<!doctype html>\n<title>App</title>", { headers: { "content-type": type } });

function filesBelow(root: URL, prefix = ""): string[] {
  return [...Deno.readDirSync(new URL(prefix, root))].flatMap(({ name, isDirectory }) =>
    isDirectory ? filesBelow(root, `${prefix}${name}/`) : [prefix + name]
  );
}

function contentType(path: string): string {
  return path.endsWith(".json")
    ? "application/json"
    : path.endsWith(".txt")
    ? "text/plain"
    : "application/octet-stream";
}

async function gzip(bytes: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer>> {
  const stream = new Blob([bytes]).stream().pipeThrough(new CompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/** The server's own way to answer, below a folder whose name needs escapes. */
function host(
  files: typeof MODEL,
  answer: (
    found: Uint8Array<ArrayBuffer> | undefined,
    request: Request,
    path: string,
  ) => ReturnType<Fault>,
) {
  const prefix = "100% #1 of a?b/";
  const server = serveFiles({}, {
    fault: (request, path) => answer(files[path.slice(prefix.length)], request, path),
  });
  return { server, url: new URL(`${encodeURIComponent(prefix.slice(0, -1))}/`, server.url) };
}

const plain = (found: Uint8Array<ArrayBuffer>, request: Request, path: string) =>
  fileResponse(found, request.headers.get("range"), { "content-type": contentType(path) });

/** Hosts by their ways. */
const HOSTS: Record<string, Parameters<typeof host>[1]> = {
  "answers what is not there with a page": (found, request, path) =>
    found ? plain(found, request, path) : page("text/html; charset=utf-8")(),
  "answers what is not there with a page of plain text": (found, request, path) =>
    found ? plain(found, request, path) : page("text/plain")(),
  "answers what is not there with 403": (found, request, path) =>
    found ? plain(found, request, path) : new Response("<Error/>", { status: 403 }),
  "calls all files pages": (found, request) =>
    found
      ? fileResponse(found, request.headers.get("range"), { "content-type": "text/html" })
      : page("text/html")(),
  "refuses HEAD": (found, request, path) =>
    request.method === "HEAD"
      ? new Response(null, { status: 405 })
      : found && plain(found, request, path),
  "stores files compressed": async (found, request, path) => {
    if (!found) return;
    const headers = { "content-encoding": "gzip", "content-type": contentType(path) };
    return fileResponse(await gzip(found), request.headers.get("range"), headers);
  },
  "compresses what it sends whole": async (found, request, path) => {
    if (!found) return;
    const headers = { "content-encoding": "gzip", "content-type": contentType(path) };
    const accepts = request.headers.get("accept-encoding")?.includes("gzip");
    return accepts ? new Response(await gzip(found), { headers }) : plain(found, request, path);
  },
};

for (const [name, answer] of Object.entries(HOSTS)) {
  Deno.test(`VQDiffusionPipeline.fromPretrained() loads from a host that ${name}`, async () => {
    const { server, url } = host(MODEL, answer);
    await using _server = server;
    await using backend = await createWasmBackend({ threads: 1, simd: "simd" });
    await using pipe = await VQDiffusionPipeline.fromPretrained(url, { backend });
    const { prompt, tokens, image: _, ...options } = expectedRun();
    const { images } = await pipe.generate(prompt, { ...options, outputType: "tokens" });
    assertEquals([...images[0]!], tokens.at(-1));
  });
}

Deno.test("the embedded model loads from hosts that answer with pages or 403", async () => {
  const files: typeof MODEL = {};
  for (const path of filesBelow(WEIGHTS)) files[path] = await Deno.readFile(new URL(path, WEIGHTS));
  await using backend = await createWasmBackend({ threads: 1, simd: "simd" });
  for (const kind of Object.keys(HOSTS).slice(0, 3)) {
    const { server, url } = host(files, HOSTS[kind]!);
    await using _server = server;
    await using pipe = await VQDiffusionPipeline.fromPretrained(url, { backend });
    const options = { seed: 1, numInferenceSteps: 1, outputType: "tokens" } as const;
    assertEquals((await pipe.generate("a red apple", options)).images[0]?.length, 64, kind);
  }
});

Deno.test("openFolder() over http says that a page or 403 stands in the place of a needed file", async () => {
  const spa = host(MODEL, HOSTS["answers what is not there with a page"]!);
  await using _spa = spa.server;
  const app = await openFolder(spa.url);
  assertEquals(await app.has("none.json"), false);
  assertEquals(await app.has("model_index.json"), true);
  await assertRejects(
    () => app.readText("none.json"),
    MissingFileError,
    "none.json: the server answered with a web page",
  );
  const s3 = host(MODEL, HOSTS["answers what is not there with 403"]!);
  await using _s3 = s3.server;
  const bucket = await openFolder(s3.url);
  await assertRejects(() => bucket.readText("none.json"), HttpError, "the server answered 403");
  await assertRejects(() => openWeights(bucket, ["x.bin"]), MissingFileError, "looked for x.bin");
});

Deno.test("openFolder() reads a compressed file whole and once", async () => {
  const { server, url } = host(
    { a: new TextEncoder().encode("abc") },
    HOSTS["stores files compressed"]!,
  );
  await using running = server;
  const folder = await openFolder(url);
  await using file = await folder.open("a");
  assertEquals(file.size, 3);
  assertEquals(await file.read(1, 2), new TextEncoder().encode("bc"));
  assertEquals(running.log.length, 2);
});

Deno.test("openFolder() takes URLs and paths with percent signs that are no escapes", async () => {
  const folder = await openFolder("http://127.0.0.1:1/100%/%zz/");
  assert(folder.description.endsWith("/100%/%zz/"), folder.description);
  const missing = new URL("file:///none/100%/");
  await assertRejects(() => openFolder(missing), MissingFileError, "/none/100%");
});
