import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { BrowserCache } from "../../src/hub/browser_cache.ts";
import { openHubFolder } from "../../src/hub/hub.ts";
import { serveHub } from "./fake_hub.ts";
import { bytesOf, ID, MODEL, noticesOf, WEIGHTS, weights } from "./hubs.ts";
import { MemoryCacheStorage } from "./memory_cache_storage.ts";
import { startsBesideEachOther } from "./processes.ts";

Deno.test("BrowserCache downloads again what the browser threw away, also of an open file", async () => {
  const storage = new MemoryCacheStorage();
  await using hub = serveHub({ [ID]: MODEL });
  const { notices, onProgress } = noticesOf();
  const options = { endpoint: hub.endpoint, cache: new BrowserCache(storage), onProgress };
  const folder = openHubFolder(ID, options);
  await using file = await folder.open(WEIGHTS);
  storage.forget(/\/part\/.*\/1-/);
  assertEquals(await file.read(0, file.size), weights);
  assertStringIncludes(
    notices.join(),
    "is damaged: a part of it is lost or has changed; it has to",
  );
  assertEquals(hub.log.filter((line) => line.startsWith("cdn")).length, 2);
  assertEquals(await bytesOf(openHubFolder(ID, options), WEIGHTS), weights);
  assertEquals(hub.log.filter((line) => line.startsWith("cdn")).length, 2);
});

Deno.test("BrowserCache says what it has lost when the hub cannot be reached", async () => {
  const storage = new MemoryCacheStorage();
  await using hub = serveHub({ [ID]: MODEL });
  const options = { endpoint: hub.endpoint, cache: new BrowserCache(storage), retryDelay: 1 };
  await bytesOf(openHubFolder(ID, options), WEIGHTS);
  storage.forget(/\/part\/.*\/1-/);
  const fetch = () => Promise.reject(new TypeError("no network"));
  await assertRejects(
    () => bytesOf(openHubFolder(ID, { ...options, fetch }), WEIGHTS),
    Error,
    "a part of it is lost or has changed; Cannot reach",
  );
});

Deno.test("BrowserCache opens a cache whose database is busy, and does without one that stays so", async () => {
  await using hub = serveHub({ [ID]: MODEL });
  for (const [failures, kept] of [[2, true], [Infinity, false]] as const) {
    const storage = new MemoryCacheStorage();
    let opened = 0;
    const busy = Object.create(storage, {
      open: {
        value: (name: string) =>
          opened++ < failures
            ? Promise.reject(new Error("database is locked"))
            : storage.open(name),
      },
    });
    const { notices, onProgress } = noticesOf();
    const options = { endpoint: hub.endpoint, cache: new BrowserCache(busy), onProgress };
    assertEquals(await openHubFolder(ID, options).readText("vqvae/config.json"), "{}");
    assertEquals(new Set(notices).size, kept ? 0 : 1);
    assertEquals(await storage.has("vq-diffusion"), kept);
  }
});

Deno.test("BrowserCache gives what it has when it is full", async () => {
  const storage = new MemoryCacheStorage();
  await using hub = serveHub({ [ID]: MODEL });
  const options = { endpoint: hub.endpoint, cache: new BrowserCache(storage) };
  await bytesOf(openHubFolder(ID, options), WEIGHTS);
  storage.isFull = true;
  // Another commit, which has the same file.
  const folder = openHubFolder(ID, { ...options, revision: "fp16" });
  assertEquals(await bytesOf(folder, WEIGHTS), weights);
  assertEquals(hub.log.filter((line) => line.startsWith("cdn")).length, 1);
});

Deno.test("BrowserCache serves several downloads of a file at once", async () => {
  const storage = new MemoryCacheStorage();
  await using hub = serveHub({ [ID]: MODEL });
  await Promise.all(Array.from({ length: 4 }, async () => {
    // Each folder has a cache of its own, as each tab has.
    const options = { endpoint: hub.endpoint, cache: new BrowserCache(storage) };
    for (const path of [WEIGHTS, "vqvae/config.json"] as const) {
      const bytes = await bytesOf(openHubFolder(ID, options), path);
      assertEquals(bytes, path === WEIGHTS ? weights : new TextEncoder().encode("{}"));
    }
  }));
});

Deno.test("BrowserCache serves processes that start beside each other with one empty cache", async () => {
  assertEquals(await startsBesideEachOther({ rounds: 1, onDisk: false }), { right: 4, wrong: [] });
});
