import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { fileSystem } from "../../src/files/find_file_system.ts";
import { TakenOverError } from "../../src/hub/cache.ts";
import { writeFile } from "../../src/hub/checked_files.ts";
import { DiskCache } from "../../src/hub/disk_cache.ts";
import { openHubFolder } from "../../src/hub/hub.ts";
import { inTemporaryFolder } from "../temporary_folder.ts";
import { commitOf, gitHash, serveHub, sha256Of } from "./fake_hub.ts";
import { bytesOf, damageFile, noticesOf } from "./hubs.ts";
import { startsBesideEachOther } from "./processes.ts";

const ID = "owner/model";
const COMMIT = commitOf("main");
const weights = new Uint8Array(3_000_000).map((_, i) => (i * 7919) >> 7);
const hash = sha256Of(weights);
const MODEL = { revisions: { main: { "weights.bin": weights, "a/config.json": "{}" } } };

/** Loads the weights in a process that may use the cache folder and the network, and nothing else. */
function load(endpoint: URL, root: string): Deno.ChildProcess {
  const hub = new URL("../../src/hub/hub.ts", import.meta.url);
  const code = `import { openHubFolder } from ${JSON.stringify(hub)};
    const options = { endpoint: ${JSON.stringify(endpoint)}, cache: ${JSON.stringify(root)} };
    const file = await openHubFolder(${JSON.stringify(ID)}, options).open("weights.bin");
    console.log(file.size);`;
  const allow = [`--allow-read=${root}`, `--allow-write=${root}`, "--allow-net=127.0.0.1"];
  const options = ["--quiet", "--no-prompt", "--no-config", "--no-lock"];
  return new Deno.Command(Deno.execPath(), {
    args: ["run", ...options, ...allow, `data:,${encodeURIComponent(code)}`],
    stdout: "piped",
    stderr: "piped",
  }).spawn();
}

/** Names and lengths of the contents of the model in a cache, and of what is on its way. */
async function blobsIn(root: string): Promise<Record<string, number>> {
  const folder = `${root}/models--owner--model/blobs`;
  const blobs: Record<string, number> = {};
  try {
    for await (const { name } of Deno.readDir(folder)) {
      blobs[name] = (await Deno.stat(`${folder}/${name}`)).size;
    }
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  return blobs;
}

Deno.test("writeFile() leaves nothing where it cannot write", async () => {
  await inTemporaryFolder(async (root) => {
    await Deno.mkdir(`${root}/taken/inner`, { recursive: true });
    await assertRejects(async () => {
      await writeFile(await fileSystem("write"), `${root}/taken`, "text");
    });
    assertEquals(Array.from(Deno.readDirSync(root), ({ name }) => name), ["taken"]);
  });
});

Deno.test("DiskCache has the layout of huggingface_hub", async () => {
  await inTemporaryFolder(async (root) => {
    await using hub = serveHub({ [ID]: MODEL });
    const folder = openHubFolder(ID, { endpoint: hub.endpoint, cache: root });
    await folder.readText("a/config.json");
    const model = `${root}/models--owner--model`;
    assertEquals(await Deno.readTextFile(`${model}/refs/main`), COMMIT);
    const snapshot = `${model}/snapshots/${COMMIT}/a/config.json`;
    assertEquals(await Deno.readTextFile(snapshot), "{}");
    assertEquals(
      await Deno.readLink(snapshot),
      `../../../blobs/${gitHash(new Uint8Array([123, 125]))}`,
    );
    // A link whose content was deleted is made again.
    await Deno.remove(`${model}/blobs`, { recursive: true });
    assertEquals(await folder.readText("a/config.json"), "{}");
    assertEquals(await Deno.readTextFile(snapshot), "{}");
  });
});

Deno.test("DiskCache goes on after a process was killed, with permissions for its folder only", async () => {
  await inTemporaryFolder(async (root) => {
    await using hub = serveHub({ [ID]: MODEL });
    // Two thirds of the file, and then silence.
    const part = () => new ReadableStream({ start: (c) => c.enqueue(weights.slice(0, 2_000_000)) });
    hub.fault = ({ server }) => server === "cdn" ? new Response(part()) : undefined;
    const first = load(hub.endpoint, root);
    while (!Object.values(await blobsIn(root)).includes(2_000_000)) {
      await new Promise((done) => setTimeout(done, 20));
    }
    first.kill("SIGKILL");
    await first.output();
    hub.fault = undefined;
    const second = await load(hub.endpoint, root).output();
    assertEquals(new TextDecoder().decode(second.stderr), "");
    assertEquals(new TextDecoder().decode(second.stdout), "3000000\n");
    assertEquals(hub.log.at(-1), "cdn GET  bytes=2000000-");
    // Links need more permissions than that, so the file itself is in the snapshot.
    const snapshot = `${root}/models--owner--model/snapshots/${COMMIT}/weights.bin`;
    assert((await Deno.lstat(snapshot)).isFile);
    assertEquals(await Deno.readFile(snapshot), weights);
    assertEquals(await blobsIn(root), {});
    // It is checked there, too.
    await damageFile(snapshot);
    const third = await load(hub.endpoint, root).output();
    assertEquals(new TextDecoder().decode(third.stdout), "3000000\n");
    assertEquals(await Deno.readFile(snapshot), weights);
    assertEquals(hub.log.at(-1), "cdn GET ");
  });
});

Deno.test("DiskCache takes over a download that stands still, and its owner notices", async () => {
  await inTemporaryFolder(async (root) => {
    const file = { repository: ID, commit: COMMIT, path: "weights.bin", etag: hash };
    await using first = (await new DiskCache(root).download(file))!;
    await first.append(weights.slice(0, 1_000_000));
    await using second = (await new DiskCache(root).download(file))!;
    assertEquals(second.size, 1_000_000);
    await assertRejects(() => first.append(weights.slice(0, 1)), TakenOverError);
    await assertRejects(() => first.finish(hash), TakenOverError);
    const chunks = [];
    for await (const chunk of second.chunks()) chunks.push(chunk.slice());
    assertEquals(await new Blob(chunks).bytes(), weights.slice(0, 1_000_000));
    // What the first had written cannot disturb what comes after a restart.
    await second.restart();
    await second.append(weights);
    await second.finish(hash);
    assertEquals(await new DiskCache(root).download(file), undefined);
    await using found = (await new DiskCache(root).find(file))!;
    assertEquals(await found.read(0, found.size), weights);
    await first[Symbol.asyncDispose]();
    assertEquals(await blobsIn(root), { [hash]: weights.length });
  });
});

Deno.test("DiskCache goes on with what Python left long ago, and not with what it may be writing", async () => {
  for (const old of [true, false]) {
    await inTemporaryFolder(async (root) => {
      await using hub = serveHub({ [ID]: MODEL });
      const blobs = `${root}/models--owner--model/blobs`;
      await Deno.mkdir(blobs, { recursive: true });
      const path = `${blobs}/${hash}.incomplete`;
      await Deno.writeFile(path, weights.slice(0, 1_000_000));
      if (old) await Deno.utime(path, new Date(0), new Date(0));
      const folder = openHubFolder(ID, { endpoint: hub.endpoint, cache: root });
      assertEquals(await bytesOf(folder, "weights.bin"), weights);
      assertEquals(hub.log.at(-1), old ? "cdn GET  bytes=1000000-" : "cdn GET ");
      const left = old ? {} : { [`${hash}.incomplete`]: 1_000_000 };
      assertEquals(await blobsIn(root), { ...left, [hash]: weights.length });
    });
  }
});

Deno.test("DiskCache checks what others put into it, down to empty files", async () => {
  await inTemporaryFolder(async (root) => {
    await using hub = serveHub({ [ID]: MODEL });
    const model = `${root}/models--owner--model`;
    await Deno.mkdir(`${model}/snapshots/${COMMIT}`, { recursive: true });
    await Deno.mkdir(`${model}/blobs`);
    await Deno.symlink(`../../blobs/${hash}`, `${model}/snapshots/${COMMIT}/weights.bin`);
    const damaged = [new Uint8Array(), weights.slice(0, 1_500_000), weights.with(7, 0)];
    for (const bytes of damaged) {
      await Deno.writeFile(`${model}/blobs/${hash}`, bytes);
      const { notices, onProgress } = noticesOf();
      const options = { endpoint: hub.endpoint, cache: root, onProgress };
      assertEquals(await bytesOf(openHubFolder(ID, options), "weights.bin"), weights);
      assertEquals(notices.length, 1);
      assertMatch(
        notices[0]!,
        /weights\.bin is damaged: it has \d+ bytes and the SHA-256 [0-9a-f]{64}, expected/,
      );
    }
    assertEquals(hub.log.filter((line) => line.startsWith("cdn")).length, damaged.length);
    // What Python put there in order is read as it is.
    await Deno.remove(`${model}/.verified`, { recursive: true });
    assertEquals(
      await bytesOf(openHubFolder(ID, { cache: root, revision: COMMIT }), "weights.bin"),
      weights,
    );
  });
});

Deno.test("DiskCache checks files when they have changed, always or never, as it is asked", async () => {
  await inTemporaryFolder(async (root) => {
    await using hub = serveHub({ [ID]: MODEL });
    const open = (verify: "always" | "changed" | "never") =>
      openHubFolder(ID, { endpoint: hub.endpoint, cache: root, verify });
    await bytesOf(open("changed"), "weights.bin");
    const blob = `${root}/models--owner--model/blobs/${hash}`;
    await damageFile(blob);
    const wrong = await Deno.readFile(blob);
    assertEquals(await bytesOf(open("never"), "weights.bin"), wrong);
    // As if the disk had changed it, without a new time.
    const { size, mtime, ctime } = await Deno.stat(blob);
    const note = `${root}/models--owner--model/.verified/blobs/${hash}`;
    const state = [size, mtime!.getTime(), ctime!.getTime()].join(" ");
    await Deno.writeTextFile(note, JSON.stringify({ name: hash, state }));
    assertEquals(await bytesOf(open("changed"), "weights.bin"), wrong);
    assertEquals(await bytesOf(open("always"), "weights.bin"), weights);
    assertEquals(await bytesOf(open("changed"), "weights.bin"), weights);
    await damageFile(blob);
    assertEquals(await bytesOf(open("changed"), "weights.bin"), weights);
  });
});

Deno.test("DiskCache serves several downloads of a file at once", async () => {
  await inTemporaryFolder(async (root) => {
    await using hub = serveHub({ [ID]: MODEL });
    await Promise.all(Array.from({ length: 4 }, async () => {
      // Each folder has a cache of its own, as each process has.
      const folder = openHubFolder(ID, { endpoint: hub.endpoint, cache: root });
      assertEquals(await bytesOf(folder, "weights.bin"), weights);
    }));
    assertEquals(await blobsIn(root), { [hash]: weights.length });
  });
});

Deno.test("DiskCache serves processes that start beside each other with one empty cache", async () => {
  assertEquals(await startsBesideEachOther({ rounds: 1, onDisk: true }), { right: 4, wrong: [] });
});
