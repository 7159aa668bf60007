import { assert, assertEquals, assertRejects } from "@std/assert";
import { MissingFileError } from "../../src/files/paths.ts";
import { BrowserCache } from "../../src/hub/browser_cache.ts";
import { DiskCache } from "../../src/hub/disk_cache.ts";
import type { HubCache } from "../../src/hub/cache.ts";
import { type KnownFile, knownFolder } from "../../src/hub/known_folder.ts";
import { serveFiles } from "../files/file_server.ts";
import { inTemporaryFolder } from "../temporary_folder.ts";
import { sha256Of } from "./fake_hub.ts";
import { bytesOf, noticesOf, weights } from "./hubs.ts";
import { MemoryCacheStorage } from "./memory_cache_storage.ts";

const CONFIG = new TextEncoder().encode("{}");
const FILES: Readonly<Record<string, KnownFile>> = {
  "config.json": [CONFIG.length, sha256Of(CONFIG)],
  "a/weights.bin": [weights.length, sha256Of(weights)],
};

/** A cache, and a promise of what it keeps of as many files as are fetched. */
function watched(cache: HubCache, files: number): { cache: HubCache; kept: Promise<void> } {
  const { promise, resolve } = Promise.withResolvers<void>();
  let finished = 0;
  const download: HubCache["download"] = async (file, signal) => {
    const download = (await cache.download(file, signal))!;
    const finish = async (sha256: string) => {
      await Object.getPrototypeOf(download).finish.call(download, sha256);
      await download[Symbol.asyncDispose]();
      if (++finished === files) resolve();
    };
    return Object.defineProperty(download, "finish", { value: finish });
  };
  const find: HubCache["find"] = (file, signal) => cache.find(file, signal);
  const wrapped = Object.create(cache, { download: { value: download }, find: { value: find } });
  return { cache: wrapped, kept: promise };
}

Deno.test("knownFolder() fetches each file once, and asks for none of them then", async () => {
  await inTemporaryFolder(async (root) => {
    for (const plain of [new DiskCache(root), new BrowserCache(new MemoryCacheStorage())]) {
      await using server = serveFiles({ "config.json": CONFIG, "a/weights.bin": weights });
      const { cache, kept } = watched(plain, 2);
      for (let i = 0; i < 2; i++) {
        const folder = knownFolder(server.url, FILES, cache);
        assert(await folder.has("config.json"));
        assert(!await folder.has("none.json"));
        await assertRejects(() => folder.open("none.json"), MissingFileError);
        assertEquals(await folder.readText("config.json"), "{}");
        await using file = await folder.open("a/weights.bin");
        assertEquals(await file.read(1, 8_999_999), weights.slice(1));
        await kept;
        file.release();
        assertEquals(await file.read(0, 10), weights.slice(0, 10));
      }
      // Two blocks of the weights.
      assertEquals(server.log.length, 3);
    }
  });
});

Deno.test("knownFolder() refuses what does not match its hash", async () => {
  const others: Record<string, Uint8Array<ArrayBuffer>> = {
    "has the SHA-256": weights.with(8_500_000, 1),
    "has 8999999 bytes, expected 9000000 bytes": weights.slice(1),
  };
  for (const [message, bytes] of Object.entries(others)) {
    await using server = serveFiles({ "a/weights.bin": bytes });
    await assertRejects(
      () => knownFolder(server.url, FILES, undefined).open("a/weights.bin"),
      Error,
      `Cannot load the embedded model: ${server.url}a/weights.bin ${message}`,
    );
  }
});

Deno.test("knownFolder() does without a cache that fails, or holds something else, without a word", async () => {
  await using server = serveFiles({ "config.json": CONFIG, "a/weights.bin": weights });
  const storage = new MemoryCacheStorage();
  const { cache, kept } = watched(new BrowserCache(storage), 1);
  await bytesOf(knownFolder(server.url, FILES, cache), "a/weights.bin");
  await kept;
  storage.damage(/\/part\//);
  const broken = new MemoryCacheStorage();
  broken.open = () => Promise.reject(new Error("no room"));
  for (const cache of [new BrowserCache(storage), new BrowserCache(broken)]) {
    const { notices, onProgress } = noticesOf();
    const folder = knownFolder(server.url, FILES, cache, { onProgress });
    assertEquals(await bytesOf(folder, "a/weights.bin"), weights);
    assertEquals(notices, []);
  }
});
