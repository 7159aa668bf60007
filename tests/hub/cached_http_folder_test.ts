import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { openFolder } from "../../src/checkpoints/folders.ts";
import { MissingFileError } from "../../src/files/paths.ts";
import { BrowserCache } from "../../src/hub/browser_cache.ts";
import { DiskCache } from "../../src/hub/disk_cache.ts";
import type { HubCache } from "../../src/hub/cache.ts";
import { VQDiffusionPipeline } from "../../src/pipeline/vq_diffusion_pipeline.ts";
import { fileResponse, serveFiles } from "../files/file_server.ts";
import { originalModel } from "../checkpoints/original_files.ts";
import { encodeTorchFile } from "../checkpoints/torch/torch_writer.ts";
import { tinyFiles } from "../pipeline/golden_runs.ts";
import { inTemporaryFolder } from "../temporary_folder.ts";
import { bytesOf, damageFile, noticesOf, weights } from "./hubs.ts";
import { MemoryCacheStorage } from "./memory_cache_storage.ts";

const unplugged = () => Promise.reject(new TypeError("no network"));

/** Runs a test with every kind of cache. */
async function withCaches(test: (cache: HubCache) => Promise<void>): Promise<void> {
  await inTemporaryFolder(async (folder) => {
    await test(new DiskCache(folder));
    await test(new BrowserCache(new MemoryCacheStorage()));
  });
}

/** A server whose files have these headers, such as an ETag. */
function serve(
  files: Record<string, string | Uint8Array<ArrayBuffer>>,
  headersOf: (path: string) => Record<string, string>,
) {
  return serveFiles(files, {
    fault(request, path) {
      const content = files[path];
      if (content === undefined) return undefined;
      const bytes = typeof content === "string" ? new TextEncoder().encode(content) : content;
      return fileResponse(bytes, request.headers.get("range"), headersOf(path));
    },
  });
}

Deno.test("openFolder() over http keeps files and asks whether they have changed", async () => {
  await withCaches(async (cache) => {
    const files: Record<string, string | Uint8Array<ArrayBuffer>> = {
      "config.json": "first",
      "weights.bin": weights,
    };
    for (const header of ["etag", "last-modified"]) {
      let version = header === "etag" ? '"1"' : "Mon, 01 Jan 2024 00:00:00 GMT";
      await using server = serve(files, () => ({ [header]: version }));
      const gets = () => server.log.filter((line) => line.startsWith("GET")).length;
      const read = async () => {
        const folder = await openFolder(server.url, { cache });
        assertEquals(await bytesOf(folder, "weights.bin"), weights);
        return await folder.readText("config.json");
      };
      files["config.json"] = "first";
      assertEquals(await read(), "first");
      const once = gets();
      assertEquals(await read(), "first");
      assertEquals(gets(), once);
      // The same ETag for both files does not confuse them.
      files["config.json"] = "other";
      version = header === "etag" ? '"2"' : "Mon, 01 Jan 2024 00:00:01 GMT";
      assertEquals(await read(), "other");
      assertEquals(gets(), 2 * once);
      assertEquals(await read(), "other");
      assertEquals(gets(), 2 * once);
    }
  });
});

Deno.test("openFolder() over http keeps original checkpoints, and opens them when the server is gone", async () => {
  const { checkpoint, configs } = originalModel();
  const name = "a model.pth";
  const files = { [name]: await encodeTorchFile(checkpoint) };
  const [path, config] = Object.entries(configs)[0]!;
  await withCaches(async (cache) => {
    await using server = serve(files, () => ({ etag: '"1"' }));
    const url = new URL(`${server.url}${encodeURIComponent(name)}`);
    const gets = () => server.log.filter((line) => line.startsWith("GET") && line.includes(".pth"));
    const read = async (fetch?: typeof globalThis.fetch) => {
      const folder = await openFolder(url, { cache, ...fetch && { fetch } });
      assertEquals(JSON.parse(await folder.readText(path)), config);
    };
    await read();
    const once = gets().length;
    assert(once > 0);
    await read();
    assertEquals(gets().length, once);
    await read(unplugged);
    assertEquals(gets().length, once);
  });
});

Deno.test("openFolder() over http uses the cache when the server cannot be reached, and says so", async () => {
  await withCaches(async (cache) => {
    const files = { "config.json": "{}", "a/b.json": "[]" };
    await using server = serve(files, () => ({ etag: 'W/"1"' }));
    const online = await openFolder(server.url, { cache });
    assert(!await online.has("none.json"));
    assertEquals(await online.readText("config.json"), "{}");
    await assertRejects(() => online.open("absent.json"), MissingFileError);
    let asked = 0;
    const silent = () => (asked++, unplugged());
    const answers = [silent, () => Promise.resolve(new Response("broken", { status: 503 }))];
    for (const fetch of answers) {
      const { notices, onProgress } = noticesOf();
      const options = { cache, fetch, onProgress, retryDelay: 1 };
      const folder = await openFolder(server.url, options);
      assert(await folder.has("config.json"));
      assertEquals(await folder.readText("config.json"), "{}");
      assert(!await folder.has("none.json"));
      await assertRejects(() => folder.open("absent.json"), MissingFileError);
      assertEquals(
        notices.filter((notice) => notice.includes("using what is in the cache")).length,
        1,
      );
      // What is neither there nor known to be absent is not taken for absent.
      const error = await assertRejects(() => folder.open("a/b.json"), Error);
      assert(!(error instanceof MissingFileError));
    }
    // One file is asked for, twice, then the cache is used; and the file that nobody knows.
    assertEquals(asked, 2 + 5);
  });
});

Deno.test("openFolder() over http keeps nothing that has no version, or if fetch is replaced", async () => {
  const files = { "config.json": "{}" };
  let headers: Record<string, string> = {};
  await using server = serve(files, () => headers);
  const cache = new BrowserCache(new MemoryCacheStorage());
  const gets = () => server.log.filter((line) => line.startsWith("GET")).length;
  for (let i = 1; i <= 2; i++) {
    await (await openFolder(server.url, { cache })).readText("config.json");
    assertEquals(gets(), i);
  }
  headers = { etag: '"1"' };
  for (let i = 3; i <= 4; i++) {
    await (await openFolder(server.url, { fetch: (...args) => fetch(...args) })).readText(
      "config.json",
    );
    assertEquals(gets(), i);
  }
});

Deno.test("openFolder() over http keeps files of servers that refuse HEAD, and writes them once", async () => {
  await using server = serveFiles({}, {
    fault: (request) =>
      request.method === "HEAD"
        ? new Response(null, { status: 405 })
        : fileResponse(weights, request.headers.get("range"), { etag: '"1"' }),
  });
  const storage = new MemoryCacheStorage();
  for (let i = 0; i < 2; i++) {
    const folder = await openFolder(server.url, { cache: new BrowserCache(storage) });
    assertEquals(await bytesOf(folder, "weights.bin"), weights);
  }
  // The first time both blocks, and then the first to see its ETag.
  assertEquals(server.log.filter((line) => line.startsWith("GET")).length, 3);
});

Deno.test("openFolder() over http downloads damaged files of the cache again, and says so", async () => {
  await inTemporaryFolder(async (root) => {
    await using server = serve({ "weights.bin": weights }, () => ({ etag: '"1"' }));
    const { notices, onProgress } = noticesOf();
    const read = async () => {
      const folder = await openFolder(server.url, { cache: root, onProgress });
      assertEquals(await bytesOf(folder, "weights.bin"), weights);
    };
    await read();
    const [model] = [...Deno.readDirSync(root)];
    for (const { name } of [...Deno.readDirSync(`${root}/${model!.name}/blobs`)]) {
      await damageFile(`${root}/${model!.name}/blobs/${name}`);
    }
    await read();
    assertEquals(notices.length, 1);
    assertMatch(notices[0]!, /is damaged: it has 9000000 bytes and the SHA-256/);
  });
});

Deno.test("VQDiffusionPipeline.fromPretrained() loads a model of a server that is gone from the cache", async () => {
  await withCaches(async (cache) => {
    const draw = async (url: URL, options: { fetch?: typeof fetch }) => {
      await using pipe = await VQDiffusionPipeline.fromPretrained(url, {
        ...{ cache, device: "wasm", threads: 1, retryDelay: 1 },
        ...options,
      });
      const how = { seed: 1, numInferenceSteps: 2, outputType: "tokens" } as const;
      return [...(await pipe.generate("a cat", how)).images[0]!];
    };
    await using server = serve(tinyFiles(), () => ({ etag: '"1"' }));
    const tokens = await draw(server.url, {});
    assertEquals(await draw(server.url, { fetch: unplugged }), tokens);
  });
});
