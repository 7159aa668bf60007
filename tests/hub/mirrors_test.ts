import { assert, assertEquals, assertRejects } from "@std/assert";
import { openHubFolder } from "../../src/hub/hub.ts";
import { MissingFileError } from "../../src/files/paths.ts";
import { fileResponse } from "../files/file_server.ts";
import type { FakeHub } from "./fake_hub.ts";
import { bytesOf, ID, MODEL, WEIGHTS, weights, withHub } from "./hubs.ts";

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

/** A mirror that serves files only, with these headers. */
function serveMirror(
  hub: FakeHub,
  headersOf: (path: string) => Record<string, string>,
): void {
  hub.fault = ({ bytes, path }) =>
    path.startsWith("api ")
      ? new Response("none", { status: 404 })
      : bytes && fileResponse(bytes, null, headersOf(path));
}

/** Requests for contents so far. */
function downloads(hub: FakeHub): number {
  return hub.log.filter((line) => line.startsWith("hub GET ") && !line.includes("api")).length;
}

Deno.test("openHubFolder() notices changes on mirrors that tell no ETag", async () => {
  const files = { "a.json": "first" };
  await withHub({ revisions: { main: files } }, async (hub, options) => {
    files["a.json"] = "first";
    let time = "Mon, 01 Jan 2024 00:00:00 GMT";
    serveMirror(hub, () => ({ "last-modified": time }));
    const read = () => openHubFolder(ID, options).readText("a.json");
    assertEquals([await read(), await read(), downloads(hub)], ["first", "first", 1]);
    files["a.json"] = "other";
    time = "Mon, 01 Jan 2024 00:00:01 GMT";
    assertEquals([await read(), await read(), downloads(hub)], ["other", "other", 2]);
    files["a.json"] = "longer";
    assertEquals([await read(), downloads(hub)], ["longer", 3]);
    // Nothing tells of a change: it is fetched each time.
    serveMirror(hub, () => ({}));
    files["a.json"] = "again!";
    assertEquals(await read(), "again!");
    files["a.json"] = "anew!!";
    assertEquals(await read(), "anew!!");
  });
});

Deno.test("openHubFolder() tells files apart to which a mirror gives the same ETag", async () => {
  const files = { "a.json": "first", "b.json": "other" };
  await withHub({ revisions: { main: files } }, async (hub, options) => {
    // One that looks like a hash of git is none without the hub's commit.
    for (const etag of ['"1"', `"${"0".repeat(40)}"`, 'W/"1"']) {
      serveMirror(hub, () => ({ etag }));
      for (let i = 0; i < 2; i++) {
        const folder = openHubFolder(ID, options);
        assertEquals(await folder.readText("a.json"), "first");
        assertEquals(await folder.readText("b.json"), "other");
      }
    }
    assertEquals(downloads(hub), 6);
  });
});
