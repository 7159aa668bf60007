/**
 * Downloads into a cache that are killed at any time, and gone on with.
 *
 * @module
 */

import { openHubFolder } from "../../src/hub/hub.ts";
import { serveHub, sha256Of } from "../hub/fake_hub.ts";
import { inTemporaryFolder } from "../temporary_folder.ts";
import type { TrialResult } from "./main.ts";

const ID = "owner/name";
const HUB = new URL("../../src/hub/hub.ts", import.meta.url);
const weights = new Uint8Array(40_000_000).map((_, i) => (i * 7919) >> 7);

/** 200 kills: what is loaded afterwards is what the hub has, and nothing is left over. */
export async function killedDownloads(scale: number): Promise<TrialResult[]> {
  const count = Math.ceil(200 * scale);
  let resumed = 0;
  let wrong = 0;
  await using hub = serveHub({ [ID]: { revisions: { main: { "weights.bin": weights } } } });
  for (let done = 0; done < count;) {
    await inTemporaryFolder(async (cache) => {
      const options = { endpoint: hub.endpoint, cache };
      const code = `import { openHubFolder } from ${JSON.stringify(HUB)};
        await openHubFolder("${ID}", ${JSON.stringify(options)}).open("weights.bin");`;
      // Some kills for one file.
      for (let i = 0; i < 4 && done < count; i++, done++) {
        const args = ["eval", "--no-lock", "--no-config", code];
        const child = new Deno.Command(Deno.execPath(), { args, stderr: "null" }).spawn();
        await new Promise((resolve) => setTimeout(resolve, 300 + Math.random() * 1000));
        try {
          child.kill("SIGKILL");
        } catch {
          // It had come to its end.
        }
        await child.status;
      }
      const before = hub.log.length;
      await using file = await openHubFolder(ID, options).open("weights.bin");
      if (sha256Of(await file.read(0, file.size)) !== sha256Of(weights)) wrong++;
      if (hub.log.slice(before).some((line) => line.includes("bytes="))) resumed++;
      const blobs = [...Deno.readDirSync(`${cache}/models--owner--name/blobs`)];
      if (blobs.length !== 1) wrong++;
    });
  }
  const found = `${wrong} wrong, ${resumed} of ${Math.ceil(count / 4)} resumed after four`;
  return [{ trial: "kills of downloads", count, found, passed: wrong === 0 }];
}
