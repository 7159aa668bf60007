// Redirects, which must lead neither to files nor into the open.

import { assert, assertEquals, assertRejects } from "@std/assert";
import { openFile, openFolder } from "../../src/checkpoints/folders.ts";
import { followingRedirects, RedirectError } from "../../src/files/redirects.ts";
import { hubFetch } from "../../src/hub/fetch.ts";

const SECRET = new URL(import.meta.url);

/** A `fetch` that redirects once, and gives a text for all else; it lists what it is asked for. */
function redirecting(location: string) {
  const asked: string[] = [];
  const fetch: typeof globalThis.fetch = (input) => {
    asked.push(String(input));
    const isFirst = asked.length === 1;
    const response = isFirst
      ? new Response(null, { status: 302, headers: { location } })
      : new Response("{}", { headers: { "content-length": "2" } });
    return Promise.resolve(response);
  };
  return { fetch, asked };
}

const REFUSED: readonly (readonly [from: string, location: string])[] = [
  ["http://a.test/x", SECRET.href],
  ["https://a.test/x", SECRET.href],
  ["http://a.test/x", "data:application/json,{}"],
  ["http://a.test/x", "blob:http://a.test/1"],
  ["https://a.test/x", "http://a.test/x"],
  ["https://a.test/x", "http://b.test/\u001b[2J"],
  ["http://a.test/x", "http://[::"],
];

const followers = {
  followingRedirects: (fetch: typeof globalThis.fetch) => followingRedirects(fetch),
  hubFetch: (fetch: typeof globalThis.fetch) =>
    hubFetch(new URL("https://hub.test"), "secret", fetch),
};

for (const [name, follow] of Object.entries(followers)) {
  Deno.test(`${name}() follows redirects to http and https only, and not into the open`, async () => {
    for (const [from, location] of REFUSED) {
      const { fetch, asked } = redirecting(location);
      const error = await assertRejects(() => follow(fetch)(from), RedirectError, "redirects to");
      assertEquals(asked, [from]);
      // deno-lint-ignore no-control-regex -- that is what must not be there
      assert(!/[\x00-\x1f]/.test(error.message), error.message);
    }
    for (const location of ["https://b.test/y", "/y", "https://a.test:444/y"]) {
      const { fetch, asked } = redirecting(location);
      assertEquals(await (await follow(fetch)("https://a.test/x")).text(), "{}");
      assertEquals(asked[1], new URL(location, "https://a.test/x").href);
    }
  });
}

Deno.test("followingRedirects() ends a circle", async () => {
  let count = 0;
  const fetch: typeof globalThis.fetch = () => {
    count++;
    return Promise.resolve(new Response(null, { status: 307, headers: { location: "/again" } }));
  };
  const get = () => followingRedirects(fetch)("http://a.test/");
  await assertRejects(get, RedirectError, "redirects more than 10 times");
  assertEquals(count, 11);
});

Deno.test("folders and files over http, and models of the hub, do not read what a server redirects to", async () => {
  const read = async (open: (fetch: typeof globalThis.fetch) => Promise<unknown>) => {
    const fetch: typeof globalThis.fetch = () => {
      const headers = { location: SECRET.href };
      return Promise.resolve(new Response(null, { status: 302, headers }));
    };
    const error = await assertRejects(() => open(fetch), RedirectError, "Cannot reach http");
    assert(error.message.includes("redirects to a file: URL"), error.message);
  };
  await read(async (fetch) => {
    await (await openFolder("http://a.test/", { fetch })).readText("model_index.json");
  });
  await read(async (fetch) => await (await openFolder("http://a.test/", { fetch })).has("a.json"));
  await read((fetch) => openFile("http://a.test/model.safetensors", { fetch }));
  await read(async (fetch) => {
    const folder = await openFolder("owner/name", { fetch, cache: false, token: "secret" });
    await folder.readText("model_index.json");
  });
});
