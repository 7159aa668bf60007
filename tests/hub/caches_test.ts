import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { DiskCache } from "../../src/hub/disk_cache.ts";
import { type HubOptions, openHubFolder } from "../../src/hub/hub.ts";
import { MissingFileError } from "../../src/files/paths.ts";
import { commitOf } from "./fake_hub.ts";
import { bytesOf, ID, MODEL, noticesOf, WEIGHTS, weights, withHub } from "./hubs.ts";

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

Deno.test("openHubFolder() downloads damaged files of the cache again, and says so", async () => {
  await withHub(MODEL, async (hub, options, damage) => {
    const paths = ["vqvae/config.json", WEIGHTS] as const;
    const load = async (options: HubOptions) => {
      const { notices, onProgress } = noticesOf();
      const folder = openHubFolder(ID, { ...options, onProgress });
      assertEquals(await folder.readText(paths[0]), "{}");
      assertEquals(await bytesOf(folder, paths[1]), weights);
      return notices;
    };
    const downloads = () => hub.log.filter((line) => / GET (?!api)/.test(line)).length;
    assertEquals(await load(options), []);
    const once = downloads();
    for (const revision of ["main", commitOf("main")]) {
      const before = downloads();
      await damage();
      const notices = await load({ ...options, revision });
      assertEquals(notices.length, 2);
      for (const notice of notices) {
        assertMatch(notice, /is damaged: .*; it has to be downloaded again$/);
      }
      assertEquals(downloads(), before + once);
      assertEquals(await load({ ...options, revision }), []);
      assertEquals(downloads(), before + once);
    }
  });
});

Deno.test("openHubFolder() says what is damaged when it cannot be downloaded again", async () => {
  await withHub(MODEL, async (_hub, options, damage) => {
    await openHubFolder(ID, options).readText("vqvae/config.json");
    await openHubFolder(ID, options).readText("model_index.json");
    await damage();
    const fetch = () => Promise.reject(new TypeError("no network"));
    for (const offline of [{ fetch }, { localFilesOnly: true }]) {
      const folder = openHubFolder(ID, { ...options, ...offline });
      // It is there, and not one of those that a model may be without.
      assert(await folder.has("vqvae/config.json"));
      const error = await assertRejects(() => folder.readText("vqvae/config.json"), Error);
      assert(!(error instanceof MissingFileError));
      assertMatch(error.message, /is damaged: .*; Cannot (reach|find)/);
    }
  });
});
