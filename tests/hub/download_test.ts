import { assertEquals, assertMatch, assertRejects } from "@std/assert";
import type { HubCache } from "../../src/hub/cache.ts";
import { openHubFolder } from "../../src/hub/hub.ts";
import { brokenResponse, fileResponse } from "../files/file_server.ts";
import { commitOf, sha256Of } from "./fake_hub.ts";
import { bytesOf, ID, MODEL, noticesOf, WEIGHTS, weights, withHub } from "./hubs.ts";

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
      `it has the SHA-256 ${sha256Of(wrong)}, expected ${sha256Of(weights)}`,
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

Deno.test("openHubFolder() refuses small files with another hash than git's, with a cache and without", async () => {
  await withHub(MODEL, async (hub, options) => {
    hub.fault = ({ path, request }) =>
      path === "vqvae/config.json" && request.method === "GET" ? new Response("[]") : undefined;
    for (const cache of [options.cache, false] as const) {
      await assertRejects(
        () => openHubFolder(ID, { ...options, cache }).readText("vqvae/config.json"),
        Error,
        "the SHA-1 of git 0637a088a01e8ddab3bf3fa98dbe804cbde1a0dc, expected 9e26dfeeb6e641a33dae4961196235bdb965b21b",
      );
    }
    hub.fault = undefined;
    assertEquals(await openHubFolder(ID, options).readText("vqvae/config.json"), "{}");
  });
});

Deno.test("openHubFolder() gives up when each connection brings one byte", async () => {
  await withHub(MODEL, async (hub, options) => {
    let connections = 0;
    hub.fault = ({ server, request, bytes }) => {
      if (server !== "cdn" || !bytes) return undefined;
      connections++;
      const begin = Number(request.headers.get("range")?.match(/\d+/)?.[0] ?? 0);
      const { status, headers } = fileResponse(bytes, request.headers.get("range"));
      return brokenResponse(bytes.slice(begin), 1, { status, headers });
    };
    for (const cache of [options.cache, false] as const) {
      connections = 0;
      const folder = openHubFolder(ID, { ...options, cache, retries: 3 });
      await assertRejects(
        async () => {
          await using file = await folder.open(WEIGHTS);
          await file.read(0, 10);
        },
        Error,
        WEIGHTS,
      );
      // One, and three more tries.
      assertEquals(connections, 4);
    }
  });
});

Deno.test("openHubFolder() asks again for a list that breaks off", async () => {
  await withHub(MODEL, async (hub, options) => {
    const list = new TextEncoder().encode(`{"sha":"${commitOf("main")}","siblings":[`);
    const headers = { "content-type": "application/json" };
    let broken: Response[] = [];
    hub.fault = ({ path }) => path === "api main" ? broken.shift() : undefined;
    broken = [new Response(list, { headers }), brokenResponse(list, 20, { headers })];
    const { notices, onProgress } = noticesOf();
    const folder = openHubFolder(ID, { ...options, onProgress });
    assertEquals(await folder.readText("vqvae/config.json"), "{}");
    assertEquals(notices.length, 2);
    assertMatch(notices[0]!, /the answer is broken JSON; trying again/);
    hub.fault = ({ path }) => path === "api fp16" ? new Response(list, { headers }) : undefined;
    await assertRejects(
      () => openHubFolder(ID, { ...options, revision: "fp16" }).open(WEIGHTS),
      Error,
      `Cannot read the list of files of ${ID} at revision "fp16": the answer is broken JSON`,
    );
  });
});

Deno.test("openHubFolder() says that the disk is full, and reads from the hub", async () => {
  await withHub(MODEL, async (_hub, options) => {
    const full = Object.create(options.cache, {
      download: {
        value: async (...args: Parameters<HubCache["download"]>) => {
          const download = await options.cache.download(...args);
          const append = () =>
            Promise.reject(
              new Error("Cannot write weights: No space left on device (os error 28)"),
            );
          return download && Object.defineProperty(download, "append", { value: append });
        },
      },
      find: { value: options.cache.find.bind(options.cache) },
      commitOf: { value: options.cache.commitOf.bind(options.cache) },
      setCommit: { value: options.cache.setCommit.bind(options.cache) },
    });
    const { notices, onProgress } = noticesOf();
    const folder = openHubFolder(ID, { ...options, cache: full, onProgress });
    assertEquals(await bytesOf(folder, WEIGHTS), weights);
    assertEquals(notices, [
      "The cache cannot be written: Cannot write weights: No space left on device (os error 28)",
    ]);
  });
});
