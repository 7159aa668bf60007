import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { openFile, openFolder } from "../../src/checkpoints/folders.ts";
import { HttpError } from "../../src/files/http.ts";
import { memoryFolder } from "../../src/files/memory_folder.ts";
import { MissingFileError } from "../../src/files/paths.ts";
import type { LoadEvent } from "../../src/files/progress.ts";
import type { ModelFolder } from "../../src/files/source.ts";
import { brokenResponse, fileResponse, serveFiles } from "../files/file_server.ts";

const QUICK = { retryDelay: 1 };
const big = new Uint8Array(20_000_000).map((_, i) => (i * 7919) >> 8);
const files = {
  "config.json": `{"name":"ü"}`,
  "vqvae/a b%.bin": new Uint8Array([1, 2, 3, 4]),
  "vqvae/empty.bin": new Uint8Array(),
};

/** What every kind of folder has to do with `files`. */
async function checkFolder(root: ModelFolder): Promise<void> {
  assertEquals(await root.readText("config.json"), files["config.json"]);
  assert(await root.has("config.json"));
  assert(!await root.has("none.json"));
  assert(!await root.has("config.json/none"));
  const folder = root.folder("vqvae");
  assert(await folder.has("a b%.bin"));
  await using file = await folder.open("a b%.bin");
  assertEquals(file.size, 4);
  const parts = await Promise.all([file.read(0, 2), file.read(1, 3), file.read(4, 0)]);
  assertEquals(parts.map((part) => [...part]), [[1, 2], [2, 3, 4], []]);
  await using empty = await root.open("vqvae/empty.bin");
  assertEquals((await empty.read(0, 0)).length, 0);
  const wrong = [[0, 5], [-1, 2], [3, 2], [0.5, 1], [0, NaN], [0, 2 ** 60]] as const;
  for (const [offset, length] of wrong) {
    await assertRejects(() => file.read(offset, length), RangeError, "it is 4 bytes long");
  }
  await assertRejects(() => root.open("none.bin"), MissingFileError, "none.bin");
  await assertRejects(() => root.readText("none.json"), MissingFileError, "none.json");
  for (const path of ["../x", "/etc/passwd", "a//b", "", "a/./b", "a\\b", "C:/x", "a\0"]) {
    await assertRejects(() => root.open(path), RangeError, "inside the folder");
  }
}

Deno.test("openFolder() reads a folder on disk, by path and by URL", async () => {
  const path = await Deno.makeTempDir();
  try {
    await Deno.mkdir(`${path}/vqvae`);
    for (const [name, content] of Object.entries(files)) {
      if (typeof content === "string") await Deno.writeTextFile(`${path}/${name}`, content);
      else await Deno.writeFile(`${path}/${name}`, content);
    }
    await checkFolder(await openFolder(path));
    await checkFolder(await openFolder(`file://${path}`));
    await checkFolder(await openFolder(new URL(`file://${path}/`)));
    await assertRejects(() => openFolder(`${path}/config.json`), TypeError, "it is a file");
    const folder = await openFolder(path);
    await assertRejects(() => folder.open("vqvae"), TypeError, "it is a folder");
  } finally {
    await Deno.remove(path, { recursive: true });
  }
});

Deno.test("openFolder() reads a folder in memory", async () => {
  await checkFolder(await openFolder(memoryFolder(files)));
});

Deno.test("openFolder() reads a folder behind a URL, with and without ranges", async () => {
  for (const ranges of [true, false]) {
    await using server = serveFiles(files, { ranges });
    await checkFolder(await openFolder(server.url));
    await checkFolder(await openFolder(server.url.href.slice(0, -1)));
  }
});

Deno.test("openFolder() refuses what is no folder", async () => {
  await assertRejects(() => openFolder("ftp://host/x"), TypeError, "begins with https:");
  await assertRejects(
    () => openFolder(42 as unknown as string),
    TypeError,
    "source is 42, expected a path, a URL or a folder",
  );
  await assertRejects(
    () => openFolder("http://"),
    TypeError,
    'source is "http://", expected a valid URL',
  );
  await assertRejects(() => openFolder(""), TypeError, 'path is "", expected');
  await assertRejects(() => openFolder("./no/such/folder"), MissingFileError, "./no/such/folder");
});

Deno.test("openFile() opens a file by path and by URL", async () => {
  const path = await Deno.makeTempFile();
  try {
    await Deno.writeTextFile(path, "abc");
    await using server = serveFiles({ "a b.pth": "abc" });
    for (const source of [path, new URL(`file://${path}`), new URL("a b.pth", server.url)]) {
      await using file = await openFile(source);
      assertEquals(await file.read(1, 2), new Uint8Array([98, 99]));
    }
    await assertRejects(() => openFile(`${path}.none`), MissingFileError, ".none");
    await assertRejects(() => openFile("ftp://host/x"), TypeError, "expected a file, or a URL");
  } finally {
    await Deno.remove(path);
  }
});

Deno.test("openFolder() keeps the query of a URL for every file", async () => {
  await using server = serveFiles({}, {
    fault: (request) => new Response(new URL(request.url).search),
  });
  const folder = await openFolder(new URL("m?key=1", server.url));
  assertEquals(await folder.folder("a").readText("b.json"), "?key=1");
  assert(!folder.description.includes("key"));
});

Deno.test("FileSource over http reads a big file in parts and counts them", async () => {
  await using server = serveFiles({ "m/big.bin": big });
  const events: LoadEvent[] = [];
  const folder = await openFolder(server.url, { onProgress: (event) => events.push(event) });
  {
    await using file = await folder.folder("m").open("big.bin");
    for (const [offset, length] of [[0, 100], [8_388_600, 20], [19_999_990, 10], [50, 9_000_000]]) {
      const bytes = await file.read(offset ?? 0, length ?? 0);
      assertEquals(bytes, big.slice(offset, (offset ?? 0) + (length ?? 0)));
    }
  }
  assertEquals(server.log, [
    "GET m/big.bin bytes=0-8388607",
    "GET m/big.bin bytes=8388608-16777215",
    "GET m/big.bin bytes=16777216-19999999",
    "GET m/big.bin bytes=50-9000049",
  ]);
  const total = 20_000_000;
  assertEquals(events.at(0), { type: "initiate", file: "m/big.bin" });
  assertEquals(events.at(1), { type: "download", file: "m/big.bin", total });
  assertEquals(events.slice(-4), [
    { type: "progress", file: "m/big.bin", loaded: total, total },
    { type: "total", loaded: total, total },
    { type: "done", file: "m/big.bin" },
    { type: "total", loaded: total, total },
  ]);
});

Deno.test("FileSource over http goes on after faults that pass", async () => {
  for (const ranges of [true, false]) {
    const faults: ((request: Request) => Response)[] = [
      () => new Response("busy", { status: 503, headers: { "retry-after": "0" } }),
      () => new Response("slow down", { status: 429 }),
      (request) => {
        const range = ranges ? request.headers.get("range") : null;
        const { status, headers } = fileResponse(big, range);
        return brokenResponse(big.slice(0, range ? 8_388_608 : big.length), 1_000_000, {
          status,
          headers,
        });
      },
    ];
    await using server = serveFiles({ "big.bin": big }, {
      ranges,
      fault: (request) => faults.shift()?.(request),
    });
    const notices: string[] = [];
    const folder = await openFolder(server.url, {
      ...QUICK,
      onProgress: (event) => event.type === "notice" && notices.push(event.message),
    });
    await using file = await folder.open("big.bin");
    assertEquals(await file.read(0, 3_000_000), big.slice(0, 3_000_000));
    assertEquals(notices.length, 3);
    assertMatch(notices[0] ?? "", /answered 503; trying again in 0\.0 seconds/);
  }
});

Deno.test("FileSource over http gives up after some tries and says why", async () => {
  let tries = 0;
  await using server = serveFiles({}, {
    fault: (_, path) => {
      tries++;
      return new Response("no", { status: path === "a" ? 403 : 500 });
    },
  });
  const folder = await openFolder(server.url, QUICK);
  await assertRejects(() => folder.open("a"), HttpError, "the server answered 403 Forbidden");
  await assertRejects(() => folder.has("a"), HttpError, "403");
  assertEquals(tries, 2);
  await assertRejects(() => folder.open("b"), HttpError, "500");
  assertEquals(tries, 2 + 5);
});

Deno.test("FileSource over http says which server cannot be reached", async () => {
  const listener = Deno.listen({ port: 0, hostname: "127.0.0.1" });
  const { port } = listener.addr;
  listener.close();
  const folder = await openFolder(`http://127.0.0.1:${port}/m`, QUICK);
  await assertRejects(() => folder.open("a"), Error, `Cannot reach http://127.0.0.1:${port}/m/a`);
});

Deno.test("FileSource over http notices that no more bytes come", async () => {
  await using server = serveFiles({}, {
    fault: () => new Response(new ReadableStream({ start: (c) => c.enqueue(big.slice(0, 10)) })),
  });
  const folder = await openFolder(server.url, { retries: 0, stallTimeout: 50 });
  await assertRejects(() => folder.open("a"), Error, "no data came for 0.05 seconds");
});

Deno.test("FileSource over http notices that the file has changed", async () => {
  let requests = 0;
  await using server = serveFiles({}, {
    fault: (request) =>
      fileResponse(
        big.slice(0, requests++ ? 19_000_000 : big.length),
        request.headers.get("range"),
      ),
  });
  const folder = await openFolder(server.url, QUICK);
  await using file = await folder.open("a");
  await assertRejects(() => file.read(9_000_000, 10), Error, "it has changed meanwhile");
});

Deno.test("FileSource over http refuses more bytes than were announced", async () => {
  const fetch = () =>
    Promise.resolve(new Response("12345", { headers: { "content-length": "3" } }));
  const folder = await openFolder("http://host/", { fetch, ...QUICK });
  await assertRejects(() => folder.open("a"), RangeError, "more than 3 bytes came");
});

Deno.test("openFolder() stops at the signal, before and while reading", async () => {
  const reason = new Error("stopped");
  await assertRejects(
    () => openFolder("http://host/", { signal: AbortSignal.abort(reason) }),
    Error,
    "stopped",
  );
  const controller = new AbortController();
  await using server = serveFiles({}, {
    fault: () => new Response(new ReadableStream({ start: (c) => c.enqueue(big.slice(0, 10)) })),
  });
  const folder = await openFolder(server.url, {
    signal: controller.signal,
    onProgress: (event) => event.type === "progress" && controller.abort(reason),
  });
  await assertRejects(() => folder.open("a"), Error, "stopped");
});
