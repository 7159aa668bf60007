/**
 * A model on a hub, and tests that run with every kind of cache.
 *
 * @module
 */

import { BrowserCache } from "../../src/hub/browser_cache.ts";
import type { HubCache } from "../../src/hub/cache.ts";
import { DiskCache } from "../../src/hub/disk_cache.ts";
import type { HubOptions } from "../../src/hub/hub.ts";
import type { LoadEvent, OnProgress } from "../../src/files/progress.ts";
import type { ModelFolder } from "../../src/files/source.ts";
import { inTemporaryFolder } from "../temporary_folder.ts";
import { type FakeHub, type FakeModel, serveHub } from "./fake_hub.ts";
import { MemoryCacheStorage } from "./memory_cache_storage.ts";

/** Id of the model. */
export const ID = "microsoft/vq-diffusion-ithq";
/** Its big file, of more than one part in the cache of browsers. */
export const WEIGHTS = "vqvae/diffusion_pytorch_model.bin";
/** A folder that the revision `fp16` lacks. */
export const EMBEDDINGS = "learned_classifier_free_sampling_embeddings";
/** Content of the big file. */
export const weights: Uint8Array<ArrayBuffer> = new Uint8Array(9_000_000).map((_, i) =>
  (i * 7919) >> 7
);
/** The files of both revisions. */
export const files = {
  "model_index.json": `{"_class_name":"VQDiffusionPipeline","vqvae":["diffusers","VQModel"]}`,
  "vqvae/config.json": "{}",
  [WEIGHTS]: weights,
};
/** The model. */
export const MODEL: FakeModel = {
  revisions: { main: { ...files, [`${EMBEDDINGS}/config.json`]: "{}" }, fp16: files },
};

/** Options of a test: the hub and one of the caches. */
export type TestOptions = HubOptions & { readonly cache: HubCache };

/**
 * Runs a test with a hub and with every kind of cache; `damage` changes the last byte of every content that the
 * cache has.
 */
export async function withHub(
  model: FakeModel,
  test: (hub: FakeHub, options: TestOptions, damage: () => Promise<void>) => Promise<void>,
): Promise<void> {
  await inTemporaryFolder(async (folder) => {
    const storage = new MemoryCacheStorage();
    const caches = [
      [new DiskCache(folder), () => damageBlobs(folder)],
      [new BrowserCache(storage), () => Promise.resolve(storage.damage(/\/part\//))],
    ] as const;
    for (const [cache, damage] of caches) {
      await using hub = serveHub({ [ID]: model });
      await test(hub, { endpoint: hub.endpoint, cache, retryDelay: 1 }, damage);
    }
  });
}

/** Changes the last byte of every content below a folder of models. */
async function damageBlobs(root: string): Promise<void> {
  for await (const { name: model } of Deno.readDir(root)) {
    for await (const { name } of Deno.readDir(`${root}/${model}/blobs`)) {
      await damageFile(`${root}/${model}/blobs/${name}`);
    }
  }
}

/** Changes the last byte of a file. */
export async function damageFile(path: string): Promise<void> {
  const bytes = await Deno.readFile(path);
  bytes[bytes.length - 1]! ^= 1;
  await Deno.writeFile(path, bytes);
}

/** All bytes of a file. */
export async function bytesOf(folder: ModelFolder, path: string): Promise<Uint8Array> {
  await using file = await folder.open(path);
  return await file.read(0, file.size);
}

/** A listener, and the notices that it has heard. */
export function noticesOf(): { readonly notices: string[]; readonly onProgress: OnProgress } {
  const notices: string[] = [];
  const onProgress = (event: LoadEvent) =>
    void (event.type === "notice" && notices.push(event.message));
  return { notices, onProgress };
}
