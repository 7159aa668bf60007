// A cache that Python's huggingface_hub has filled, where the hub cannot be asked, or nothing be written.

import { assert, assertEquals, assertRejects } from "@std/assert";
import { createWasmBackend } from "../../src/backends/wasm/wasm_backend.ts";
import { MissingFileError } from "../../src/files/paths.ts";
import type { LoadEvent } from "../../src/files/progress.ts";
import type { HubCache } from "../../src/hub/cache.ts";
import { DiskCache } from "../../src/hub/disk_cache.ts";
import { type HubOptions, openHubFolder } from "../../src/hub/hub.ts";
import { VQDiffusionPipeline } from "../../src/pipeline/vq_diffusion_pipeline.ts";
import { below, expectedRun, filesOf } from "../python_files.ts";
import { inTemporaryFolder } from "../temporary_folder.ts";
import { commitOf, serveHub } from "./fake_hub.ts";

const ID = "owner/model";
const COMMIT = commitOf("main");
const MODEL = below(filesOf("saved_by_today"), "model") as Record<string, Uint8Array<ArrayBuffer>>;

/** What `snapshot_download` leaves behind: files in the snapshot, and nothing about absent ones. */
async function fillCache(root: string, files: typeof MODEL = MODEL): Promise<string> {
  const model = `${root}/models--owner--model`;
  for (const [path, bytes] of Object.entries(files)) {
    const file = `${model}/snapshots/${COMMIT}/${path}`;
    await Deno.mkdir(file.slice(0, file.lastIndexOf("/")), { recursive: true });
    await Deno.writeFile(file, bytes);
  }
  await Deno.mkdir(`${model}/refs`);
  await Deno.writeTextFile(`${model}/refs/main`, COMMIT);
  return model;
}

const unplugged = () => Promise.reject(new TypeError("no network"));

/** A cache whose files may only be read. */
function readOnly(root: string): HubCache {
  const cache = new DiskCache(root);
  const refuse = () => Promise.reject(new Error("Read-only file system (os error 30)"));
  return {
    find: (file) => cache.find(file),
    isAbsent: (file) => cache.isAbsent(file),
    filesOf: (repository, commit) => cache.filesOf(repository, commit),
    commitOf: (repository, revision) => cache.commitOf(repository, revision),
    download: refuse,
    setAbsent: refuse,
    setCommit: refuse,
  };
}

Deno.test("VQDiffusionPipeline.fromPretrained() loads what snapshot_download fetched, without the network", async () => {
  await inTemporaryFolder(async (root) => {
    await fillCache(root);
    await using backend = await createWasmBackend({ threads: 1, simd: "simd" });
    let asked = 0;
    const fetch = () => (asked++, unplugged());
    const ways: HubOptions[] = [
      { cache: root, retryDelay: 1 },
      { cache: readOnly(root), retryDelay: 1 },
      { cache: root, revision: COMMIT, retryDelay: 1 },
      { cache: root, localFilesOnly: true },
    ];
    for (const way of ways) {
      asked = 0;
      const options = { ...way, fetch, backend };
      await using pipe = await VQDiffusionPipeline.fromPretrained(ID, options);
      assertEquals(asked > 0, !way.localFilesOnly);
      const { prompt, tokens, image: _, ...run } = expectedRun();
      const { images } = await pipe.generate(prompt, { ...run, outputType: "tokens" });
      assertEquals([...images[0]!], tokens.at(-1));
    }
  });
});

Deno.test("openHubFolder() goes by the list of files that huggingface_hub 1 keeps", async () => {
  await inTemporaryFolder(async (root) => {
    const { "model_index.json": _, ...others } = MODEL;
    const model = await fillCache(root, others);
    const open = () => openHubFolder(ID, { cache: root, fetch: unplugged, retryDelay: 1 });
    // Nothing says that all there is was fetched.
    await assertRejects(() => open().readText("none.json"), Error, "no network");
    await Deno.mkdir(`${model}/trees`);
    const files = Object.fromEntries(Object.keys(MODEL).map((path) => [path, { size: 1 }]));
    const tree = JSON.stringify({ format_version: 1, files });
    await Deno.writeTextFile(`${model}/trees/${COMMIT}.json`, tree);
    await assertRejects(() => open().readText("none.json"), MissingFileError, "none.json");
    // It is in the commit, but was not fetched.
    const error = await assertRejects(() => open().readText("model_index.json"), Error);
    assert(!(error instanceof MissingFileError) && error.message.includes("no network"));
    await Deno.writeTextFile(`${model}/trees/${COMMIT}.json`, "{");
    await assertRejects(() => open().readText("none.json"), Error, "no network");
  });
});

Deno.test("openHubFolder() asks nobody with localFilesOnly, and says what the cache lacks", async () => {
  await inTemporaryFolder(async (root) => {
    const fetch = () => {
      throw new Error("asked");
    };
    for (const cache of [root, false] as const) {
      await assertRejects(
        () => openHubFolder(ID, { cache, localFilesOnly: true, fetch }).readText("a.json"),
        MissingFileError,
        "Cannot find owner/model in the cache, and the hub is not to be asked",
      );
    }
  });
});

Deno.test("openHubFolder() reads from the hub what a cache does not take, and says so", async () => {
  await inTemporaryFolder(async (root) => {
    await using hub = serveHub({
      [ID]: { revisions: { main: { "a.json": "{}", "b.json": "[]" } } },
    });
    const notices: string[] = [];
    const onProgress = (event: LoadEvent) =>
      void (event.type === "notice" && notices.push(event.message));
    const options = { endpoint: hub.endpoint, cache: readOnly(root), onProgress };
    const folder = openHubFolder(ID, options);
    assertEquals([await folder.readText("a.json"), await folder.readText("b.json")], ["{}", "[]"]);
    await assertRejects(() => folder.readText("none.json"), MissingFileError);
    assertEquals(
      new Set(notices),
      new Set(["The cache cannot be written: Read-only file system (os error 30)"]),
    );
  });
});

Deno.test("DiskCache.setCommit() writes nothing if the revision is that commit", async () => {
  await inTemporaryFolder(async (root) => {
    const model = await fillCache(root);
    const cache = new DiskCache(root);
    const inode = async () => (await Deno.stat(`${model}/refs/main`)).ino;
    const before = await inode();
    await cache.setCommit(ID, "main", COMMIT);
    assertEquals(await inode(), before);
    await cache.setCommit(ID, "main", commitOf("fp16"));
    assert(await inode() !== before);
    assertEquals(await cache.commitOf(ID, "main"), commitOf("fp16"));
  });
});

Deno.test("openHubFolder() waits less for a hub that is silent if there is a cache", async () => {
  await inTemporaryFolder(async (root) => {
    let asked = 0;
    const waits: number[] = [];
    const fetch: typeof globalThis.fetch = (_, init) => {
      asked++;
      return new Promise((_, reject) => {
        const { signal } = init!;
        signal!.addEventListener("abort", () => reject(signal!.reason));
      });
    };
    const onProgress = (event: LoadEvent) => {
      const seconds = event.type === "notice" && event.message.match(/no data came for ([\d.]+)/);
      if (seconds) waits.push(Number(seconds[1]));
    };
    const options = { cache: root, fetch, onProgress, stallTimeout: 20, retryDelay: 1 };
    await assertRejects(() => openHubFolder(ID, options).readText("model_index.json"), Error);
    assertEquals(asked, 5);
    await fillCache(root);
    asked = 0;
    await openHubFolder(ID, options).readText("model_index.json");
    assertEquals(asked, 2);
    assertEquals(new Set(waits), new Set([0.02]));
  });
});
