import {
  assert,
  assertEquals,
  assertMatch,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { BrowserCache } from "../../src/hub/browser_cache.ts";
import type { HubCache } from "../../src/hub/cache.ts";
import { DiskCache } from "../../src/hub/disk_cache.ts";
import { openFolder } from "../../src/checkpoints/folders.ts";
import { HttpError } from "../../src/files/http.ts";
import { type HubOptions, openHubFolder } from "../../src/hub/hub.ts";
import { isHubId } from "../../src/hub/hub_id.ts";
import { MissingFileError } from "../../src/files/paths.ts";
import type { LoadEvent } from "../../src/files/progress.ts";
import type { ModelFolder } from "../../src/files/source.ts";
import { commitOf, type FakeHub, type FakeModel, serveHub, sha256Of } from "./fake_hub.ts";
import { brokenResponse, fileResponse } from "../files/file_server.ts";
import { MemoryCacheStorage } from "./memory_cache_storage.ts";

const ID = "microsoft/vq-diffusion-ithq";
const WEIGHTS = "vqvae/diffusion_pytorch_model.bin";
const EMBEDDINGS = "learned_classifier_free_sampling_embeddings";
const weights = new Uint8Array(9_000_000).map((_, i) => (i * 7919) >> 7);
const files = {
  "model_index.json": `{"_class_name":"VQDiffusionPipeline","vqvae":["diffusers","VQModel"]}`,
  "vqvae/config.json": "{}",
  [WEIGHTS]: weights,
};
const MODEL: FakeModel = {
  revisions: { main: { ...files, [`${EMBEDDINGS}/config.json`]: "{}" }, fp16: files },
};

/** Runs a test with a hub and with every kind of cache. */
async function withHub(
  model: FakeModel,
  test: (hub: FakeHub, options: HubOptions & { cache: HubCache }) => Promise<void>,
): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    for (const cache of [new DiskCache(folder), new BrowserCache(new MemoryCacheStorage())]) {
      await using hub = serveHub({ [ID]: model });
      await test(hub, { endpoint: hub.endpoint, cache, retryDelay: 1 });
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

async function bytesOf(folder: ModelFolder, path: string): Promise<Uint8Array> {
  await using file = await folder.open(path);
  return await file.read(0, file.size);
}

Deno.test("isHubId() tells ids from paths", () => {
  for (const id of [ID, "a/b", "A.b-c/d_e.f"]) assert(isHubId(id), id);
  for (
    const id of ["a", "./a", "a/b/c", "/a/b", "../a", "a/..", "a/b.", "a--b/c", "a/b c", "-a/b"]
  ) {
    assert(!isHubId(id), id);
  }
});

Deno.test("openHubFolder() refuses malformed ids, revisions and endpoints", () => {
  assertThrows(() => openHubFolder("a/b/c"), TypeError, "expected owner/name");
  assertThrows(
    () => openHubFolder(ID, { revision: "../x" }),
    TypeError,
    'revision is "../x", expected',
  );
  assertThrows(() => openHubFolder(ID, { endpoint: "hub" }), TypeError, "expected an http");
});

Deno.test("openHubFolder() downloads each file once and reads it from the cache then", async () => {
  await withHub(MODEL, async (hub, options) => {
    for (const revision of ["main", "fp16", commitOf("main")]) {
      const folder = openHubFolder(ID, { ...options, revision });
      assertEquals(await folder.readText("vqvae/config.json"), "{}");
      assertEquals(await bytesOf(folder.folder("vqvae"), "diffusion_pytorch_model.bin"), weights);
      assert(await folder.has(WEIGHTS));
      assert(!await folder.has("vqvae/none.bin"));
      await assertRejects(() => folder.open("none.bin"), MissingFileError, `none.bin in ${ID}`);
    }
    assertEquals(hub.log, [
      "hub GET api main",
      "hub HEAD vqvae/config.json",
      "hub GET vqvae/config.json",
      `hub HEAD ${WEIGHTS}`,
      `hub GET ${WEIGHTS}`,
      "cdn GET ",
      "hub GET api fp16",
      "hub HEAD vqvae/config.json",
      `hub HEAD ${WEIGHTS}`,
      `hub GET api ${commitOf("main")}`,
    ]);
  });
});

Deno.test("openHubFolder() works with hubs that have no API and tell no commits", async () => {
  for (const commits of [true, false]) {
    await withHub({ ...MODEL, api: false, commits }, async (hub, options) => {
      for (let i = 0; i < 2; i++) {
        const folder = openHubFolder(ID, options);
        assertEquals(await bytesOf(folder, WEIGHTS), weights);
        assert(await folder.has(WEIGHTS));
        assert(!await folder.has("vqvae/none.bin"));
        await assertRejects(() => folder.open("none.bin"), MissingFileError, "none.bin");
      }
      assertEquals(hub.log.filter((line) => line.startsWith("cdn")).length, 1);
    });
  }
});

Deno.test("openHubFolder() reads by ranges when nothing is to be kept", async () => {
  await using hub = serveHub({ [ID]: MODEL });
  const folder = openHubFolder(ID, { endpoint: hub.endpoint, cache: false });
  await using file = await folder.open(WEIGHTS);
  assertEquals(await file.read(8_500_000, 10), weights.slice(8_500_000, 8_500_010));
  await assertRejects(() => folder.open("none"), MissingFileError, "none");
  assertEquals(hub.log.filter((line) => line.startsWith("cdn")), [
    "cdn GET  bytes=0-8388607",
    "cdn GET  bytes=8388608-8999999",
  ]);
});

Deno.test("openFolder() takes ids of the hub that are no folders", async () => {
  await using hub = serveHub({ [ID]: MODEL });
  const folder = await openFolder(ID, { endpoint: hub.endpoint.href, cache: false });
  assertEquals(await folder.readText("vqvae/config.json"), "{}");
});

Deno.test("openHubFolder() sends the token to the hub and to no other server", async () => {
  await withHub({ ...MODEL, token: "hf_secret" }, async (hub, options) => {
    const folder = openHubFolder(ID, { ...options, token: "hf_secret" });
    assertEquals(await bytesOf(folder, WEIGHTS), weights);
    for (const line of hub.log) assertEquals(line.endsWith("+token"), line.startsWith("hub"), line);
  });
});

Deno.test("openHubFolder() says why the hub refuses", async () => {
  await withHub({ ...MODEL, token: "hf_secret" }, async (hub, options) => {
    await assertRejects(
      () => openHubFolder(ID, options).open("x"),
      HttpError,
      `Cannot open ${ID}: the server answered 401 Unauthorized; there is no such model, or it needs a token`,
    );
    await assertRejects(
      () => openHubFolder(ID, { ...options, token: "wrong" }).open("x"),
      HttpError,
      `accept its terms on ${hub.endpoint}${ID} and give a token`,
    );
    await assertRejects(
      () => openHubFolder("no/model", { ...options, token: "x" }).open("x"),
      HttpError,
      "there is no such model",
    );
    await assertRejects(
      () => openHubFolder(ID, { ...options, token: "hf_secret", revision: "v9" }).open("x"),
      MissingFileError,
      `Cannot open ${ID} at revision "v9": there is no such revision`,
    );
  });
});

Deno.test("openHubFolder() says that fp16 lacks a component, and what works", async () => {
  for (const api of [true, false]) {
    await withHub({ ...MODEL, api }, async (_hub, options) => {
      const folder = openHubFolder(ID, { ...options, revision: "fp16" });
      await assertRejects(
        () => folder.folder(EMBEDDINGS).readText("config.json"),
        MissingFileError,
        `Cannot find ${EMBEDDINGS}/config.json in ${ID} at revision "fp16": that revision has no ` +
          `${EMBEDDINGS}; load the revision "main" with dtype "fp16" instead`,
      );
      const missing = await assertRejects(() => folder.open("vqvae/x"), MissingFileError);
      assert(!missing.message.includes("instead"));
    });
  }
});

Deno.test("openHubFolder() tells about every file and the total", async () => {
  await withHub(MODEL, async (_hub, options) => {
    for (let i = 0; i < 2; i++) {
      const events: LoadEvent[] = [];
      const onProgress = (event: LoadEvent) => void events.push(event);
      const folder = openHubFolder(ID, { ...options, onProgress });
      await folder.readText("model_index.json");
      await bytesOf(folder, WEIGHTS);
      const ofWeights = events.filter((event) => "file" in event && event.file === WEIGHTS);
      const loaded = ofWeights.flatMap((event) => event.type === "progress" ? [event.loaded] : []);
      assertEquals(loaded, loaded.toSorted((a, b) => a - b));
      assertEquals(loaded.at(-1), weights.length);
      assertEquals(ofWeights.at(0)?.type, "initiate");
      assertEquals(ofWeights.at(-1)?.type, "done");
      const total = weights.length + files["model_index.json"].length;
      assertEquals(events.at(-1), { type: "total", loaded: total, total });
      const totals = events.flatMap((event) => event.type === "total" ? [event.total] : []);
      assertEquals(totals.at(3), total, "the weights are counted before they are loaded");
    }
  });
});

Deno.test("openHubFolder() goes on where a connection dropped", async () => {
  await withHub(MODEL, async (hub, options) => {
    let drops = 0;
    hub.fault = ({ server, request, bytes }) => {
      if (server !== "cdn" || !bytes || drops++ >= 6) return undefined;
      const { status, headers } = fileResponse(bytes, request.headers.get("range"));
      const begin = Number(request.headers.get("range")?.match(/\d+/)?.[0] ?? 0);
      return brokenResponse(bytes.slice(begin), 1_000_000, { status, headers });
    };
    const folder = openHubFolder(ID, { ...options, retries: 2 });
    assertEquals(await bytesOf(folder, WEIGHTS), weights);
    assertEquals(hub.log.filter((line) => line.startsWith("cdn")).length, 7);
    assertMatch(hub.log.at(-1) ?? "", /bytes=[4-6]\d{6}-/);
  });
});

Deno.test("openHubFolder() goes on with a download that was stopped", async () => {
  await withHub(MODEL, async (hub, options) => {
    const controller = new AbortController();
    const stopped = openHubFolder(ID, {
      ...options,
      signal: controller.signal,
      onProgress(event) {
        const far = event.type === "progress" && event.loaded > 8_500_000;
        if (far) controller.abort(new Error("stopped"));
      },
    });
    await assertRejects(() => stopped.open(WEIGHTS), Error, "stopped");
    assertEquals(await bytesOf(openHubFolder(ID, options), WEIGHTS), weights);
    assertMatch(hub.log.at(-1) ?? "", /^cdn GET {2}bytes=8[345]\d{5}-$/);
  });
});

Deno.test("openHubFolder() begins again when a server cannot give parts", async () => {
  await withHub(MODEL, async (hub, options) => {
    let requests = 0;
    hub.fault = ({ server, bytes }) => {
      if (server !== "cdn" || !bytes) return undefined;
      return requests++ === 0 ? brokenResponse(bytes, 8_500_000) : fileResponse(bytes, null);
    };
    assertEquals(await bytesOf(openHubFolder(ID, options), WEIGHTS), weights);
    assertEquals(requests, 2);
  });
});

Deno.test("openHubFolder() waits as long as a busy hub asks it to", async () => {
  await withHub(MODEL, async (hub, options) => {
    const answers = [429, 503, 429, 503].map((status) =>
      new Response("busy", { status, headers: { "retry-after": "0" } })
    );
    hub.fault = () => answers.shift();
    const notices: string[] = [];
    const folder = openHubFolder(ID, {
      ...options,
      onProgress: (event) => event.type === "notice" && notices.push(event.message),
    });
    assertEquals(await folder.readText("vqvae/config.json"), "{}");
    assertEquals(notices.length, 4);
    assertMatch(notices[0] ?? "", /answered 429; trying again in 0\.0 seconds/);
  });
});

Deno.test("openHubFolder() refuses and forgets a file with a wrong hash", async () => {
  await withHub(MODEL, async (hub, options) => {
    const wrong = weights.slice().fill(1, 100, 101);
    hub.fault = ({ server, request }) =>
      server === "cdn" ? fileResponse(wrong, request.headers.get("range")) : undefined;
    await assertRejects(
      () => openHubFolder(ID, options).open(WEIGHTS),
      Error,
      `its SHA-256 is ${sha256Of(wrong)}, expected ${sha256Of(weights)}`,
    );
    hub.fault = undefined;
    assertEquals(await bytesOf(openHubFolder(ID, options), WEIGHTS), weights);
    assertEquals(hub.log.at(-1), "cdn GET ");
  });
});

Deno.test("openHubFolder() downloads again what was damaged before it was stopped", async () => {
  await withHub(MODEL, async (hub, options) => {
    const wrong = weights.slice().fill(1, 100, 101);
    hub.fault = ({ server }) => server === "cdn" ? brokenResponse(wrong, 8_500_000) : undefined;
    const folder = openHubFolder(ID, { ...options, retries: 0 });
    await assertRejects(() => folder.open(WEIGHTS), Error, "Cannot download");
    hub.fault = undefined;
    assertEquals(await bytesOf(openHubFolder(ID, options), WEIGHTS), weights);
    assertEquals(hub.log.filter((line) => line.startsWith("cdn")).length, 3);
  });
});

Deno.test("openHubFolder() refuses a file of another length", async () => {
  await withHub(MODEL, async (hub, options) => {
    const longer = new Uint8Array(weights.length + 1);
    hub.fault = ({ server }) => server === "cdn" ? fileResponse(longer, null) : undefined;
    await assertRejects(() => openHubFolder(ID, options).open(WEIGHTS), Error, "more than 9000000");
    hub.fault = ({ server }) => server === "cdn" ? new Response("short") : undefined;
    const folder = openHubFolder(ID, { ...options, retries: 1 });
    await assertRejects(() => folder.open(WEIGHTS), Error, "the connection was closed early");
  });
});

Deno.test("openHubFolder() has patience with slow bytes and none with silence", async () => {
  const config = new TextEncoder().encode(`{"slow":true}`);
  await withHub({ revisions: { main: { "a.json": config } } }, async (hub, options) => {
    hub.fault = ({ request, bytes }) => {
      if (request.method !== "GET" || !bytes) return undefined;
      let sent = 0;
      const body = new ReadableStream<Uint8Array>({
        async pull(controller) {
          await new Promise((resolve) => setTimeout(resolve, 2));
          if (sent === bytes.length) controller.close();
          else controller.enqueue(bytes.slice(sent, ++sent));
        },
      });
      return new Response(body, { headers: { "content-length": String(bytes.length) } });
    };
    const folder = openHubFolder(ID, { ...options, stallTimeout: 5_000 });
    assertEquals(await folder.readText("a.json"), `{"slow":true}`);
  });
  await withHub({ revisions: { main: { "a.json": config } } }, async (hub, options) => {
    hub.fault = ({ request, bytes }) =>
      request.method === "GET" && bytes ? new Response(new ReadableStream({})) : undefined;
    const folder = openHubFolder(ID, { ...options, retries: 1, stallTimeout: 50 });
    await assertRejects(() => folder.open("a.json"), Error, "no data came for 0.05 seconds");
  });
});

Deno.test("openHubFolder() uses the cache when the hub cannot be reached", async () => {
  await withHub(MODEL, async (hub, options) => {
    const online = openHubFolder(ID, options);
    await online.readText("vqvae/config.json");
    await assertRejects(() => online.open("optional.json"), MissingFileError);
    const fetch = () => Promise.reject(new TypeError("no network"));
    const notices: string[] = [];
    const folder = openHubFolder(ID, {
      ...options,
      fetch,
      onProgress: (event) => event.type === "notice" && notices.push(event.message),
    });
    assertEquals(await folder.readText("vqvae/config.json"), "{}");
    assertMatch(notices.at(-1) ?? "", /no network; using what is in the cache/);
    assert(await folder.has("vqvae/config.json"));
    assert(!await folder.has(WEIGHTS));
    await assertRejects(() => folder.open(WEIGHTS), Error, `Cannot reach ${hub.endpoint}api`);
    await assertRejects(() => folder.open("optional.json"), MissingFileError, "optional.json");
    await assertRejects(
      () => openHubFolder(ID, { ...options, fetch, revision: "fp16" }).open(WEIGHTS),
      Error,
      "Cannot reach",
    );
  });
});

Deno.test("openHubFolder() downloads a file once when it is opened several times at once", async () => {
  await withHub(MODEL, async (hub, options) => {
    const folders = [openHubFolder(ID, options), openHubFolder(ID, options)];
    await Promise.all(
      [...folders, ...folders].map((folder) => folder.readText("vqvae/config.json")),
    );
    const downloads = hub.log.filter((line) => line === "hub GET vqvae/config.json");
    // The Cache API has no locks: there each folder counts for itself.
    assert(downloads.length <= (options.cache instanceof DiskCache ? 1 : 2));
  });
});

Deno.test("openHubFolder() follows redirects inside the hub, but not forever", async () => {
  await withHub(MODEL, async (hub, options) => {
    hub.fault = ({ request }) => {
      const { pathname, search } = new URL(request.url);
      if (!pathname.includes("/old/")) return undefined;
      const location = pathname.replace("/old/", "/microsoft/").replace("/old", "/microsoft");
      return new Response(null, { status: 307, headers: { location: location + search } });
    };
    const folder = openHubFolder("old/vq-diffusion-ithq", options);
    assertEquals(await folder.readText("vqvae/config.json"), "{}");
    hub.fault = ({ request }) =>
      new Response(null, { status: 302, headers: { location: request.url } });
    await assertRejects(
      () => openHubFolder(ID, { ...options, retries: 0 }).open("vqvae/config.json"),
      Error,
      "the hub redirects more than 10 times",
    );
  });
});

Deno.test("DiskCache has the layout of huggingface_hub", async () => {
  const root = await Deno.makeTempDir();
  try {
    await using hub = serveHub({ [ID]: MODEL });
    const folder = openHubFolder(ID, { endpoint: hub.endpoint, cache: root });
    await folder.readText("vqvae/config.json");
    const model = `${root}/models--microsoft--vq-diffusion-ithq`;
    const commit = commitOf("main");
    assertEquals(await Deno.readTextFile(`${model}/refs/main`), commit);
    const snapshot = `${model}/snapshots/${commit}/vqvae/config.json`;
    assertEquals(await Deno.readTextFile(snapshot), "{}");
    assertMatch(await Deno.readLink(snapshot), /^\.\.\/\.\.\/\.\.\/blobs\/[0-9a-f]{40}$/);
    // A link whose content was deleted is made again.
    await Deno.remove(`${model}/blobs`, { recursive: true });
    assertEquals(await folder.readText("vqvae/config.json"), "{}");
    assertEquals(await Deno.readTextFile(snapshot), "{}");
  } finally {
    await Deno.remove(root, { recursive: true });
  }
});

Deno.test("BrowserCache says when the browser threw a part away", async () => {
  const storage = new MemoryCacheStorage();
  await using hub = serveHub({ [ID]: MODEL });
  const options = { endpoint: hub.endpoint, cache: new BrowserCache(storage) };
  const folder = openHubFolder(ID, options);
  await bytesOf(folder, WEIGHTS);
  storage.forget((url) => url.endsWith("/1"));
  const lost = await assertRejects(() => bytesOf(folder, WEIGHTS), Error);
  assertStringIncludes(lost.message, "the cache has lost a part of it; load it again");
  assertEquals(await bytesOf(openHubFolder(ID, options), WEIGHTS), weights);
});
