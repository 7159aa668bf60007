import { assert, assertEquals } from "@std/assert";
import { openHubFolder } from "../../src/hub/hub.ts";
import { temporaryFolder } from "../temporary_folder.ts";
import { commitOf, serveHub, sha256Of } from "./fake_hub.ts";

const ID = "owner/model";
const weights = new Uint8Array(3_000_000).map((_, i) => (i * 7919) >> 7);
const hash = sha256Of(weights);

/** Loads the weights in a process that may use the cache folder and the network, and nothing else. */
function load(endpoint: URL, root: string): Deno.ChildProcess {
  const hub = new URL("../../src/hub/hub.ts", import.meta.url);
  const code = `import { openHubFolder } from ${JSON.stringify(hub)};
    const options = { endpoint: ${JSON.stringify(endpoint)}, cache: ${JSON.stringify(root)} };
    const file = await openHubFolder(${JSON.stringify(ID)}, options).open("weights.bin");
    console.log(file.size);`;
  const allow = [`--allow-read=${root}`, `--allow-write=${root}`, "--allow-net=127.0.0.1"];
  return new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "--quiet",
      "--no-prompt",
      "--no-config",
      "--no-lock",
      ...allow,
      `data:,${encodeURIComponent(code)}`,
    ],
    stdout: "piped",
    stderr: "piped",
  }).spawn();
}

Deno.test("DiskCache goes on after a process was killed, with permissions for its folder only", async () => {
  const root = await Deno.makeTempDir();
  try {
    await using hub = serveHub({ [ID]: { revisions: { main: { "weights.bin": weights } } } });
    // Two thirds of the file, and then silence.
    const part = () => new ReadableStream({ start: (c) => c.enqueue(weights.slice(0, 2_000_000)) });
    hub.fault = ({ server }) => server === "cdn" ? new Response(part()) : undefined;
    const first = load(hub.endpoint, root);
    const incomplete = `${root}/models--owner--model/blobs/${hash}.incomplete`;
    while (await sizeOf(incomplete) < 2_000_000) await new Promise((done) => setTimeout(done, 20));
    first.kill("SIGKILL");
    await first.output();
    hub.fault = undefined;
    const second = await load(hub.endpoint, root).output();
    assertEquals(new TextDecoder().decode(second.stderr), "");
    assertEquals(new TextDecoder().decode(second.stdout), "3000000\n");
    assertEquals(hub.log.at(-1), "cdn GET  bytes=2000000-");
    // Links need more permissions than that, so the file itself is in the snapshot.
    const snapshot = `${root}/models--owner--model/snapshots/${commitOf("main")}/weights.bin`;
    assert((await Deno.lstat(snapshot)).isFile);
    assertEquals(await Deno.readFile(snapshot), weights);
    assertEquals(await sizeOf(incomplete), 0);
  } finally {
    await Deno.remove(root, { recursive: true });
  }
});

/** Runs a test with a file system whose locks do something else. */
async function withLocks(
  tryLock: () => Promise<boolean>,
  test: () => Promise<void>,
): Promise<void> {
  const original = Deno.FsFile.prototype.tryLock;
  Deno.FsFile.prototype.tryLock = tryLock;
  try {
    await test();
  } finally {
    Deno.FsFile.prototype.tryLock = original;
  }
}

const LOCKS: Record<string, () => Promise<boolean>> = {
  "no locks": () => Promise.reject(new Error("No locks available (os error 37)")),
  "locks that lock nobody out": () => Promise.resolve(true),
};

for (const [name, tryLock] of Object.entries(LOCKS)) {
  Deno.test(`DiskCache downloads to a file system with ${name}, also several times at once`, async () => {
    await using root = await temporaryFolder();
    await using hub = serveHub({ [ID]: { revisions: { main: { "weights.bin": weights } } } });
    await withLocks(tryLock, async () => {
      // Each folder has a cache of its own, as each process has.
      await Promise.all(Array.from({ length: 3 }, async () => {
        const folder = openHubFolder(ID, { endpoint: hub.endpoint, cache: root.path });
        await using file = await folder.open("weights.bin");
        assertEquals(await file.read(0, file.size), weights);
      }));
    });
    const blobs = [...Deno.readDirSync(`${root.path}/models--owner--model/blobs`)];
    assertEquals(blobs.map(({ name }) => name), [hash]);
  });
}

async function sizeOf(path: string): Promise<number> {
  try {
    return (await Deno.stat(path)).size;
  } catch {
    return 0;
  }
}
