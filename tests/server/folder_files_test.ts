// Files of folders over HTTP: whole, in part, unchanged, and those that are not to be had.

import { assertEquals, assertRejects } from "@std/assert";
import { httpFolder } from "../../src/files/http_folder.ts";
import type { ModelFolder } from "../../src/files/source.ts";
import { FolderFiles } from "../../src/server/folder_files.ts";
import { RequestError } from "../../src/server/request_error.ts";
import { folderOf, tinyFiles } from "../pipeline/golden_runs.ts";
import { startService } from "./service.ts";

const PATH = "transformer/config.json";

/** Asks for a file of the tiny model. */
function ask(headers: Record<string, string> = {}, path = PATH, method = "GET") {
  const files = new FolderFiles(folderOf(tinyFiles()), 1000);
  return files.answer(path, new Request("http://localhost/", { method, headers }));
}

Deno.test("FolderFiles.answer() gives a file, or the part of it that is asked for", async () => {
  const bytes = tinyFiles()[PATH]!;
  const whole = await ask();
  assertEquals([whole.status, whole.headers.get("content-length")], [200, `${bytes.length}`]);
  assertEquals(await whole.bytes(), bytes);
  const cases = [["bytes=0-0", 0, 1], ["bytes=3-9", 3, 10], ["bytes=5-", 5, bytes.length]] as const;
  for (const [range, begin, end] of cases) {
    const part = await ask({ range });
    assertEquals(part.status, 206, range);
    assertEquals(await part.bytes(), bytes.slice(begin, end), range);
    const given = part.headers.get("content-range");
    assertEquals(given, `bytes ${begin}-${end - 1}/${bytes.length}`);
  }
  const beyond = await ask({ range: `bytes=${bytes.length}-` });
  assertEquals([beyond.status, beyond.headers.get("content-range")], [
    416,
    `bytes */${bytes.length}`,
  ]);
  const head = await ask({}, PATH, "HEAD");
  assertEquals([head.status, await head.text()], [200, ""]);
});

Deno.test("FolderFiles.answer() says that a file is unchanged, and gives parts of that file only", async () => {
  const files = new FolderFiles(folderOf(tinyFiles()), 1000);
  const get = (headers: Record<string, string>) =>
    files.answer(PATH, new Request("http://localhost/", { headers }));
  const first = await get({});
  await first.body?.cancel();
  const etag = first.headers.get("etag")!;
  assertEquals((await get({ "if-none-match": etag })).status, 304);
  const part = await get({ range: "bytes=1-2", "if-range": etag });
  assertEquals([part.status, (await part.bytes()).length], [206, 2]);
  const other = await get({ range: "bytes=1-2", "if-range": '"other"' });
  assertEquals([other.status, (await other.bytes()).length], [200, tinyFiles()[PATH]!.length]);
});

Deno.test("FolderFiles.answer() closes files that are read to their ends, left, or read no more", async () => {
  const folder = folderOf({ "a.bin": new Uint8Array(3_000_000) });
  for (const way of ["ends", "left", "idle"]) {
    const closed = Promise.withResolvers<void>();
    const watched: ModelFolder = {
      ...folder,
      async open(path) {
        const file = await folder.open(path);
        const close = () => Promise.resolve(closed.resolve());
        return {
          description: path,
          size: file.size,
          read: (offset, length) => file.read(offset, length),
          release() {},
          [Symbol.asyncDispose]: close,
        };
      },
    };
    const files = new FolderFiles(watched, way === "idle" ? 0 : 1000);
    const { body } = await files.answer("a.bin", new Request("http://localhost/"));
    const reader = body!.getReader();
    await reader.read();
    if (way === "left") await reader.cancel();
    while (way === "ends" && !(await reader.read()).done);
    await closed.promise;
    if (way === "idle") await assertRejects(() => reader.read(), DOMException, "not read");
  }
});

Deno.test("FolderFiles.answer() gives nothing that is missing, hidden, elsewhere or of another kind", async () => {
  const files = new FolderFiles(
    folderOf({
      ".env.json": new Uint8Array(1),
      "a/.hidden.txt": new Uint8Array(1),
      "key.pem": new Uint8Array(1),
      "a.json": new Uint8Array(1),
    }),
    1000,
  );
  const get = (path: string) => files.answer(path, new Request("http://localhost/"));
  await (await get("a.json")).body?.cancel();
  const wrong = [
    "none.json",
    ".env.json",
    "a/.hidden.txt",
    "key.pem",
    "../a.json",
    "/a.json",
    "a//a.json",
  ];
  for (const path of [...wrong, "", "a\\..\\a.json", "%2e%2e/a.json"]) {
    await assertRejects(() => get(path), RequestError, "nothing at this path");
  }
});

Deno.test("Service gives the model to those who may draw, and the library to all", async () => {
  const files = tinyFiles();
  const library = folderOf({ "mod.js": new TextEncoder().encode("1;") });
  await using server = await startService({
    tokens: ["right"],
    browser: { library, model: folderOf(files) },
  });
  assertEquals((await server.ask("/lib/mod.js")).status, 200);
  assertEquals((await server.ask(`/model/${PATH}`)).status, 401);
  const headers = { authorization: "Bearer right" };
  const folder = httpFolder(new URL("/model/", server.url), {
    fetch: (input, init) => fetch(input, { ...init, headers: { ...init?.headers, ...headers } }),
  });
  assertEquals(await folder.readText(PATH), new TextDecoder().decode(files[PATH]));
  assertEquals(await folder.has("none.json"), false);
  const { browser } = await (await server.ask("/info", { headers })).json();
  assertEquals(browser, {});
  await using plain = await startService();
  assertEquals((await plain.ask(`/model/${PATH}`)).status, 404);
  assertEquals((await (await plain.ask("/info")).json()).browser, undefined);
});
