// Files behind URLs that have let go of what they kept in memory. What they still keep shows in what the
// server is asked for: a read that asks for nothing was answered from memory.

import { assert, assertEquals, assertRejects } from "@std/assert";
import { openFolder } from "../../src/checkpoints/folders.ts";
import { openHttpFile } from "../../src/files/http_file.ts";
import { FileProgress, type LoadEvent } from "../../src/files/progress.ts";
import { BrowserCache } from "../../src/hub/browser_cache.ts";
import { MemoryCacheStorage } from "../hub/memory_cache_storage.ts";
import { type Fault, fileResponse, type FileServer, serveFiles } from "./file_server.ts";

/** Longer than a block of a range request, so that two requests are needed for all of it. */
const BYTES = Uint8Array.from({ length: 9_000_000 }, (_, i) => i * 2654435761 >>> 24);
const BEGIN = 8_388_600;

function openFile(server: FileServer, events: LoadEvent[] = []) {
  const progress = new FileProgress("a", (event) => void events.push(event));
  return openHttpFile(new URL("a", server.url), progress, { retries: 1, retryDelay: 1 });
}

for (const ranges of [true, false]) {
  const kind = ranges ? "ranges" : "a whole file";
  Deno.test(`FileSource.release() over http forgets ${kind}, and read() asks again`, async () => {
    await using server = serveFiles({ a: BYTES }, { ranges });
    await using file = await openFile(server);
    const expected = BYTES.slice(BEGIN, BEGIN + 16);
    assertEquals(await file.read(BEGIN, 16), expected);
    const opened = server.log.length;
    assertEquals(await file.read(BEGIN, 16), expected);
    assertEquals(server.log.length, opened);
    file.release();
    assertEquals(server.log.length, opened);
    const parts = await Promise.all([file.read(BEGIN, 16), file.read(BEGIN + 4, 8)]);
    assertEquals(parts, [expected, expected.slice(4, 12)]);
    // The range spans two blocks.
    assertEquals(server.log.length, opened + (ranges ? 2 : 1));
  });
}

Deno.test("FileSource over http reports that a whole file is downloaded again", async () => {
  await using server = serveFiles({ a: BYTES }, { ranges: false });
  const events: LoadEvent[] = [];
  await using file = await openFile(server, events);
  const first = events.splice(0).map(({ type }) => type).filter((type) => type !== "progress");
  assertEquals(first, ["initiate", "download", "done"]);
  file.release();
  await file.read(0, 1);
  assertEquals(events.map(({ type }) => type).filter((type) => type !== "progress"), first);
});

Deno.test("FileSource over http notices that a released file has changed", async () => {
  const answers: [name: string, second: Uint8Array<ArrayBuffer>, headers: string[][]][] = [
    ["another length", BYTES.slice(1), [[], []]],
    ["another ETag", BYTES, [["etag", '"1"'], ["etag", '"2"']]],
    ["another date", BYTES, [["last-modified", "Mon"], ["last-modified", "Tue"]]],
  ];
  for (const [name, second, headers] of answers) {
    let requests = 0;
    const fault: Fault = () => {
      const header = headers[requests]!;
      const bytes = requests++ === 0 ? BYTES : second;
      return fileResponse(bytes, null, header.length ? { [header[0]!]: header[1]! } : {});
    };
    await using server = serveFiles({}, { fault });
    await using file = await openFile(server);
    file.release();
    await assertRejects(() => file.read(0, 1), Error, "/a: it has changed meanwhile", name);
  }
});

Deno.test("FileSource over http reads a released file after a failure", async () => {
  let down = false;
  await using server = serveFiles({ a: BYTES }, {
    ranges: false,
    fault: () => down ? new Response("", { status: 404 }) : undefined,
  });
  await using file = await openFile(server);
  file.release();
  down = true;
  await assertRejects(() => file.read(0, 1), Error, "Cannot find");
  down = false;
  assertEquals(await file.read(1, 1), BYTES.slice(1, 2));
});

const MIB = 2 ** 20;

/** What an endless file is answered with, by the MiB that were asked for of it. */
function endless(headers: Record<string, string>) {
  let sent = 0;
  const fetch = () => {
    const body = new ReadableStream({
      pull(controller) {
        controller.enqueue(new Uint8Array(MIB));
        // An end, so that the test has one if there is no limit.
        if (++sent % 80 === 0) controller.close();
      },
    });
    return Promise.resolve(new Response(body, { headers }));
  };
  return { fetch, sent: () => sent };
}

Deno.test("ModelFolder.readText() over http stops where a text is too long, whatever the server can do", async () => {
  const kinds: [kind: string, headers: Record<string, string>][] = [
    ["no ranges", {}],
    ["a false length", { "content-length": String(2 ** 40) }],
    ["compressed", { "content-encoding": "gzip" }],
  ];
  for (const [kind, headers] of kinds) {
    for (const cache of [false, new BrowserCache(new MemoryCacheStorage())] as const) {
      const { fetch, sent } = endless({ etag: '"1"', ...headers });
      const folder = await openFolder("http://127.0.0.1/", { fetch, cache });
      await assertRejects(
        () => folder.readText("config.json"),
        RangeError,
        "Cannot read http://127.0.0.1/config.json: more than 67108864 bytes came",
        kind,
      );
      assert(sent() < 70, `${sent()} MiB`);
    }
  }
  // What is no text may be longer.
  const { fetch } = endless({});
  const folder = await openFolder("http://127.0.0.1/", { fetch });
  await using file = await folder.open("model.safetensors");
  assertEquals(file.size, 80 * MIB);
});

Deno.test("ModelFolder.readText() over http copies no text into the cache that is too long", async () => {
  await using server = serveFiles({}, {
    fault: (request) =>
      fileResponse(new Uint8Array(65 * MIB), request.headers.get("range"), { etag: '"1"' }),
  });
  const cache = new BrowserCache(new MemoryCacheStorage());
  const folder = await openFolder(server.url, { cache });
  await assertRejects(() => folder.readText("a.json"), RangeError, "a text may be 64 MiB");
  assertEquals(server.log.filter((line) => line.startsWith("GET")).length, 1);
});
