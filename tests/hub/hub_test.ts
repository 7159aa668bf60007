import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { openFolder } from "../../src/checkpoints/folders.ts";
import { HttpError } from "../../src/files/http.ts";
import { openHubFolder } from "../../src/hub/hub.ts";
import { isHubId } from "../../src/hub/hub_id.ts";
import { MissingFileError } from "../../src/files/paths.ts";
import type { LoadEvent } from "../../src/files/progress.ts";
import { commitOf, serveHub } from "./fake_hub.ts";
import { bytesOf, EMBEDDINGS, files, ID, MODEL, WEIGHTS, weights, withHub } from "./hubs.ts";

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
      `hub GET api ${commitOf("main")}`,
    ]);
  });
});

Deno.test("openHubFolder() copies no text into the cache that is too long", async () => {
  const big = { revisions: { main: { "config.json": new Uint8Array(65 * 2 ** 20) } } };
  await withHub(big, async (hub, options) => {
    const folder = openHubFolder(ID, options);
    await assertRejects(() => folder.readText("config.json"), RangeError, "a text may be 64 MiB");
    assertEquals(hub.log.filter((line) => line.startsWith("cdn")), ["cdn GET  bytes=0-8388607"]);
  });
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
