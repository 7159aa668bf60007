// The page of `deno task serve` in Chromium.

import { assertEquals, assertMatch } from "@std/assert";
import { openDiskFolder } from "../../src/files/disk_folder.ts";
import { bundle, findBrowser, visit } from "../browser/browsers.ts";
import { folderOf, tinyFiles } from "../pipeline/golden_runs.ts";
import { startService } from "../server/service.ts";
import { temporaryFolder } from "../temporary_folder.ts";

const chromium = findBrowser("chromium");

/** What the visitor posts. */
interface Visit {
  readonly error?: string;
  readonly header: string;
  readonly progress: string;
  readonly status: string;
  readonly refused: string;
  readonly isMissing: boolean;
  readonly seeds: string[];
  readonly isWide: boolean;
  readonly unnamed: string[];
  readonly kept: string[];
  readonly form: Record<string, string>;
  readonly same: boolean[];
  readonly changed: boolean[];
  readonly isRandom: boolean;
  readonly isSame: boolean;
  readonly download: string;
  readonly href: string;
  readonly rest: string[];
  readonly refusal: string;
  readonly refusedSeeds: string[];
  readonly ending: string;
  readonly isDrawnAgain: boolean;
  readonly waiting: boolean;
  readonly violations: string[];
}

/** Opens the page of a service, with the visitor in it, and waits for what it has seen. */
async function visitPage(
  server: Awaited<ReturnType<typeof startService>>,
  hash = "",
  browser = chromium,
) {
  const result = Promise.withResolvers<Visit>();
  const [asked, held] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const options = { port: 0, hostname: "127.0.0.1", onListen() {} };
  await using front = Deno.serve(options, async (request) => {
    const { pathname } = new URL(request.url);
    switch (pathname) {
      case "/result":
        result.resolve(await request.json());
        held.resolve();
        return new Response();
      case "/resume":
        server.resume();
        held.resolve();
        return new Response();
      case "/loading":
        await asked.promise;
        return new Response();
      case "/close":
        server.service.close();
        return new Response();
      case "/visitor.js": {
        const headers = { "content-type": "text/javascript" };
        const file = new URL("visitor.js", import.meta.url);
        return new Response(await Deno.readFile(file), { headers });
      }
      case "/": {
        const page = await server.service.fetch(request, "browser");
        const script = `<script type="module" src="/visitor.js"></script>`;
        return new Response(await page.text() + script, { headers: page.headers });
      }
      default:
        if (pathname.startsWith("/model/")) {
          asked.resolve();
          await held.promise;
        }
        return await server.service.fetch(request, "browser");
    }
  });
  const url = new URL(`http://127.0.0.1:${front.addr.port}/${hash}`);
  return await visit(browser!, url, result.promise);
}

Deno.test({
  name:
    "page/main.tsx draws, queues, stops, and has its pictures and their settings after a reload",
  ignore: chromium === undefined,
  async fn() {
    await using server = await startService({ pausing: true });
    const seen = await visitPage(server);
    assertEquals(seen.error, undefined);
    assertEquals(
      seen.header,
      `Model tiny, drawn on the server by: ${server.pipe.device.name} (asked for)`,
    );
    assertMatch(seen.progress, /^Step 1 of 5, .* left$/);
    assertMatch(seen.refused, /^a bird: sampler is "slow", expected /);
    assertEquals(seen.isMissing, true);
    assertEquals(seen.seeds.length, 3);
    const [second, first] = seen.seeds.map(BigInt);
    assertEquals(second, first! + 1n);
    assertEquals(seen.status, `a cat is drawn, seeds ${first}, ${second}`);
    assertEquals(seen.kept, seen.seeds);
    const { prompt, negative, seed, steps, images, guidance } = seen.form;
    assertEquals([prompt, negative, seed], ["a cat", "a dog", `${first}`]);
    assertEquals([steps, images, guidance], ["5", "1", "2.05"]);
    assertEquals([seen.isRandom, seen.isSame], [false, true]);
    assertEquals(seen.download, `a-cat-${first}.png`);
    assertMatch(seen.href, /^blob:/);
    assertEquals(seen.rest, [seen.seeds[0], seen.seeds[2]]);
    assertEquals([seen.violations, seen.unnamed, seen.isWide], [[], [], false]);
    // What the server cannot draw now waits in the page.
    assertEquals([seen.refusal, seen.waiting], [
      "The service is stopping and draws nothing more",
      true,
    ]);
    const outcomes = server.log.filter(({ event }) => event === "job")
      .map(({ outcome }) => outcome);
    assertEquals(outcomes, ["cancelled", "done", "done", "done"]);
  },
});

for (const browser of [chromium, findBrowser("firefox")]) {
  Deno.test({
    name:
      `page/main.tsx draws by itself what the server draws, also after its worker has ended, in ${
        browser?.name ?? "a browser"
      }`,
    ignore: browser === undefined,
    async fn() {
      await using folder = await temporaryFolder();
      await bundle(folder.path);
      await using server = await startService({
        browser: {
          library: await openDiskFolder(folder.path),
          model: folderOf(tinyFiles()),
        },
      });
      const seen = await visitPage(server, "#browser", browser);
      assertEquals(seen.error, undefined);
      assertEquals(seen.status, "Stopped");
      // The loading went on when its drawing was stopped; the other is that of the second worker.
      const loadings = server.log.filter((record) => record["path"] === "/model/model_index.json");
      assertEquals(loadings.length, 2);
      assertMatch(seen.header, /^Model tiny, drawn in this browser by: Wasm, /);
      assertEquals(seen.same, [true, true]);
      assertEquals(seen.form, { steps: "3", seed: "7" });
      // What was not painted is as it was.
      assertEquals(seen.changed, [true, false]);
      assertMatch(seen.refusal, /^a cow: Cannot generate: guidanceInterval is /);
      assertEquals(seen.waiting, false);
      const message = "The seed has to be a whole number from 0 to 2^64 - 1";
      assertEquals(
        seen.refusedSeeds,
        ["18446744073709551616", "1.5", "-1"].map((seed) => `${seed}: ${message}`),
      );
      assertEquals(seen.ending, "This browser cannot draw: it ended without a word");
      assertEquals(seen.isDrawnAgain, true);
      assertEquals([seen.violations, seen.unnamed], [[], []]);
    },
  });
}

Deno.test({
  name: "page/main.tsx asks for a token if the server wants one",
  ignore: chromium === undefined,
  async fn() {
    await using server = await startService({ tokens: ["right"] });
    const { error, refusal, seeds, violations } = await visitPage(server, "#token");
    assertEquals(error, undefined);
    assertEquals(refusal, "The bearer token is wrong");
    assertEquals([seeds.length, violations], [1, []]);
  },
});
